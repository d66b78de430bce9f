package batch

import (
	"context"
	"errors"
	"iter"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stipple-ai/stipple/internal/queue"
)

// record writes a result as a worker does.
func (b *broker) record(t *testing.T, index int64, retry int, status string) {
	t.Helper()
	r := queue.Result{BatchID: "b", Index: index, Retry: retry, Status: status}
	switch status {
	case queue.Succeeded:
		r.Image, r.Seed, r.Timings = &queue.Image{Bucket: "images"}, new(queue.Seed(1)), &queue.Timings{}
	case queue.Failed:
		r.Error = &queue.ResultError{Type: queue.TypeModelError, Message: "it broke"}
	}
	if stored, err := b.client.Record(t.Context(), r); err != nil || !stored {
		t.Fatalf("recording %d: %v, %v", index, stored, err)
	}
}

// publish puts jobs of the batch into the queue.
func (b *broker) publish(t *testing.T, retry int, indexes ...int64) {
	t.Helper()
	for _, i := range indexes {
		if _, err := b.client.Publish(t.Context(), queue.Message{Priority: queue.Normal, Job: queue.Job{BatchID: "b", Index: i, Retry: retry, Model: "m"}}); err != nil {
			t.Fatal(err)
		}
	}
}

// batchRecord writes the record of a batch without any jobs.
func (b *broker) batchRecord(t *testing.T, total int64, state string) {
	t.Helper()
	r, err := b.client.GetBatch(t.Context(), "b")
	if errors.Is(err, queue.ErrNoBatch) {
		_, err = b.client.CreateBatch(t.Context(), queue.Batch{ID: "b", Total: total, State: state})
	} else if err == nil {
		r.Total, r.State = total, state
		_, err = b.client.UpdateBatch(t.Context(), r)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// slow is a broker whose results take a while to come.
type slow struct{ *queue.Client }

func (s slow) FollowResults(ctx context.Context, batch string, after uint64) iter.Seq2[queue.Followed, error] {
	return func(yield func(queue.Followed, error) bool) {
		for r, err := range s.Client.FollowResults(ctx, batch, after) {
			time.Sleep(100 * time.Millisecond) // many beats and looks
			if !yield(r, err) {
				return
			}
		}
	}
}

func TestFollowKnowsWhenItHasCaughtUp(t *testing.T) {
	b := startBroker(t, queue.Layout{}, nil)
	b.batchRecord(t, 3, queue.BatchCommitted)
	b.publish(t, 0, 0, 1, 2)
	for u, err := range fast().follow(t.Context(), slow{b.client}, "b") {
		if err != nil {
			t.Fatal(err)
		}
		if u.Total > 0 {
			if !u.CaughtUp {
				t.Error("not caught up with no results")
			}
			break
		}
	}
	b.record(t, 0, 0, queue.Succeeded)
	b.record(t, 1, 0, queue.Succeeded)
	for u, err := range fast().follow(t.Context(), slow{b.client}, "b") {
		if err != nil {
			t.Fatal(err)
		}
		if n := u.Summary.Total(); u.CaughtUp != (n == 2) {
			t.Errorf("caught up: %t, with %d of two results", u.CaughtUp, n)
		}
		if u.CaughtUp {
			break
		}
	}
}

// fast looks often, so that tests take milliseconds.
func fast() following {
	return following{beat: 10 * time.Millisecond, look: 10 * time.Millisecond, quiet: 200 * time.Millisecond}
}

func TestFollow(t *testing.T) {
	b := startBroker(t, queue.Layout{}, nil)
	b.batchRecord(t, 4, queue.BatchCommitted)
	b.publish(t, 0, 0, 1, 2, 3)
	b.record(t, 2, 0, queue.Succeeded)
	b.record(t, 0, 0, queue.Failed)
	var got []int64
	var last Update
	beats := 0
	for u, err := range fast().follow(t.Context(), b.client, "b") {
		if err != nil {
			t.Fatal(err)
		}
		if last.Done {
			t.Fatal("an update behind the last one")
		}
		last = u
		if u.Result == nil {
			if beats++; beats == 5 && len(got) == 2 {
				if !u.CaughtUp || u.Total != 4 || u.State != queue.BatchCommitted || u.Summary != (queue.Summary{Succeeded: 1, Failed: 1}) {
					t.Errorf("update %+v", u)
				}
				b.record(t, 0, 1, queue.Succeeded) // a retry of what has failed
				b.record(t, 1, 0, queue.Expired)
				b.record(t, 3, 0, queue.Cancelled)
			}
			continue
		}
		if got = append(got, u.Result.Index); len(got) == 1 && u.CaughtUp {
			t.Error("caught up with one of two results")
		}
	}
	if diff := cmp.Diff([]int64{2, 0, 0, 1, 3}, got); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	if !last.Done || last.Summary != (queue.Summary{Succeeded: 2, Cancelled: 1, Expired: 1}) {
		t.Errorf("last update %+v", last)
	}
}

func TestFollowOfACancelledBatch(t *testing.T) {
	b := startBroker(t, queue.Layout{}, nil)
	b.batchRecord(t, 10, queue.BatchCommitted)
	b.publish(t, 0, 0, 1, 2)
	b.record(t, 0, 0, queue.Succeeded)
	var last Update
	step := 0
	for u, err := range fast().follow(t.Context(), b.client, "b") {
		if err != nil {
			t.Fatal(err)
		}
		last = u
		switch step++; step {
		case 5:
			b.batchRecord(t, 10, queue.BatchCancelled)
		case 10:
			b.record(t, 1, 0, queue.Cancelled) // it was running
		}
	}
	if want := (queue.Summary{Succeeded: 1, Cancelled: 9}); !last.Done || last.Gone != 0 || last.Summary != want || last.State != queue.BatchCancelled {
		t.Errorf("last update %+v", last)
	}
}

// TestFollowOfACancelledBatchWithoutABroker: while the broker is away, that nothing comes says nothing of the jobs that
// run.
func TestFollowOfACancelledBatchWithoutABroker(t *testing.T) {
	b := startBroker(t, queue.Layout{}, nil)
	b.batchRecord(t, 3, queue.BatchCancelled)
	b.record(t, 0, 0, queue.Succeeded)
	var last Update
	var away time.Time
	back := false
	for u, err := range fast().follow(t.Context(), b.client, "b") {
		if err != nil {
			t.Fatal(err)
		}
		last = u
		switch {
		case away.IsZero() && u.Result != nil:
			b.Suspend()
			away = time.Now()
		case !away.IsZero() && !back && time.Since(away) > 2*fast().quiet:
			if err := b.Resume(); err != nil {
				t.Fatal(err)
			}
			back = true
			b.record(t, 1, 0, queue.Succeeded) // it was running
		}
	}
	if want := (queue.Summary{Succeeded: 2, Cancelled: 1}); !back || !last.Done || last.Summary != want {
		t.Errorf("back %v: last update %+v", back, last)
	}
}

// TestFollowWaitsForRetries: every job has a result, and one of them is in the queue again.
func TestFollowWaitsForRetries(t *testing.T) {
	b := startBroker(t, queue.Layout{}, nil)
	b.batchRecord(t, 2, queue.BatchCommitted)
	b.publish(t, 0, 0, 1)
	b.record(t, 0, 0, queue.Failed)
	b.record(t, 1, 0, queue.Succeeded)
	b.publish(t, 1, 0)
	var last Update
	beats := 0
	for u, err := range fast().follow(t.Context(), b.client, "b") {
		if err != nil {
			t.Fatal(err)
		}
		if last = u; u.Result == nil {
			if beats++; beats == 10 {
				b.record(t, 0, 1, queue.Succeeded)
			}
		}
	}
	if want := (queue.Summary{Succeeded: 2}); !last.Done || last.Summary != want || last.Gone != 0 || beats < 10 {
		t.Errorf("after %d beats: last update %+v", beats, last)
	}
}

// TestFollowOfResultsThatAreGone: jobs that are neither in the queue nor recorded were done long ago.
func TestFollowOfResultsThatAreGone(t *testing.T) {
	b := startBroker(t, queue.Layout{}, nil)
	b.batchRecord(t, 5, queue.BatchEnqueuing)
	b.publish(t, 0, 0, 1)
	b.record(t, 1, 0, queue.Succeeded)
	kept := &queue.Summary{Succeeded: 4, Failed: 1}
	var last Update
	looks := 0
	for u, err := range fast().follow(t.Context(), b.client, "b") {
		if err != nil {
			t.Fatal(err)
		}
		last = u
		switch looks++; looks {
		case 10: // still being enqueued: the others may come
			b.batchRecord(t, 5, queue.BatchCommitted)
			r, err := b.client.GetBatch(t.Context(), "b")
			if err != nil {
				t.Fatal(err)
			}
			r.Summary = kept
			if _, err := b.client.UpdateBatch(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		case 20: // job 0 is still in the queue
			b.record(t, 0, 0, queue.Failed)
		}
	}
	if looks < 20 || !last.Done || last.Gone != 3 || last.Summary != (queue.Summary{Succeeded: 1, Failed: 1}) {
		t.Errorf("after %d updates: last update %+v", looks, last)
	}
	if last.Kept == nil || *last.Kept != *kept {
		t.Errorf("the record's summary is %+v, want %+v", last.Kept, kept)
	}
}

func TestFollowSurvivesTheBroker(t *testing.T) {
	b := startBroker(t, queue.Layout{}, nil)
	b.batchRecord(t, 3, queue.BatchEnqueuing)
	b.record(t, 0, 0, queue.Succeeded)
	var last Update
	results := 0
	for u, err := range fast().follow(t.Context(), b.client, "b") {
		if err != nil {
			t.Fatal(err)
		}
		last = u
		if u.Result == nil {
			continue
		}
		switch results++; results {
		case 1:
			b.Suspend()
			if err := b.Resume(); err != nil {
				t.Fatal(err)
			}
			b.record(t, 1, 0, queue.Succeeded)
		case 2:
			b.record(t, 2, 0, queue.Succeeded)
		}
	}
	if results != 3 || !last.Done || last.Summary.Succeeded != 3 {
		t.Errorf("%d results, last update %+v", results, last)
	}
}

func TestFollowEnds(t *testing.T) {
	b := startBroker(t, queue.Layout{}, nil)
	var last error
	for _, err := range Follow(t.Context(), b.client, "nothing") {
		last = err
	}
	if !errors.Is(last, queue.ErrNoBatch) {
		t.Errorf("error %v, want ErrNoBatch", last)
	}
	b.batchRecord(t, 3, queue.BatchCommitted)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	for _, err := range fast().follow(ctx, b.client, "b") {
		if err != nil {
			t.Error(err)
		}
		if n++; n == 3 {
			cancel()
		}
		if n > 4 {
			t.Fatal("it goes on without its context")
		}
	}
	for range fast().follow(t.Context(), b.client, "b") {
		break // goleak sees what stays behind
	}
}
