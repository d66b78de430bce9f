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

// FollowResults returns the results of a batch, "*" for all batches, that are stored after a sequence, 0 for
// all, and goes on with those that come, until ctx ends. A record that is replaced by that of a retry comes
// again. Reconnects and restarts of the broker go unnoticed; of a stream that was made anew since, and has not come as far
// as that sequence, all come. An error is the last thing that comes: there is no such stream, or no right to read it.
func (c *Client) FollowResults(ctx context.Context, batch string, after uint64) iter.Seq2[Followed, error] {
	return func(yield func(Followed, error) bool) {
		r := c.readResults(batch, after)
		for ctx.Err() == nil {
			if err := r.open(ctx); err != nil {
				if ctx.Err() == nil {
					yield(Followed{}, err)
				}
				return
			}
			if !r.pull(ctx, c.eachResult(func(f Followed) bool { return yield(f, nil) })) {
				return
			}
		}
	}
}

// readResults is a reader of the results of a batch.
func (c *Client) readResults(batch string, after uint64) *reader {
	return &reader{client: c, stream: c.names.ResultsStream(), filter: c.names.ResultFilter(batch), after: after}
}

// eachResult makes a reader's yield of one that takes results.
func (c *Client) eachResult(yield func(Followed) bool) func(jetstream.Msg, *jetstream.MsgMetadata) bool {
	return func(msg jetstream.Msg, meta *jetstream.MsgMetadata) bool {
		r, err := DecodeResult(msg.Data())
		if err != nil {
			c.log.Warn("a damaged result is ignored", slog.String("subject", msg.Subject()), slog.Any("error", err))
			return true
		}
		return yield(Followed{r, meta.Sequence.Stream, meta.NumPending, meta.Timestamp})
	}
}
