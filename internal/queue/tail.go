package queue

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Tail reads the results of all batches by a durable consumer, which remembers what was settled: each result comes until
// it is, however often its readers are killed. Several readers of one name share the work. One goroutine uses a Tail;
// what it yields may be settled by any.
type Tail struct {
	client   *Client
	name     string
	ackWait  time.Duration      // of a consumer that is made
	consumer jetstream.Consumer // nil to be looked up
}

// tailAckPending bounds the results that wait for another delivery: so many may be given back with a delay before one
// receiver's trouble keeps the results of others from coming.
const tailAckPending = 1_000_000

// Tail returns a reader by the durable consumer of that name. It makes the consumer when it is first used, if it is
// not there: then all results that are stored come. AckWait is the time after which a result comes again that nobody
// has settled.
func (c *Client) Tail(name string, ackWait time.Duration) *Tail {
	return &Tail{client: c, name: name, ackWait: ackWait}
}

// TailedResult is a result to be settled with Done or Again.
type TailedResult struct {
	Result
	Data       []byte    // its JSON, as it was recorded
	Deliveries int       // how often it came, this time included
	Stored     time.Time // when it was recorded

	msg jetstream.Msg
	log *slog.Logger
}

// Pull yields at most n results as they come, and ends after five seconds or when ctx does. A broker that is away is
// waited for. An error is the last that comes: there is no such stream, or no right to read it.
func (t *Tail) Pull(ctx context.Context, n int) iter.Seq2[TailedResult, error] {
	return func(yield func(TailedResult, error) bool) {
		if err := t.open(ctx); err != nil {
			if ctx.Err() == nil {
				yield(TailedResult{}, err)
			}
			return
		}
		once, cancel := context.WithTimeout(ctx, readWait)
		defer cancel()
		batch, err := t.consumer.Fetch(n, jetstream.FetchContext(once), jetstream.FetchHeartbeat(readBeat))
		if err != nil { // not connected
			t.consumer = nil
			_ = sleep(ctx, tryWaitMax/4) // ends early with ctx, at which the caller looks
			return
		}
		// What comes after yield has returned false is not settled, and so comes again.
		for msg := range batch.Messages() {
			if r, ok := t.read(ctx, msg); ok && !yield(r, nil) {
				return
			}
		}
		if once.Err() == nil && batch.Error() != nil { // the broker or the consumer went away
			t.consumer = nil
			_ = sleep(ctx, tryWaitMin) // as above
		}
	}
}

// read decodes a message. One that cannot be read is not wanted again.
func (t *Tail) read(ctx context.Context, msg jetstream.Msg) (TailedResult, bool) {
	log := t.client.log
	meta, err := msg.Metadata()
	if err != nil {
		log.WarnContext(ctx, "a message of another kind is ignored", slog.String("subject", msg.Subject()), slog.Any("error", err))
		return TailedResult{}, false
	}
	r, err := DecodeResult(msg.Data())
	if err != nil {
		log.WarnContext(ctx, "a damaged result is ignored", slog.String("subject", msg.Subject()), slog.Any("error", err))
		if err := msg.Term(); err != nil {
			log.WarnContext(ctx, "a damaged result comes again", slog.Any("error", err))
		}
		return TailedResult{}, false
	}
	return TailedResult{Result: r, Data: msg.Data(), Deliveries: int(meta.NumDelivered), Stored: meta.Timestamp, msg: msg, log: log}, true
}

// Done lets the result not come again. Where the broker does not hear it, it does.
func (r TailedResult) Done() { r.settle(r.msg.Ack()) }

// Again lets the result come again, not before the delay has passed; earlier where the broker does not hear it.
func (r TailedResult) Again(delay time.Duration) { r.settle(r.msg.NakWithDelay(delay)) }

func (r TailedResult) settle(err error) {
	if err != nil {
		r.log.Debug("a result was not settled and comes again", slog.String("job", r.Identity().String()), slog.Any("error", err))
	}
}

// open looks the consumer up, and makes it if it is not there.
func (t *Tail) open(ctx context.Context) error {
	if t.consumer != nil {
		return nil
	}
	c := t.client
	stream := c.names.ResultsStream()
	return c.try(ctx, "opening consumer "+t.name, func(ctx context.Context) error {
		consumer, err := c.js.Consumer(ctx, stream, t.name)
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			consumer, err = c.js.CreateConsumer(ctx, stream, jetstream.ConsumerConfig{
				Durable: t.name, FilterSubject: c.names.ResultFilter("*"), DeliverPolicy: jetstream.DeliverAllPolicy,
				AckPolicy: jetstream.AckExplicitPolicy, AckWait: t.ackWait, MaxDeliver: -1, MaxAckPending: tailAckPending,
			})
			if errors.Is(err, jetstream.ErrConsumerExists) {
				consumer, err = c.js.Consumer(ctx, stream, t.name)
			}
		}
		if err != nil {
			return err
		}
		t.consumer = consumer
		return nil
	})
}

// TailState is how far the readers of a durable consumer are.
type TailState struct {
	Exists  bool
	Readers int   // that ask for results just now
	Pending int64 // results that were not delivered yet
	Held    int64 // delivered, and not settled, or given back with a delay
}

// TailState asks for that of a name.
func (c *Client) TailState(ctx context.Context, name string) (TailState, error) {
	var s TailState
	err := c.try(ctx, "looking up consumer "+name, func(ctx context.Context) error {
		consumer, err := c.js.Consumer(ctx, c.names.ResultsStream(), name)
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			s = TailState{}
			return nil
		}
		if err != nil {
			return err
		}
		info := consumer.CachedInfo() // just asked for
		s = TailState{Exists: true, Readers: info.NumWaiting, Pending: int64(info.NumPending), Held: int64(info.NumAckPending)}
		return nil
	})
	if err != nil {
		return TailState{}, err
	}
	return s, nil
}
