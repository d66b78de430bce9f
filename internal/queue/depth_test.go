package queue

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"
)

func TestQueueDepth(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, Layout{Models: []string{"m", "n.5"}})
	if err := c.RegisterModel(t.Context(), Model{Name: "n.5", Digest: "d"}, false); err != nil {
		t.Fatal(err)
	}
	next := int64(0)
	publish := func(priority, model string, n int) {
		t.Helper()
		for range n {
			if _, err := c.Publish(t.Context(), Message{Priority: priority, Job: Job{BatchID: "b", Index: next, Model: model}}); err != nil {
				t.Fatal(err)
			}
			next++
		}
	}
	publish(High, "m", 1)
	publish(Normal, "n.5", 4)
	publish(Low, "nobody", 2)
	source, err := c.NewSource(SourceConfig{Layout: Layout{Models: []string{"n.5"}}})
	if err != nil {
		t.Fatal(err)
	}
	var held []*Delivery
	eventually(t, "three jobs are fetched", func() bool {
		some, err := source.Fetch(t.Context(), 3-len(held))
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, some...)
		return len(held) == 3
	})
	defer func() {
		for _, d := range held {
			d.Release()
		}
	}()
	until := time.Now().Add(time.Hour).UTC()
	if _, err := c.js.PauseConsumer(t.Context(), "JOBS", "w-low-m", until); err != nil {
		t.Fatal(err)
	}
	got, err := c.QueueDepth(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		if p := &got[i].PausedUntil; !p.IsZero() {
			if d := p.Sub(until); d < -2*time.Second || d > 2*time.Second {
				t.Errorf("paused until %v, want %v", *p, until)
			}
			*p = until
		}
	}
	want := []Depth{
		{Priority: High, Model: "m", Waiting: 1, Consumer: true},
		{Priority: High, Model: "n.5", Consumer: true},
		{Priority: Normal, Model: "m", Consumer: true},
		{Priority: Normal, Model: "n.5", Waiting: 1, Running: 3, Consumer: true},
		{Priority: Low, Model: "m", Consumer: true, PausedUntil: until},
		{Priority: Low, Model: "n.5", Consumer: true},
		{Priority: Low, Model: "nobody", Waiting: 2},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("depths (-want +got):\n%s", diff)
	}
}

// strand makes the consumer of a priority and model give up the first job it has: one that was made with a limit of
// deliveries does so.
func strand(t *testing.T, c *Client, priority, model string) {
	t.Helper()
	name := ConsumerName(priority, model)
	if err := c.js.DeleteConsumer(t.Context(), "JOBS", name); err != nil {
		t.Fatal(err)
	}
	limited := Layout{AckWait: time.Minute}.consumer(c.names, priority, model)
	limited.MaxDeliver = 1
	consumer, err := c.js.CreateConsumer(t.Context(), "JOBS", limited)
	if err != nil {
		t.Fatal(err)
	}
	msg, err := consumer.Next()
	if err != nil {
		t.Fatal(err)
	}
	if err := msg.Nak(); err != nil {
		t.Fatal(err)
	}
	if _, err := consumer.Next(jetstream.FetchMaxWait(time.Second)); err == nil { // the broker finds out when it is asked
		t.Fatal("delivered beyond the limit")
	}
}
