package queue

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestListBatches(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, Layout{})
	list := func() []Batch {
		t.Helper()
		all, err := c.ListBatches(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	if all := list(); len(all) != 0 {
		t.Errorf("%d batches of none", len(all))
	}
	const n = 2*lastOfMost + 1
	begun := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	var want []string
	for i := range n {
		b := Batch{ID: fmt.Sprintf("b%d", i), Total: int64(i), State: BatchCommitted, Created: begun.Add(time.Duration(i) * time.Second)}
		if _, err := c.CreateBatch(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		if i != 3 && i != 4 {
			want = append([]string{b.ID}, want...)
		}
	}
	kv, err := c.bucket(t.Context(), "batches")
	if err != nil {
		t.Fatal(err)
	}
	if err := kv.Delete(t.Context(), "b3"); err != nil {
		t.Fatal(err)
	}
	if _, err := kv.PutString(t.Context(), "b4", "{"); err != nil {
		t.Fatal(err)
	}
	if err := c.CancelJob(t.Context(), "b5", 7); err != nil { // its key is no batch
		t.Fatal(err)
	}
	all := list()
	var got []string
	for _, b := range all {
		got = append(got, b.ID)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("batches (-want +got):\n%s", diff)
	}
	// What was listed can be written.
	b := all[0]
	b.Summary = &Summary{Succeeded: b.Total}
	if _, err := c.UpdateBatch(t.Context(), b); err != nil {
		t.Error(err)
	}
	if b = list()[0]; b.Summary == nil || b.Total != n-1 {
		t.Errorf("the newest batch is %+v", b)
	}
}
