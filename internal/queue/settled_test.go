package queue

import (
	"testing"

	"github.com/nats-io/nats.go"
)

func TestSettled(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, Layout{Models: []string{"m"}})
	want := func(settled bool, last uint64) {
		t.Helper()
		gotLast, got, err := c.Settled(t.Context(), "b")
		if err != nil || got != settled || gotLast != last {
			t.Errorf("settled %v with result %d, %v; want %v with %d", got, gotLast, err, settled, last)
		}
	}
	publish := func(batch string, index int64, retry int) {
		t.Helper()
		if _, err := c.Publish(t.Context(), Message{Priority: Normal, Job: Job{BatchID: batch, Index: index, Retry: retry, Model: "m"}}); err != nil {
			t.Fatal(err)
		}
	}
	want(true, 0)
	publish("other", 0, 0)
	record(t, c, "other", 0, 0)
	want(true, 0)
	publish("b", 0, 0)
	publish("b", 1, 0)
	want(false, 0)
	record(t, c, "b", 0, 0)
	want(false, 0) // job 1 has none
	record(t, c, "b", 1, 0)
	want(true, 3) // though neither has left the queue
	publish("b", 0, 1)
	want(false, 0) // the retry has none
	record(t, c, "b", 0, 1)
	want(true, 4)
	if _, err := c.js.PublishMsg(t.Context(), &nats.Msg{Subject: "jobs.normal.m.b", Data: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	want(true, 4) // nobody can tell whose that is
}

// A damaged result, which no follower is told of, is not the last one to be waited for.
func TestSettledWithADamagedResult(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, Layout{})
	for _, want := range []uint64{0, 2} {
		if _, err := c.js.Publish(t.Context(), "results.b.9", []byte("{")); err != nil {
			t.Fatal(err)
		}
		if last, settled, err := c.Settled(t.Context(), "b"); last != want || !settled || err != nil {
			t.Errorf("last %d, settled %v, %v; want %d", last, settled, err, want)
		}
		if want == 0 {
			record(t, c, "b", 1, 0)
		}
	}
}
