package queue

import (
	"context"
	"iter"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Followed is a result in the order in which results were stored.
type Followed struct {
	Result
	Sequence uint64    // in RESULTS; FollowResults goes on after it
	Pending  uint64    // further results that are stored already
	Stored   time.Time // when the broker stored it
}

const (
	followBatch = 500             // results asked for at once
	followWait  = 5 * time.Second // for one request
	followBeat  = time.Second     // of the broker while it has nothing; two missed mean that it is gone
	followIdle  = time.Minute     // after which the broker forgets a follower that is gone
)

// FollowResults returns the results of a batch, "*" for all batches, that are stored after a sequence, 0 for
// all, and goes on with those that come, until ctx ends. A record that is replaced by that of a retry comes
// again. Reconnects and restarts of the broker go unnoticed. An error is the last thing that comes: there is no
// such stream, or no right to read it.
func (c *Client) FollowResults(ctx context.Context, batch string, after uint64) iter.Seq2[Followed, error] {
	return func(yield func(Followed, error) bool) {
		f := follower{client: c, filter: c.names.ResultFilter(batch), after: after}
		defer f.forget()
		for ctx.Err() == nil {
			if err := f.open(ctx); err != nil {
				if ctx.Err() == nil {
					yield(Followed{}, err)
				}
				return
			}
			if !f.pull(ctx, func(r Followed) bool { return yield(r, nil) }) {
				return
			}
		}
	}
}

// follower reads a stream in order by an ephemeral consumer, which it replaces when messages went missing.
// What nats.go has for this cannot be stopped while the broker is away.
type follower struct {
	client   *Client
	filter   string
	after    uint64             // sequence of the last message that was yielded
	consumer jetstream.Consumer // nil to be made anew
	seen     uint64             // the consumer's sequence of its last message
	left     uint64             // messages that were stored and not yet delivered, as of the last one
}

// open makes a consumer if there is none.
func (f *follower) open(ctx context.Context) error {
	if f.consumer != nil {
		return nil
	}
	c := f.client
	return c.try(ctx, "following "+f.filter, func(ctx context.Context) error {
		consumer, err := c.js.CreateConsumer(ctx, c.names.ResultsStream(), jetstream.ConsumerConfig{
			FilterSubject: f.filter, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: f.after + 1,
			AckPolicy: jetstream.AckNonePolicy, InactiveThreshold: followIdle, MemoryStorage: true, Replicas: 1,
		})
		if err != nil {
			return err
		}
		f.consumer, f.seen, f.left = consumer, 0, consumer.CachedInfo().NumPending
		return nil
	})
}

// pull yields the results that one request brings, and returns false when there should be no other.
func (f *follower) pull(ctx context.Context, yield func(Followed) bool) bool {
	once, cancel := context.WithTimeout(ctx, followWait)
	defer cancel()
	batch, err := f.consumer.Fetch(followBatch, jetstream.FetchContext(once), jetstream.FetchHeartbeat(followBeat))
	if err != nil { // not connected
		f.forget()
		return sleep(ctx, tryWaitMax/4) == nil
	}
	for msg := range batch.Messages() {
		meta, err := msg.Metadata()
		if err != nil || meta.Sequence.Consumer != f.seen+1 {
			f.forget() // one was lost on its way
			return true
		}
		f.seen, f.after, f.left = meta.Sequence.Consumer, meta.Sequence.Stream, meta.NumPending
		r, err := DecodeResult(msg.Data())
		if err != nil {
			f.client.log.Warn("a damaged result is ignored", slog.String("subject", msg.Subject()), slog.Any("error", err))
			continue
		}
		if !yield(Followed{r, meta.Sequence.Stream, meta.NumPending, meta.Timestamp}) {
			return false
		}
	}
	if once.Err() == nil && batch.Error() != nil { // the broker or the consumer went away
		f.forget()
		return sleep(ctx, tryWaitMin) == nil
	}
	return true
}

// forget lets go of the consumer. The broker deletes it after a minute in which nobody asks.
func (f *follower) forget() { f.consumer = nil }
