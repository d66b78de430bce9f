package queue

import (
	"context"
	"encoding/json"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Cancellations knows, from memory, what is cancelled, and tells running jobs at once. It keeps what is cancelled and
// nothing of the other batches.
//
// WatchCancelled starts the one goroutine, run, which owns the reader; Stop, or the end of the context, ends it.
// Everything below mu is shared with callers.
type Cancellations struct {
	reader reader
	prefix string // of the keys' subjects
	made   time.Time
	cancel context.CancelFunc
	done   chan struct{} // closed by run when it ends

	mu      sync.Mutex
	batches map[string]bool
	jobs    map[string]bool // by jobKey; also of batches that are cancelled as a whole
	waiting map[*registration]bool
}

// registration is one job that wants to be told.
type registration struct {
	batch string
	index int64
	tell  func()
}

// WatchCancelled begins to watch what is cancelled and returns once it knows what is so far; it waits for a broker
// that is away. It goes on until ctx ends or Stop is called. While the broker is away what is known stays known, and
// when it is back the rest is learned.
//
// Errors: ErrMissing, and ctx's.
func (c *Client) WatchCancelled(ctx context.Context) (*Cancellations, error) {
	bucket := c.names.BatchesBucket()
	prefix := "$KV." + bucket + "."
	k := &Cancellations{
		reader: reader{client: c, stream: "KV_" + bucket, filter: prefix + ">"}, prefix: prefix, done: make(chan struct{}),
		batches: map[string]bool{}, jobs: map[string]bool{}, waiting: map[*registration]bool{},
	}
	if err := k.open(ctx); err != nil {
		return nil, err
	}
	if err := k.reader.rest(ctx, k.read); err != nil {
		return nil, err
	}
	ctx, k.cancel = context.WithCancel(ctx)
	go k.run(ctx)
	return k, nil
}

// Cancelled reports whether a job is cancelled, alone or with its batch.
func (k *Cancellations) Cancelled(batch string, index int64) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.batches[batch] || k.jobs[jobKey(batch, index)]
}

// OnCancel has f called once when a job is cancelled, at once if it is. f must not block: it is called by the goroutine
// that watches, or here. The function returned takes the wish back, which a job does that has ended; f may be running
// by then.
func (k *Cancellations) OnCancel(batch string, index int64, f func()) (stop func()) {
	r := &registration{batch, index, f}
	k.mu.Lock()
	cancelled := k.batches[batch] || k.jobs[jobKey(batch, index)]
	if !cancelled {
		k.waiting[r] = true
	}
	k.mu.Unlock()
	if cancelled {
		f()
	}
	return func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		delete(k.waiting, r)
	}
}

// Stop ends the watch and returns when its goroutine is gone: no f is called after that. Stopping twice does nothing.
func (k *Cancellations) Stop() {
	k.cancel()
	<-k.done
}

func (k *Cancellations) run(ctx context.Context) {
	defer close(k.done)
	defer k.cancel()
	wait := backoff{min: repairMin, max: repairMax}
	for ctx.Err() == nil {
		if err := k.open(ctx); err != nil {
			if ctx.Err() == nil {
				k.reader.client.log.Warn("new cancellations are not heard of", slog.Any("error", err))
			}
			if sleep(ctx, wait.next()) != nil {
				return
			}
			continue
		}
		wait.reset()
		k.reader.pull(ctx, k.read)
	}
}

// open makes the reader ready. A bucket that was made anew is read from its beginning. The consumer comes first: of a
// bucket that is made anew behind it, it is a consumer no more, and is opened again.
func (k *Cancellations) open(ctx context.Context) error {
	r := &k.reader
	for r.consumer == nil {
		if err := r.open(ctx); err != nil {
			return err
		}
		var made time.Time
		err := r.client.try(ctx, "watching "+r.filter, func(ctx context.Context) error {
			s, err := r.client.js.Stream(ctx, r.stream)
			if err != nil {
				return err
			}
			made = s.CachedInfo().Created
			return nil
		})
		if err != nil {
			r.forget()
			return err
		}
		if made.Equal(k.made) {
			continue
		}
		if k.made = made; r.after > 0 { // the consumer begins in the middle
			r.after = 0
			r.forget()
		}
		k.mu.Lock()
		clear(k.batches)
		clear(k.jobs)
		k.mu.Unlock()
	}
	return nil
}

// read takes one entry of the bucket in, a deletion included.
func (k *Cancellations) read(msg jetstream.Msg, _ *jetstream.MsgMetadata) bool {
	key := strings.TrimPrefix(msg.Subject(), k.prefix)
	var entry struct {
		State string `json:"state"`
	}
	if msg.Headers().Get("KV-Operation") == "" {
		if err := json.Unmarshal(msg.Data(), &entry); err != nil {
			k.reader.client.log.Warn("a damaged entry of a batch is taken for one that is not cancelled", slog.String("key", key), slog.Any("error", err))
		}
	}
	for _, r := range k.note(key, entry.State == BatchCancelled) {
		r.tell()
	}
	return true
}

// note takes in whether the batch or job of a key is cancelled, and returns who is to be told.
func (k *Cancellations) note(key string, cancelled bool) (told []*registration) {
	batch, index, one := strings.Cut(key, ".")
	k.mu.Lock()
	defer k.mu.Unlock()
	known := k.batches
	if one {
		known = k.jobs
	}
	if !cancelled {
		delete(known, key)
		return nil
	}
	known[key] = true
	for r := range k.waiting {
		if r.batch == batch && (!one || strconv.FormatInt(r.index, 10) == index) {
			delete(k.waiting, r)
			told = append(told, r)
		}
	}
	return told
}
