package queue

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/stipple-ai/stipple/internal/local/natsd"
)

// newQueue is a broker with a queue for models and a client of it.
func newQueue(t *testing.T, l Layout) (*natsd.Server, *Client) {
	t.Helper()
	s := startBroker(t, natsd.Options{})
	c := connect(t, s, Config{})
	setup(t, c, l)
	return s, c
}

func newSource(t *testing.T, c *Client, cfg SourceConfig) *Source {
	t.Helper()
	s, err := c.NewSource(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fetch returns what waits now; deliveries that the test leaves unsettled are released at its end.
func fetch(t *testing.T, s *Source, n int) []*Delivery {
	t.Helper()
	got, err := s.Fetch(t.Context(), n)
	if err != nil {
		t.Fatalf("Fetch: %v", err)
	}
	for _, d := range got {
		t.Cleanup(d.Release)
	}
	return got
}

// fetchOne waits for one job.
func fetchOne(t *testing.T, s *Source) *Delivery {
	t.Helper()
	var got []*Delivery
	eventually(t, "a job is delivered", func() bool { got = fetch(t, s, 1); return len(got) == 1 })
	return got[0]
}

func wantNothing(t *testing.T, s *Source) {
	t.Helper()
	if got := fetch(t, s, 10); len(got) != 0 {
		t.Errorf("fetched %v, delivered for the %d. time, want nothing", got, got[0].NumDelivered)
	}
}

// shortLease is a layout whose leases run out while a test waits. A busy machine may stop a test for a second.
var shortLease = Layout{Models: []string{"m"}, AckWait: 2 * time.Second}

func TestDelivery(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, Layout{Models: []string{"sd-1.5"}, AckWait: 7 * time.Second})
	before := time.Now()
	job := Job{BatchID: "b", Index: 7, Retry: 1, Model: "sd-1.5", Width: new(64)}
	if _, err := c.Publish(t.Context(), Message{High, job, nats.Header{"traceparent": {"x"}}}); err != nil {
		t.Fatal(err)
	}
	d := fetchOne(t, newSource(t, c, SourceConfig{Layout: Layout{Models: []string{"sd-1.5"}}}))
	if d.Err != nil || !d.HasID || d.ID != job.Identity() || *d.Job.Width != 64 || d.String() != "b/7" {
		t.Errorf("delivery %+v of job %+v", d, d.Job)
	}
	if d.Subject != "jobs.high.sd-1_5.b" || d.Priority != High || d.Model != "sd-1.5" || d.Consumer != "w-high-sd-1_5" ||
		d.StreamSeq != 1 || d.NumDelivered != 1 || d.AckWait != 7*time.Second || d.Header.Get("traceparent") != "x" {
		t.Errorf("delivery %+v", d)
	}
	if d.Published.Before(before.Add(-time.Second)) || d.Received.Before(d.Published.Add(-time.Second)) {
		t.Errorf("published %v, received %v, test began %v", d.Published, d.Received, before)
	}
}

func TestHeartbeatsKeepTheLease(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, shortLease)
	publish(t, c, Normal, plainJob(0))
	source := newSource(t, c, SourceConfig{Layout: shortLease})
	d := fetchOne(t, source)
	for end := time.Now().Add(5 * shortLease.AckWait / 2); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		wantNothing(t, source)
	}
	if d.LeaseLost() {
		t.Error("the lease is lost")
	}
	if err := d.Ack(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := waiting(t, c, "JOBS"); n != 0 {
		t.Errorf("%d messages after Ack", n)
	}
}

func TestSettling(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, Layout{Models: []string{"m"}})
	source := newSource(t, c, SourceConfig{Layout: Layout{Models: []string{"m"}}})
	publish(t, c, Normal, plainJob(0))

	d := fetchOne(t, source)
	if err := d.Nak(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if d = fetchOne(t, source); d.NumDelivered != 2 || time.Since(start) > 5*time.Second {
		t.Errorf("after Nak: delivered for the %d. time after %v", d.NumDelivered, time.Since(start))
	}
	if err := d.Nak(t.Context(), 700*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	start = time.Now()
	wantNothing(t, source)
	d = fetchOne(t, source)
	if after := time.Since(start); after < 600*time.Millisecond || after > 5*time.Second {
		t.Errorf("after Nak with a delay of 700 ms: delivered after %v", after)
	}
	if err := d.Term(t.Context(), "no\r\ngood"); err != nil {
		t.Fatal(err)
	}
	if n := waiting(t, c, "JOBS"); n != 0 {
		t.Errorf("%d messages after Term", n)
	}
	for what, err := range map[string]error{
		"Ack": d.Ack(t.Context()), "Nak": d.Nak(t.Context(), 0), "Term": d.Term(t.Context(), ""),
	} {
		if !errors.Is(err, ErrSettled) {
			t.Errorf("%s after Term: %v, want ErrSettled", what, err)
		}
	}
	d.Release()
}

func TestReleaseLeavesTheRestToTheLease(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, shortLease)
	publish(t, c, Normal, plainJob(0))
	source := newSource(t, c, SourceConfig{Layout: shortLease})
	fetchOne(t, source).Release()
	start := time.Now()
	wantNothing(t, source)
	if d := fetchOne(t, source); d.NumDelivered != 2 || time.Since(start) < shortLease.AckWait*7/10 {
		t.Errorf("delivered for the %d. time after %v, want the lease to run out first", d.NumDelivered, time.Since(start))
	}
}

// stopped is a worker that was stopped (SIGSTOP) with a delivery until its lease ran out and another has it.
func stopped(t *testing.T, c *Client) (stale, current *Delivery, source *Source) {
	t.Helper()
	publish(t, c, Normal, plainJob(0))
	source = newSource(t, c, SourceConfig{Layout: shortLease})
	stale = fetchOne(t, source)
	stale.heart.stop()
	current = fetchOne(t, source)
	if current.NumDelivered != 2 || !stale.LeaseLost() || current.LeaseLost() {
		t.Fatalf("delivered for the %d. time; lost: %v, %v", current.NumDelivered, stale.LeaseLost(), current.LeaseLost())
	}
	return stale, current, source
}

func TestAStaleNakOrTermIsNotSent(t *testing.T) {
	t.Parallel()
	for what, settle := range map[string]func(*Delivery) error{
		"Nak":  func(d *Delivery) error { return d.Nak(t.Context(), 0) },
		"Term": func(d *Delivery) error { return d.Term(t.Context(), "x") },
	} {
		t.Run(what, func(t *testing.T) {
			_, c := newQueue(t, shortLease)
			stale, current, source := stopped(t, c)
			if err := settle(stale); !errors.Is(err, ErrLeaseLost) {
				t.Errorf("%v, want ErrLeaseLost", err)
			}
			wantNothing(t, source) // a third worker does not get it
			if n := waiting(t, c, "JOBS"); n != 1 {
				t.Errorf("%d messages, want 1", n)
			}
			if err := current.Ack(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// Why exactly-once cannot live in acknowledgements: the broker obeys one whose lease ran out, and tells nobody.
func TestAcksDoNotFence(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, shortLease)
	stale, current, _ := stopped(t, c)
	if err := stale.Ack(t.Context()); err != nil {
		t.Errorf("the stale Ack: %v", err)
	}
	if n := waiting(t, c, "JOBS"); n != 0 {
		t.Errorf("%d messages after the stale Ack", n)
	}
	if err := current.Ack(t.Context()); err != nil {
		t.Errorf("the Ack of the worker that has the lease: %v", err)
	}
}

func TestATimedOutJobLosesItsLease(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, shortLease)
	publish(t, c, Normal, plainJob(0))
	source := newSource(t, c, SourceConfig{Layout: shortLease, JobTimeout: 2400 * time.Millisecond})
	d := fetchOne(t, source)
	select {
	case <-d.TimedOut():
	case <-time.After(5 * time.Second):
		t.Fatal("not timed out")
	}
	if ran := time.Since(d.Received); ran < 2400*time.Millisecond {
		t.Errorf("timed out after %v", ran)
	}
	if d.LeaseLost() {
		t.Error("the lease is lost at once; the worker has no time to nak")
	}
	if again := fetchOne(t, source); again.NumDelivered != 2 {
		t.Errorf("delivered for the %d. time", again.NumDelivered)
	}
}

func TestAckWhileTheBrokerIsAway(t *testing.T) {
	t.Parallel()
	s, c := newQueue(t, Layout{Models: []string{"m"}})
	source := newSource(t, c, SourceConfig{Layout: Layout{Models: []string{"m"}}})
	for i := range int64(2) {
		publish(t, c, Normal, plainJob(i))
	}
	visible(t, c, Layout{Models: []string{"m"}})
	jobs := fetch(t, source, 2)
	if len(jobs) != 2 {
		t.Fatalf("fetched %d", len(jobs))
	}
	s.Suspend()
	eventually(t, "the client notices", func() bool { return !c.Connected() })
	start := time.Now()
	if err := jobs[0].Nak(t.Context(), 0); !errors.Is(err, ErrUnconfirmed) || ErrorType(err) != TypeBroker {
		t.Errorf("Nak: %v, want ErrUnconfirmed", err)
	}
	if d := time.Since(start); d > 3*time.Second {
		t.Errorf("Nak gave up after %v", d)
	}
	if err := s.Resume(); err != nil {
		t.Fatal(err)
	}
	if err := jobs[1].Ack(t.Context()); err != nil { // it waits for the connection
		t.Errorf("Ack: %v", err)
	}
	if n := waiting(t, c, "JOBS"); n != 1 {
		t.Errorf("%d messages, want the one that could not be handed back", n)
	}
}
