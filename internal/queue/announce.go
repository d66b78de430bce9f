package queue

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// Progress is how far a running job is. It is published a few times a second on a core subject and never
// stored: who does not listen misses it.
type Progress struct {
	BatchID string `json:"batch_id"`
	Index   int64  `json:"index"`
	Retry   int    `json:"retry"`
	Attempt int    `json:"attempt"`
	Worker  string `json:"worker"`
	Step    int    `json:"step"` // UNet calls done
	Steps   int    `json:"steps"`
}

// Status is what a worker does. It is published every 2 s on a core subject and never stored.
type Status struct {
	Worker         string   `json:"worker"`
	State          string   `json:"state"` // one of the Worker… constants
	Models         []string `json:"models"`
	Slots          int      `json:"slots"` // jobs it can hold
	Jobs           int      `json:"jobs"`  // jobs it holds
	Rows           int      `json:"rows"`  // UNet rows in calls now
	StepsPerSecond float64  `json:"steps_per_second"`

	Provider string    `json:"provider,omitempty"` // of ONNX Runtime
	Device   string    `json:"device,omitempty"`   // of the provider, for a GPU
	MaxRows  int       `json:"max_rows,omitempty"` // in one call
	Lanes    int       `json:"lanes,omitempty"`    // calls at once
	Started  time.Time `json:"started,omitzero"`
}

// The values of a worker's state.
const (
	WorkerStarting = "starting" // loading and warming up its models
	WorkerReady    = "ready"
	WorkerHolding  = "holding" // storage is away: finished images are kept, nothing is fetched
	WorkerDraining = "draining"
)

// progressEvery is the least time between two announcements of one job's progress.
const progressEvery = 250 * time.Millisecond

// Reporter announces the progress of one start of a job. One goroutine at a time uses it.
type Reporter struct {
	client *Client
	base   Progress
	last   time.Time // of the last announcement
}

// NewReporter returns a reporter that announces p with its steps filled in.
func (c *Client) NewReporter(p Progress) *Reporter { return &Reporter{client: c, base: p} }

// Report announces that step of steps are done, if the last announcement is 250 ms ago or this is the last
// step. It never waits: it may be called from a step loop.
func (r *Reporter) Report(step, steps int) {
	now := time.Now()
	if step < steps && now.Sub(r.last) < progressEvery {
		return
	}
	r.last = now
	p := r.base
	p.Step, p.Steps = step, steps
	r.client.announce(r.client.names.ProgressSubject(p.BatchID, p.Index), p)
}

// AnnounceStatus announces what a worker does. It never waits.
func (c *Client) AnnounceStatus(s Status) { c.announce(c.names.StatusSubject(s.Worker), s) }

// outboxSize is how many announcements wait while the connection is slow; more are dropped.
const outboxSize = 256

// announcement is a message on a core subject.
type announcement struct {
	subject string
	data    []byte
}

// announce hands a message to the outbox, or drops it where that is full.
func (c *Client) announce(subject string, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		c.log.Error("announcing", slog.String("subject", subject), slog.Any("error", err)) // a NaN
		return
	}
	select {
	case c.outbox <- announcement{subject, data}:
	default:
	}
}

// startOutbox begins to publish what is announced. A write to a connection whose network is silent blocks, so
// one goroutine does it, and no step loop. Connect starts it; stopOutbox ends it once the connection is closed.
func (c *Client) startOutbox() {
	stop, done := make(chan struct{}), make(chan struct{})
	c.stopOutbox = sync.OnceFunc(func() {
		close(stop)
		<-done
	})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case a := <-c.outbox:
				// What cannot be sent now is old news when it can; the connection logs its own state.
				_ = c.nc.Publish(a.subject, a.data)
			}
		}
	}()
}

// WatchProgress returns the progress of the running jobs of a batch, "*" for all batches, from now until ctx
// ends. The sequence can be ranged over once.
func (c *Client) WatchProgress(ctx context.Context, batch string) (iter.Seq[Progress], error) {
	return watch[Progress](ctx, c, c.names.ProgressFilter(batch))
}

// WatchStatus returns the status of all workers from now until ctx ends. The sequence can be ranged
// over once.
func (c *Client) WatchStatus(ctx context.Context) (iter.Seq[Status], error) {
	return watch[Status](ctx, c, c.names.StatusFilter())
}

// watch subscribes and returns what arrives once the broker knows of it; a broker that is away learns of it when
// it is back. Messages that are no T are skipped: anyone may publish. A reader that is too slow misses some.
func watch[T any](ctx context.Context, c *Client, subject string) (iter.Seq[T], error) {
	sub, err := c.nc.SubscribeSync(subject)
	if err != nil {
		return nil, &brokerError{"subscribing to " + subject, err}
	}
	if err := c.Check(ctx); err != nil && ctx.Err() == nil {
		c.log.Debug("watching begins when the broker is back", slog.String("subject", subject), slog.Any("error", err))
	}
	unsubscribe := func() {
		_ = sub.Unsubscribe() // fails on a closed connection, which has ended the subscription
	}
	stop := context.AfterFunc(ctx, unsubscribe)
	return func(yield func(T) bool) {
		defer func() {
			stop()
			unsubscribe() // also where ctx does: by the time that this returns, for a connection that is told to end meanwhile waits for what nobody reads
		}()
		for {
			msg, err := sub.NextMsgWithContext(ctx)
			switch {
			case err == nil:
			case ctx.Err() != nil || !sub.IsValid():
				return
			case errors.Is(err, nats.ErrSlowConsumer):
				continue // some were dropped
			default:
				c.log.Warn("watching ends", slog.String("subject", subject), slog.Any("error", err))
				return
			}
			var v T
			if json.Unmarshal(msg.Data, &v) == nil && !yield(v) {
				return
			}
		}
	}, nil
}
