package queue

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/nats-io/nats.go"

	"github.com/stipple-ai/stipple/internal/local/natsd"
)

func TestBatches(t *testing.T) {
	t.Parallel()
	c := connect(t, startBroker(t, natsd.Options{}), Config{})
	setup(t, c, Layout{})
	ctx := t.Context()
	if _, err := c.GetBatch(ctx, "b"); !errors.Is(err, ErrNoBatch) {
		t.Errorf("GetBatch of none: %v", err)
	}
	want := Batch{ID: "b", Total: 3000, State: BatchEnqueuing, Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	created, err := c.CreateBatch(ctx, want)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateBatch(ctx, Batch{ID: "b", State: BatchEnqueuing}); !errors.Is(err, ErrBatchExists) {
		t.Errorf("a second CreateBatch: %v, want ErrBatchExists", err)
	}
	read, err := c.GetBatch(ctx, "b")
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range []Batch{created, read} {
		if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Batch{})); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}

	// Two commands at work on one batch: the one that did not see the other's write is stopped.
	first, second := created, read
	first.Cursor, first.Hash = 1000, "aa"
	if first, err = c.UpdateBatch(ctx, first); err != nil {
		t.Fatal(err)
	}
	second.State = BatchCancelled
	if _, err := c.UpdateBatch(ctx, second); !errors.Is(err, ErrBatchChanged) {
		t.Errorf("an update of what has changed: %v, want ErrBatchChanged", err)
	}
	first.Cursor = 2000
	if first, err = c.UpdateBatch(ctx, first); err != nil {
		t.Errorf("the next update of the one that wrote last: %v", err)
	}
	if second, err = c.GetBatch(ctx, "b"); err != nil {
		t.Fatal(err)
	}
	second.State, second.Summary = BatchCancelled, &Summary{Succeeded: 1, Failed: 2, Cancelled: 3, Expired: 4}
	if second, err = c.UpdateBatch(ctx, second); err != nil {
		t.Fatal(err)
	}
	if _, err := c.UpdateBatch(ctx, first); !errors.Is(err, ErrBatchChanged) {
		t.Errorf("the first after a cancel: %v, want ErrBatchChanged", err)
	}
	if got, err := c.GetBatch(ctx, "b"); err != nil || got.Cursor != 2000 || *got.Summary != *second.Summary {
		t.Errorf("at the end: %+v, %v", got, err)
	}

	if _, err := c.UpdateBatch(ctx, Batch{ID: "b"}); err == nil || errors.Is(err, ErrBatchChanged) {
		t.Errorf("an update of what was not read: %v", err)
	}
	for _, id := range []string{"", "a.b", "a b"} {
		if _, err := c.CreateBatch(ctx, Batch{ID: id}); err == nil {
			t.Errorf("batch %q was created", id)
		}
		if _, err := c.GetBatch(ctx, id); !errors.Is(err, ErrNoBatch) {
			t.Errorf("GetBatch(%q): %v", id, err)
		}
	}
}

// A write that was not taken is tried again over the same revision, and so is the one after it.
func TestUpdateBatchTriesAgain(t *testing.T) {
	t.Parallel()
	c := connect(t, startBroker(t, natsd.Options{}), Config{})
	setup(t, c, Layout{})
	ctx := t.Context()
	b, err := c.CreateBatch(ctx, Batch{ID: "b", Total: 3000, State: BatchEnqueuing})
	if err != nil {
		t.Fatal(err)
	}
	stream, err := c.js.Stream(ctx, "KV_batches")
	if err != nil {
		t.Fatal(err)
	}
	present := stream.CachedInfo().Config
	absent := present
	absent.Subjects = []string{"elsewhere"}

	// Somebody answers in place of the stream, as a cluster without a leader does.
	tries := make(chan struct{}, 100)
	for _, cursor := range []int64{1000, 2000} {
		if _, err := c.js.UpdateStream(ctx, absent); err != nil {
			t.Fatal(err)
		}
		sub, err := c.nc.Subscribe("$KV.batches.b", func(m *nats.Msg) {
			if err := m.Respond([]byte(`{"error":{"code":503,"err_code":10008,"description":"JetStream system temporarily unavailable"}}`)); err != nil {
				t.Error(err)
			}
			tries <- struct{}{}
		})
		if err != nil {
			t.Fatal(err)
		}
		b.Cursor = cursor
		var written sync.WaitGroup
		written.Go(func() {
			var err error
			if b, err = c.UpdateBatch(ctx, b); err != nil {
				t.Errorf("cursor %d: %v", cursor, err)
			}
		})
		<-tries
		<-tries
		if err := sub.Unsubscribe(); err != nil {
			t.Fatal(err)
		}
		if _, err := c.js.UpdateStream(ctx, present); err != nil {
			t.Fatal(err)
		}
		written.Wait()
		if got, err := c.GetBatch(ctx, "b"); err != nil || got.Cursor != cursor || got.revision != b.revision {
			t.Fatalf("cursor %d: written as %+v, read as %+v, %v", cursor, b, got, err)
		}
	}
}

// A write whose answer is lost is done again by try; the second must not take the first for another command's.
func TestSwapKnowsItsOwnWrite(t *testing.T) {
	t.Parallel()
	c := connect(t, startBroker(t, natsd.Options{}), Config{})
	setup(t, c, Layout{})
	kv, err := c.bucket(t.Context(), "batches")
	if err != nil {
		t.Fatal(err)
	}
	var last uint64
	for _, value := range []string{"one", "two"} {
		var revisions [2]uint64
		for i := range revisions {
			if revisions[i], err = c.swap(t.Context(), kv, "k", []byte(value), last); err != nil {
				t.Errorf("%s: %v", value, err)
			}
		}
		if revisions[0] != revisions[1] {
			t.Errorf("%s was written twice: revisions %v", value, revisions)
		}
		last = revisions[0]
	}
	for _, over := range []struct {
		key      string
		revision uint64
		want     error
	}{{"k", 0, errAgain}, {"k", 1, errAgain}, {"gone", 1, errAgain}, {"k", last + 1, errUnsettled}} { // the last as a leader says that has not caught up
		if _, err := c.swap(t.Context(), kv, over.key, []byte("three"), over.revision); !errors.Is(err, over.want) || !transient(err) {
			t.Errorf("%s over revision %d instead of %d: %v, want %v", over.key, over.revision, last, err, over.want)
		}
	}
}

func TestHashRows(t *testing.T) {
	hash := func(before string, rows []Message) string {
		t.Helper()
		h, err := HashRows(before, rows)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	whole := hash("", chunk(0, 10))
	if parts := hash(hash(hash("", chunk(0, 3)), nil), chunk(3, 7)); parts != whole {
		t.Errorf("cut elsewhere: %s, whole %s", parts, whole)
	}
	// printf 'normal\n{"version":1,"batch_id":"b","index":0,"model":"m","prompt":"a cat"}' | sha256sum
	if got, want := hash("", chunk(0, 1)), "eb58dce0c2575b8ad2a8b7c4b9d2b7e6873bc3f5296ea70aedf1dab4007bade2"; got != want {
		t.Errorf("one row: %s, want %s", got, want)
	}
	other := chunk(0, 10)
	other[9].Priority = High
	if hash("", other) == whole {
		t.Error("another priority has the same hash")
	}
	if hash("", chunk(1, 10)) == whole {
		t.Error("other rows have the same hash")
	}
	for _, bad := range []string{"x", "aa", strings.Repeat("0", 66)} {
		if _, err := HashRows(bad, nil); err == nil {
			t.Errorf("HashRows took %q for a hash", bad)
		}
	}
}
