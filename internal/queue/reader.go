package queue

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	readBatch = 500             // messages asked for at once
	readWait  = 5 * time.Second // for one request
	readBeat  = time.Second     // of the broker while it has nothing; two missed mean that it is gone
	readIdle  = time.Minute     // after which the broker forgets a reader that is gone
)

// reader reads a stream in order by an ephemeral consumer, which it replaces when messages went missing.
// What nats.go has for this cannot be stopped while the broker is away. One goroutine uses it.
type reader struct {
	client *Client
	stream string
	filter string    // of subjects
	after  uint64    // sequence of the last message that was yielded
	since  time.Time // nothing older is wanted; zero for all. It holds while after is 0.

	consumer jetstream.Consumer // nil to be made anew
	seen     uint64             // the consumer's sequence of its last message
	left     uint64             // messages that were stored and not yet delivered, as of the last one
}

// open makes a consumer if there is none. A stream that ends before what was read of it was made anew, and is read from
// its beginning.
func (r *reader) open(ctx context.Context) error {
	if r.consumer != nil {
		return nil
	}
	if r.after > 0 {
		err := r.client.try(ctx, "following "+r.filter, func(ctx context.Context) error {
			s, err := r.client.js.Stream(ctx, r.stream)
			if err == nil && s.CachedInfo().State.LastSeq < r.after {
				r.after = 0
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	cfg := jetstream.ConsumerConfig{
		FilterSubject: r.filter, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: r.after + 1,
		AckPolicy: jetstream.AckNonePolicy, InactiveThreshold: readIdle, MemoryStorage: true, Replicas: 1,
	}
	if r.after == 0 && !r.since.IsZero() {
		cfg.DeliverPolicy, cfg.OptStartSeq, cfg.OptStartTime = jetstream.DeliverByStartTimePolicy, 0, &r.since
	}
	return r.client.try(ctx, "following "+r.filter, func(ctx context.Context) error {
		consumer, err := r.client.js.CreateConsumer(ctx, r.stream, cfg)
		if err != nil {
			return err
		}
		r.consumer, r.seen, r.left = consumer, 0, consumer.CachedInfo().NumPending
		return nil
	})
}

// pull yields the messages that one request brings, and returns false when there should be no other. When yield has
// returned false, the consumer is of no more use.
func (r *reader) pull(ctx context.Context, yield func(jetstream.Msg, *jetstream.MsgMetadata) bool) bool {
	once, cancel := context.WithTimeout(ctx, readWait)
	defer cancel()
	batch, err := r.consumer.Fetch(readBatch, jetstream.FetchContext(once), jetstream.FetchHeartbeat(readBeat))
	if err != nil { // not connected
		r.forget()
		return sleep(ctx, tryWaitMax/4) == nil
	}
	before := r.after
	for msg := range batch.Messages() {
		meta, err := msg.Metadata()
		if err != nil || meta.Sequence.Consumer != r.seen+1 {
			r.forget() // one was lost on its way
			return true
		}
		r.seen, r.after, r.left = meta.Sequence.Consumer, meta.Sequence.Stream, meta.NumPending
		if !yield(msg, meta) {
			return false
		}
	}
	if once.Err() == nil && batch.Error() != nil { // the broker or the consumer went away
		r.forget()
		return sleep(ctx, tryWaitMin) == nil
	}
	if r.after == before {
		r.lookForLost(ctx)
	}
	return true
}

// lookForLost lets go of a consumer that has brought nothing while there is something: it was sent and did not arrive.
// Behind it no other message comes by which it would be missed.
func (r *reader) lookForLost(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	// An error says nothing: the next request that brings nothing looks again.
	if last, err := r.client.askLeader(ctx, r.stream, messageAt{Last: r.filter}); err == nil && !r.through(last) {
		r.forget()
	}
}

// forget lets go of the consumer. The broker deletes it after a minute in which nobody asks.
func (r *reader) forget() { r.consumer = nil }

// rest yields the messages that are stored now, and ends. Errors are those of open, and ctx's own.
func (r *reader) rest(ctx context.Context, yield func(jetstream.Msg, *jetstream.MsgMetadata) bool) error {
	defer r.forget() // a request that is broken off goes on at the broker and swallows what comes
	for {
		if err := r.open(ctx); err != nil {
			return err
		}
		if r.left == 0 {
			if all, err := r.all(ctx); all || err != nil {
				return err
			}
			r.forget()
			if err := sleep(ctx, tryWaitMin); err != nil {
				return &brokerError{"reading " + r.filter, context.Cause(ctx)}
			}
			continue
		}
		before, wanted := r.after, true
		r.pull(ctx, func(msg jetstream.Msg, meta *jetstream.MsgMetadata) bool {
			wanted = yield(msg, meta)
			return wanted && meta.NumPending > 0
		})
		switch {
		case !wanted:
			return nil
		case ctx.Err() != nil:
			return &brokerError{"reading " + r.filter, context.Cause(ctx)}
		case r.after == before:
			r.forget() // what was left may have been removed: count again
		}
	}
}

// all reports whether nothing is left that the stream's leader knows of. The replica that a consumer reads may lag.
func (r *reader) all(ctx context.Context) (bool, error) {
	last, err := r.client.leaderGet(ctx, r.stream, messageAt{Last: r.filter})
	if err != nil {
		return false, err
	}
	return r.through(last), nil
}

// through reports whether the last message that there is, nil for none, is not one to come.
func (r *reader) through(last *jetstream.RawStreamMsg) bool {
	return last == nil || last.Sequence <= r.after || last.Time.Before(r.since)
}
