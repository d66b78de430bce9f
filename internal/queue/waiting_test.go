package queue

import (
	"fmt"
	"testing"
)

func TestWaitingJobs(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, Layout{Models: []string{"m", "n.5"}})
	want := func(batch string, n int64) {
		t.Helper()
		if got, err := c.WaitingJobs(t.Context(), batch); err != nil || got != n {
			t.Errorf("%d jobs of %s, %v; want %d", got, batch, err, n)
		}
	}
	want("b", 0)
	for i := range 6 {
		m := Message{Priority: Priorities()[i%3], Job: Job{BatchID: fmt.Sprintf("b%d", i/4), Index: int64(i), Model: []string{"m", "n.5"}[i%2]}}
		if _, err := c.Publish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	want("b0", 4)
	want("b1", 2)
	want("b", 0)
	want("*", 6)
	// One that a worker holds counts until it is done.
	source, err := c.NewSource(SourceConfig{Layout: Layout{Models: []string{"m"}}})
	if err != nil {
		t.Fatal(err)
	}
	var held []*Delivery
	eventually(t, "a job is fetched", func() bool {
		if held, err = source.Fetch(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		return len(held) == 1
	})
	want("*", 6)
	if err := held[0].Ack(t.Context()); err != nil {
		t.Fatal(err)
	}
	want("*", 5)
}
