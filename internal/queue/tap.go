package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	rebindAfter = time.Minute // how long a consumer's configuration is believed: an admin may change AckWait
	repairMin   = time.Second // between attempts to find or make a consumer that is missing
	repairMax   = 30 * time.Second
	pullSilence = 900 * time.Millisecond // a pull that brought nothing, not even a no: the client gives up after 1 s
	pauseLook   = 2 * time.Second        // how long a pause is believed: it may be ended early
)

// tap pulls from the consumer of one priority and model. The goroutine of its Source owns it.
type tap struct {
	client   *Client
	layout   Layout
	priority string
	model    string

	consumer jetstream.Consumer // nil until found
	ackWait  time.Duration      // of the consumer, as of bound
	bound    time.Time          // when the consumer was last looked up
	paused   bool               // it was paused then
	repair   backoff            // between look-ups that fail
	next     time.Time          // no look-up before

	failing string    // why the last pull failed; "" if it did not
	logged  time.Time // when the log said so
}

func newTap(c *Client, l Layout, priority, model string) *tap {
	return &tap{client: c, layout: l, priority: priority, model: model, repair: backoff{min: repairMin, max: repairMax}}
}

// pull returns at most n jobs that wait at the consumer now. What fails is logged and mended next time.
func (t *tap) pull(ctx context.Context, n int, timeout time.Duration) []*Delivery {
	if err := t.bind(ctx); err != nil {
		t.report(err)
		return nil
	}
	if t.consumer == nil || t.paused {
		return nil // missing or paused, and not yet time to look again
	}
	asked := time.Now()
	batch, err := t.consumer.FetchNoWait(n)
	if err != nil {
		t.report(err)
		return nil
	}
	// Without regard for ctx: a pull that is left alone swallows what it brings.
	var got []*Delivery
	for msg := range batch.Messages() {
		d, err := t.client.newDelivery(msg, t.model, t.ackWait, timeout, asked)
		if err != nil {
			t.report(err)
			continue
		}
		got = append(got, d)
	}
	err = batch.Error()
	if err == nil && len(got) == 0 && time.Since(asked) > pullSilence {
		err = fmt.Errorf("the broker does not answer: %w", nats.ErrTimeout)
		if t.findPause(ctx) {
			err = nil
		}
	}
	if missing(err) {
		t.consumer = nil
	}
	t.report(err)
	return got
}

// findPause reports whether the consumer is paused: such a one leaves pulls without an answer.
func (t *tap) findPause(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	return t.lookUp(ctx) == nil && t.paused
}

// bind looks the consumer up if it is unknown or its configuration is old, and has it made if it is missing.
func (t *tap) bind(ctx context.Context) error {
	now := time.Now()
	believe := rebindAfter
	if t.paused {
		believe = pauseLook
	}
	if now.Before(t.next) || t.consumer != nil && now.Sub(t.bound) < believe {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	err := t.lookUp(ctx)
	if missing(err) && !t.client.config.NoAutoCreate {
		// How the rest differs from the layout was said at the start.
		if _, err = t.client.Setup(ctx, t.layout); err == nil {
			t.client.log.Warn("made a missing consumer", slog.String("consumer", ConsumerName(t.priority, t.model)))
			err = t.lookUp(ctx)
		}
	}
	if err != nil {
		t.next = time.Now().Add(t.repair.next())
		return fmt.Errorf("looking up the consumer: %w", classify(err))
	}
	t.repair.reset()
	return nil
}

func (t *tap) lookUp(ctx context.Context) error {
	consumer, err := t.client.js.Consumer(ctx, t.client.names.JobsStream(), ConsumerName(t.priority, t.model))
	if err != nil {
		return err
	}
	t.consumer, t.bound = consumer, time.Now()
	info := consumer.CachedInfo()
	switch {
	case info.Paused && !t.paused:
		t.client.log.Info("the consumer is paused", slog.String("consumer", info.Name), slog.Duration("remaining", info.PauseRemaining.Round(time.Second)))
	case !info.Paused && t.paused:
		t.client.log.Info("the consumer delivers again", slog.String("consumer", info.Name))
	}
	t.paused = info.Paused
	cfg := info.Config
	t.ackWait = cfg.AckWait
	if len(cfg.BackOff) > 0 {
		t.ackWait = cfg.BackOff[0] // it takes the place of AckWait
	}
	return nil
}

// missing reports whether err says that a consumer or its stream is not there.
func missing(err error) bool {
	return errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) ||
		errors.Is(err, jetstream.ErrConsumerDeleted) || errors.Is(err, jetstream.ErrConsumerDoesNotExist) || unanswered(err)
}

// report logs a pull that failed, once and then every 30 s while it fails in the same way, and one that is well
// again. Of a broker that is away the connection speaks.
func (t *tap) report(err error) {
	now := time.Now()
	attr := slog.String("consumer", ConsumerName(t.priority, t.model))
	switch {
	case err == nil && t.failing == "":
	case err == nil:
		t.failing = ""
		t.client.log.Info("fetching jobs again", attr)
	case !t.client.Connected():
	case err.Error() != t.failing || now.Sub(t.logged) >= outageLogEvery:
		t.failing, t.logged = err.Error(), now
		t.client.log.Warn("no jobs can be fetched", attr, slog.Any("error", err))
	}
}
