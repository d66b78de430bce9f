package webhook

import (
	"context"
	"testing"
	"time"
)

// bookThat is a Book that does something while it is asked.
type bookThat func() string

func (b bookThat) Webhook(context.Context, string) (string, error) { return b(), nil }

// TestEndWhileLookedUp holds that a receiver that wants no more is heard while the webhook of its batch is looked up again.
func TestEndWhileLookedUp(t *testing.T) {
	const url = "https://hooks.example.com/"
	var a *addresses
	looked := 0
	a = &addresses{age: -time.Second, known: map[string]address{}, book: bookThat(func() string {
		if looked++; looked == 2 {
			a.end("b", url)
		}
		return url
	})}
	if got, err := a.of(t.Context(), "b"); err != nil || got != url {
		t.Fatalf("%q, %v", got, err)
	}
	for range 2 {
		if got, err := a.of(t.Context(), "b"); err != nil || got != "" {
			t.Errorf("%q, %v after the receiver has said that it wants no more", got, err)
		}
	}
}
