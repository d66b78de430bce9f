package webhook

import (
	"context"
	"sync"
	"time"
)

// manyBatches is how many batches are remembered before those are forgotten that were looked up long ago.
const manyBatches = 10_000

// addresses remember the webhooks of batches for a while. Their methods may be called from several goroutines.
type addresses struct {
	book Book
	age  time.Duration

	mu    sync.Mutex
	known map[string]address // by batch
}

// address is what a batch's webhook was.
type address struct {
	url   string
	until time.Time // when it is looked up again
	ended string    // a URL that wants no more of the batch
	said  string    // the last thing that was said of the batch
}

// first reports whether something else was said of a batch last, and notes that this is said now: what concerns all
// events of a batch is said once.
func (a *addresses) first(batch, what string) bool {
	said := ""
	a.note(batch, func(found *address) { said, found.said = found.said, what })
	return said != what
}

// of is the webhook of a batch; "" for none, or for one that has ended.
func (a *addresses) of(ctx context.Context, batch string) (string, error) {
	a.mu.Lock()
	found := a.known[batch]
	a.mu.Unlock()
	if now := time.Now(); now.After(found.until) {
		url, err := a.book.Webhook(ctx, batch)
		if err != nil {
			return "", err
		}
		found = a.note(batch, func(found *address) { found.url, found.until = url, now.Add(a.age) })
	}
	if found.url == found.ended {
		return "", nil
	}
	return found.url, nil
}

// end notes that a receiver wants no more of a batch. A process that is started anew is told so again.
func (a *addresses) end(batch, url string) {
	a.note(batch, func(found *address) { found.ended = url })
}

// note changes what is known of a batch, and returns it.
func (a *addresses) note(batch string, change func(*address)) address {
	a.mu.Lock()
	defer a.mu.Unlock()
	found := a.known[batch]
	if len(a.known) >= manyBatches {
		now := time.Now()
		for id, old := range a.known {
			if now.After(old.until) {
				delete(a.known, id)
			}
		}
	}
	change(&found)
	a.known[batch] = found
	return found
}
