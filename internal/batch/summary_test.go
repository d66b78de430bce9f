package batch

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stipple-ai/stipple/internal/queue"
)

// busy is the records of a broker that another command writes to once, in between.
type busy struct {
	*queue.Client
	written bool
	updates int
}

func (b *busy) UpdateBatch(ctx context.Context, r queue.Batch) (queue.Batch, error) {
	b.updates++
	if !b.written {
		b.written = true
		if _, err := b.Client.UpdateBatch(ctx, r); err != nil {
			return queue.Batch{}, err
		}
	}
	return b.Client.UpdateBatch(ctx, r)
}

func TestKeepSummary(t *testing.T) {
	b := startBroker(t, queue.Layout{}, nil)
	b.batchRecord(t, 3, queue.BatchCommitted)
	q := &busy{Client: b.client}
	for _, s := range []*queue.Summary{nil, {Succeeded: 2, Failed: 1}, {Succeeded: 2, Failed: 1}, nil} {
		before := q.updates
		if err := KeepSummary(t.Context(), q, "b", s); err != nil {
			t.Fatal(err)
		}
		r, err := b.client.GetBatch(t.Context(), "b")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(s, r.Summary); diff != "" || r.Total != 3 || r.State != queue.BatchCommitted {
			t.Errorf("record %+v (-want +got):\n%s", r, diff)
		}
		if q.updates > before+2 {
			t.Errorf("%d writes", q.updates-before)
		}
	}
	if q.updates != 2 { // the first of which lost and found its own summary written
		t.Errorf("%d writes, want 2", q.updates)
	}
	if err := KeepSummary(t.Context(), b.client, "nothing", &queue.Summary{}); !errors.Is(err, queue.ErrNoBatch) {
		t.Errorf("error %v", err)
	}
}
