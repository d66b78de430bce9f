package queue

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/stipple-ai/stipple/internal/local/natsd"
)

// result is a result of job b/7 with a status and retry, told apart by its worker.
func result(status string, retry int, worker string) Result {
	r := Result{BatchID: "b", Index: 7, Retry: retry, Status: status, Worker: worker}
	switch status {
	case Succeeded:
		r.Image, r.Seed, r.Timings = &Image{Key: "k"}, new(Seed(1)), &Timings{}
	case Failed:
		r.Error = &ResultError{TypeModelError, "boom"}
	}
	return r
}

func TestAJobHasOneResult(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, Layout{})
	ctx := t.Context()
	if _, found, err := c.Lookup(ctx, "b", 7); found || err != nil {
		t.Errorf("Lookup before any: %v, %v", found, err)
	}
	steps := []struct {
		r      Result
		stored bool
		kept   string // the worker of the record afterwards
	}{
		{result(Failed, 1, "a"), true, "a"},
		{result(Failed, 1, "a"), true, "a"}, // again, because the answer was lost
		{result(Succeeded, 1, "b"), false, "a"},
		{result(Succeeded, 0, "c"), false, "a"},
		{result(Succeeded, 2, "d"), true, "d"},
		{result(Failed, 2, "e"), false, "d"},
		{result(Cancelled, 5, "f"), true, "f"},
	}
	for i, s := range steps {
		stored, err := c.Record(ctx, s.r)
		if err != nil || stored != s.stored {
			t.Errorf("step %d: Record = %v, %v; want %v", i, stored, err, s.stored)
		}
		got, found, err := c.Lookup(ctx, "b", 7)
		if err != nil || !found || got.Worker != s.kept {
			t.Errorf("step %d: the record is of worker %q, %v, %v; want %q", i, got.Worker, found, err, s.kept)
		}
	}
	if n := waiting(t, c, "RESULTS"); n != 1 {
		t.Errorf("%d messages in RESULTS, want 1", n)
	}
	if _, err := c.Record(ctx, Result{BatchID: "b"}); err == nil {
		t.Error("a result without a status was recorded")
	}
}

func TestOneOfManyRecords(t *testing.T) {
	t.Parallel()
	s := startBroker(t, natsd.Options{})
	c := connect(t, s, Config{})
	setup(t, c, Layout{})
	stored := make([]bool, 8)
	var all sync.WaitGroup
	for i := range stored {
		all.Go(func() {
			var err error
			if stored[i], err = c.Record(t.Context(), result(Succeeded, i/4, string(rune('a'+i)))); err != nil {
				t.Errorf("Record: %v", err)
			}
		})
	}
	all.Wait()
	got, found, err := c.Lookup(t.Context(), "b", 7)
	if err != nil || !found || got.Retry != 1 {
		t.Fatalf("the record: %+v, %v, %v; want one of retry 1", got, found, err)
	}
	for _, retry := range []int{0, 1} { // of each retry at most one was the record for a time
		n := 0
		for _, won := range stored[4*retry : 4*retry+4] {
			if won {
				n++
			}
		}
		if n > 1 || retry == 1 && n != 1 {
			t.Errorf("%d results of retry %d were stored: %v", n, retry, stored)
		}
	}
}

func TestADamagedRecordGivesWay(t *testing.T) {
	t.Parallel()
	s := startBroker(t, natsd.Options{})
	var log logbook
	c := connect(t, s, Config{Logger: log.logger()})
	setup(t, c, Layout{})
	if _, err := c.js.Publish(t.Context(), "results.b.7", []byte("{")); err != nil {
		t.Fatal(err)
	}
	if _, found, err := c.Lookup(t.Context(), "b", 7); found || err != nil {
		t.Errorf("Lookup: %v, %v", found, err)
	}
	if len(log.with("damaged")) != 1 {
		t.Errorf("the log is silent: %q", log.lines)
	}
	if stored, err := c.Record(t.Context(), result(Succeeded, 0, "a")); !stored || err != nil {
		t.Errorf("Record: %v, %v", stored, err)
	}
}

func TestRecordIntoAFullStream(t *testing.T) {
	t.Parallel()
	c := connect(t, startBroker(t, natsd.Options{}), Config{})
	if _, err := c.js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "RESULTS", Subjects: []string{"results.*.*"}, Discard: jetstream.DiscardNew, MaxMsgs: 1, MaxMsgsPerSubject: 1, AllowDirect: true,
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Record(t.Context(), result(Succeeded, 0, "a")); err != nil {
		t.Fatal(err)
	}
	other := result(Succeeded, 0, "a")
	other.Index = 8
	_, err := c.Record(t.Context(), other)
	if class, _ := ClassOf(ErrorType(err)); !errors.Is(err, ErrStreamFull) || errors.Is(err, ErrQueueFull) || class != Held {
		t.Errorf("Record: %v, want ErrStreamFull, which is held", err)
	}
}

func TestRecordWaitsForTheBroker(t *testing.T) {
	t.Parallel()
	s, c := newQueue(t, Layout{})
	s.Suspend()
	eventually(t, "the client notices", func() bool { return !c.Connected() })
	time.AfterFunc(200*time.Millisecond, func() {
		if err := s.Resume(); err != nil {
			t.Error(err)
		}
	})
	if stored, err := c.Record(t.Context(), result(Succeeded, 0, "a")); !stored || err != nil {
		t.Errorf("Record: %v, %v", stored, err)
	}
}

func TestRecordHeld(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, Layout{})
	lost := func() error { return ErrLeaseLost }
	for _, status := range []string{Failed, Cancelled, Expired} {
		if stored, err := c.RecordHeld(t.Context(), result(status, 0, "a"), lost); stored || !errors.Is(err, ErrLeaseLost) || ErrorType(err) == TypeBroker {
			t.Errorf("%s: %v, %v; want ErrLeaseLost, of which the broker knows nothing", status, stored, err)
		}
	}
	if n := waiting(t, c, "RESULTS"); n != 0 {
		t.Errorf("%d results", n)
	}
	if stored, err := c.RecordHeld(t.Context(), result(Succeeded, 0, "a"), lost); !stored || err != nil {
		t.Errorf("a success: %v, %v", stored, err)
	}
	if stored, err := c.RecordHeld(t.Context(), result(Failed, 1, "b"), func() error { return nil }); !stored || err != nil {
		t.Errorf("held: %v, %v", stored, err)
	}
}

func TestRecordHeldAsksBeforeEachTry(t *testing.T) {
	t.Parallel()
	s, c := newQueue(t, Layout{})
	s.Suspend()
	eventually(t, "the client notices", func() bool { return !c.Connected() })
	asked := 0
	held := func() error {
		if asked++; asked < 4 {
			return nil
		}
		return ErrLeaseLost
	}
	if _, err := c.RecordHeld(t.Context(), result(Failed, 0, "a"), held); !errors.Is(err, ErrLeaseLost) || asked != 4 {
		t.Errorf("asked %d times, %v; want ErrLeaseLost at the fourth", asked, err)
	}
}
