package queue

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestReadResults(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, Layout{})
	read := func(batch string) (indexes []int64) {
		t.Helper()
		for r, err := range c.ReadResults(t.Context(), batch) {
			if err != nil {
				t.Fatal(err)
			}
			if age := time.Since(r.Stored); age < 0 || age > time.Minute {
				t.Errorf("%s was stored at %v", r.Identity(), r.Stored)
			}
			indexes = append(indexes, r.Index)
		}
		return indexes
	}
	count := func(batch string, want int64) {
		t.Helper()
		if n, err := c.CountResults(t.Context(), batch); err != nil || n != want {
			t.Errorf("CountResults of %s: %d, %v; want %d", batch, n, err, want)
		}
	}
	if got := read("b"); got != nil {
		t.Errorf("results %v of nothing", got)
	}
	count("*", 0)
	var want []int64
	for i := range int64(1200) { // more than one request
		record(t, c, "b", i, 0)
		want = append(want, i)
	}
	record(t, c, "other", 0, 0)
	record(t, c, "b", 7, 1)
	want = append(append(want[:7:7], want[8:]...), 7)
	// A damaged one as the last does not keep the reader waiting.
	if _, err := c.js.Publish(t.Context(), "results.b.9999", []byte("{")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, read("b")); diff != "" {
		t.Errorf("indexes (-want +got):\n%s", diff)
	}
	if n := len(read("*")); n != 1201 {
		t.Errorf("%d results of all batches, want 1201", n)
	}
	count("b", 1201)
	count("other", 1)
	for range c.ReadResults(t.Context(), "b") {
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	var last error
	for _, err := range c.ReadResults(ctx, "b") {
		if n++; n == 100 {
			cancel()
		}
		last = err
	}
	if !errors.Is(last, context.Canceled) || n > 1200 {
		t.Errorf("after %d results: error %v", n, last)
	}
}
