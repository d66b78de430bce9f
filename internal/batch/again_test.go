package batch

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stipple-ai/stipple/internal/queue"
)

func catSeeds(t *testing.T, n int) Plan {
	t.Helper()
	return Plan{Rows: Args("a cat"), Groups: []Group{group(t, fmt.Sprintf("seed=1..%d", n))}, Defaults: queue.Job{Model: "m"}}
}

// submitted is the record of a batch that was sent.
func (b *broker) submitted(t *testing.T, id string, p Plan, total int64) queue.Batch {
	t.Helper()
	if _, err := Submit(t.Context(), b.client, Submission{Batch: id, Plan: p, Total: total, Priority: queue.Low}); err != nil {
		t.Fatal(err)
	}
	r, err := b.client.GetBatch(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAgain(t *testing.T) {
	b := startBroker(t, queue.Layout{}, nil)
	const total = 5000
	p := catSeeds(t, total)
	r := b.submitted(t, "b", p, total)
	b.purge(t) // they are done
	b.record(t, 1, 3, queue.Succeeded)
	rec, tracing := recorder()
	var heard []queue.Identity
	wanted := func(index int64) bool { return index%2 == 1 }
	n, err := Again(t.Context(), b.client, Repetition{Record: r, Priority: queue.Low, Plan: p, Wanted: wanted, Tracing: tracing, OnJobs: func(ids []queue.Identity) { heard = append(heard, ids...) }})
	if err != nil || n != total/2 {
		t.Fatalf("%d jobs, %v", n, err)
	}
	all := b.jobs(t)
	if len(all) != total/2 || len(heard) != total/2 || len(rec.Ended()) != 3 {
		t.Fatalf("%d jobs in the queue, %d heard of, %d spans", len(all), len(heard), len(rec.Ended()))
	}
	for i, m := range all {
		id := queue.Identity{Batch: "b", Index: int64(2*i + 1), Retry: 1}
		if i == 0 {
			id.Retry = 4 // above its record's
		}
		if m.MsgID != id.MsgID() || m.Body.Seed != uint64(id.Index+1) || m.Subject != "jobs.low.m.b" || heard[i] != id || len(m.Header["traceparent"]) != 1 {
			t.Fatalf("message %d is %s to %s with seed %d and header %v, want %s", i, m.MsgID, m.Subject, m.Body.Seed, m.Header, id.MsgID())
		}
	}
}

func TestAgainRefuses(t *testing.T) {
	b := startBroker(t, queue.Layout{}, nil)
	p := catSeeds(t, 3)
	r := b.submitted(t, "b", p, 3)
	b.purge(t)
	sending := r
	sending.State, sending.Cursor = queue.BatchEnqueuing, 0
	other := p
	other.Rows = Args("a dog")
	for name, tt := range map[string]struct {
		r    Repetition
		want error
	}{
		"fewer rows":          {Repetition{Record: r, Priority: queue.Low, Plan: catSeeds(t, 2)}, ErrRowsDiffer},
		"more rows":           {Repetition{Record: r, Priority: queue.Low, Plan: catSeeds(t, 3000)}, ErrRowsDiffer},
		"another prompt":      {Repetition{Record: r, Priority: queue.Low, Plan: other}, ErrRowsDiffer},
		"another priority":    {Repetition{Record: r, Plan: p}, ErrRowsDiffer},
		"a batch half-way":    {Repetition{Record: sending, Priority: queue.Low, Plan: p}, ErrIncomplete},
		"a cancelled context": {Repetition{Record: r, Priority: queue.Low, Plan: p}, context.Canceled},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		if errors.Is(tt.want, context.Canceled) {
			cancel()
		}
		tt.r.Wanted = func(int64) bool { return true }
		if n, err := Again(ctx, b.client, tt.r); !errors.Is(err, tt.want) || n != 0 {
			t.Errorf("%s: %d jobs, %v; want %v", name, n, err, tt.want)
		}
		cancel()
	}
	if diff := cmp.Diff(0, len(b.jobs(t))); diff != "" {
		t.Errorf("jobs in the queue (-want +got):\n%s", diff)
	}
}
