package queue

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"
)

// Settled reports whether the queue holds no job of a batch that still wants a result: such a job waits or runs,
// for the first time or as a retry. One whose result is stored, and which its worker could not acknowledge, does
// not count. Last is the sequence in RESULTS of the batch's last result, 0 for none, looked up afterwards: who has
// seen it has seen the results of all jobs that were settled.
//
// Running jobs of a batch that was cancelled are no longer in the queue.
func (c *Client) Settled(ctx context.Context, batch string) (last uint64, settled bool, err error) {
	filter := c.names.BatchFilter(batch)
	for after := uint64(0); ; {
		msg, err := c.nextJob(ctx, filter, after)
		if err != nil {
			return 0, false, err
		}
		if msg == nil {
			break
		}
		after = msg.Sequence
		id, err := parseIdentity(batch, msg.Header.Get(jetstream.MsgIDHeader))
		if err != nil {
			continue // not readable: its worker will say so, in a dead letter without a result
		}
		done, err := c.done(ctx, id)
		if err != nil || !done {
			return 0, false, err
		}
	}
	last, err = c.LastResult(ctx, batch)
	return last, err == nil, err
}

// LastResult returns the sequence of the last result of a batch, 0 for none. A damaged one, which nobody is told of, is
// none.
func (c *Client) LastResult(ctx context.Context, batch string) (uint64, error) {
	msg, err := c.leaderGet(ctx, c.names.ResultsStream(), messageAt{Last: c.names.ResultFilter(batch)})
	if msg == nil || err != nil {
		return 0, err
	}
	if _, damage := DecodeResult(msg.Data); damage == nil {
		return msg.Sequence, nil
	}
	newest, err := c.NewestResults(ctx, batch, 0, pageMost)
	if len(newest) == 0 || err != nil {
		return 0, err
	}
	return newest[0].Sequence, nil
}
