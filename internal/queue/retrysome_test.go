package queue

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// inQueue is the Nats-Msg-Id of each message of JOBS, in order.
func inQueue(t *testing.T, c *Client) []string {
	t.Helper()
	var ids []string
	for after := uint64(0); ; {
		msg, err := c.nextJob(t.Context(), "jobs.>", after)
		if err != nil {
			t.Fatal(err)
		}
		if msg == nil {
			return ids
		}
		ids, after = append(ids, msg.Header.Get(jetstream.MsgIDHeader)), msg.Sequence
	}
}

// TestRetryJobsAroundOthers: of jobs that are retried together some may be in the queue by themselves. They say nothing
// of the others.
func TestRetryJobsAroundOthers(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, Layout{})
	jobs := chunk(0, 4)
	jobs[3].Job.Model = "n" // the last on its subject, as the first is on its own
	for _, i := range []int{0, 3} {
		if _, err := c.RetryJob(t.Context(), jobs[i]); err != nil {
			t.Fatal(err)
		}
	}
	ids, err := c.RetryJobs(t.Context(), jobs)
	if err != nil || len(ids) != 4 {
		t.Fatalf("%v, %v", ids, err)
	}
	if diff := cmp.Diff([]string{"b/0#1", "b/3#1", "b/1#1", "b/2#1"}, inQueue(t, c)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestRetryJobsAmongOthers: while the jobs wait for the broker to take them, one is retried by itself, and another is
// done that was. Before they are sent again, each is looked for.
func TestRetryJobsAmongOthers(t *testing.T) {
	t.Parallel()
	s, c := newQueue(t, Layout{})
	other := connect(t, s, Config{})
	stream, err := c.js.Stream(t.Context(), "JOBS")
	if err != nil {
		t.Fatal(err)
	}
	present := stream.CachedInfo().Config
	absent := present
	absent.Subjects = []string{"jobs.high.*.*"}
	if _, err := c.js.UpdateStream(t.Context(), absent); err != nil {
		t.Fatal(err)
	}
	tries := make(chan struct{}, 100)
	sub, err := c.nc.Subscribe("jobs.normal.m.b", func(m *nats.Msg) {
		if err := m.Respond([]byte(`{"error":{"code":503,"err_code":10008,"description":"JetStream system temporarily unavailable"}}`)); err != nil {
			t.Error(err)
		}
		tries <- struct{}{}
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if ids, err := c.RetryJobs(t.Context(), chunk(0, 4)); err != nil || len(ids) != 4 {
			t.Errorf("%v, %v", ids, err)
		}
	}()
	refused := func() {
		select {
		case <-tries:
		case <-done:
		}
	}
	refused()
	record(t, other, "b", 0, 1)
	urgent := chunk(2, 1)[0]
	urgent.Priority = High
	if _, err := other.RetryJob(t.Context(), urgent); err != nil {
		t.Fatal(err)
	}
	refused() // perhaps looked for before that
	refused()
	if err := sub.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.js.UpdateStream(t.Context(), present); err != nil {
		t.Fatal(err)
	}
	<-done
	if diff := cmp.Diff([]string{"b/2#1", "b/1#1", "b/3#1"}, inQueue(t, c)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
