package batch

import (
	"testing"

	"github.com/stipple-ai/stipple/internal/queue"
)

// TestSubmitNotesTheWebhook: the record of a batch names it from the beginning, a later run without one leaves it, and one
// with another replaces it, also after all jobs were sent.
func TestSubmitNotesTheWebhook(t *testing.T) {
	b := startBroker(t, queue.Layout{}, nil)
	for _, run := range []struct{ given, want string }{
		{"https://hooks.example.com/a", "https://hooks.example.com/a"},
		{"", "https://hooks.example.com/a"},
		{"https://hooks.example.com/b", "https://hooks.example.com/b"},
		{"https://hooks.example.com/b", "https://hooks.example.com/b"},
	} {
		s := seeds(t, "b", 3)
		s.Webhook = run.given
		if _, err := Submit(t.Context(), b.client, s); err != nil {
			t.Fatal(err)
		}
		if got, err := b.client.BatchWebhook(t.Context(), "b"); err != nil || got != run.want {
			t.Errorf("after a run with %q the webhook is %q, %v, want %q", run.given, got, err, run.want)
		}
	}
	b.wantJobs(t, "b", 3)
	b.wantRecord(t, "b", queue.BatchCommitted, 3, 3)
	if _, err := b.client.CancelBatch(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	if got, err := b.client.BatchWebhook(t.Context(), "b"); err != nil || got != "https://hooks.example.com/b" {
		t.Errorf("a cancelled batch has the webhook %q, %v", got, err)
	}
}

func TestAxisValue(t *testing.T) {
	a, err := ParseAxis("seed", "7,1..9..4")
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range map[int64]string{-1: "", 0: "7", 1: "1", 2: "5", 3: "9", 4: ""} {
		if got := a.Value(i); got != want {
			t.Errorf("value %d is %q, want %q", i, got, want)
		}
	}
}
