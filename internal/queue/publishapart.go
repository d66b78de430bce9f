package queue

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// publishApart stores up to ChunkSize jobs of one batch, in one atomic batch if it can. None of them answers for another,
// as in a chunk that is always cut alike: other commands may have published some, or do so meanwhile. So what the broker
// knows is published one by one, and before any second try each job is looked for. after is a sequence of JOBS from
// before the first try.
//
// Errors are those of Publish.
func (c *Client) publishApart(ctx context.Context, jobs []Message, after uint64) error {
	msgs, err := c.chunk(jobs)
	if err != nil {
		return err
	}
	known := false
	first, last := jobs[0].Job.Identity(), jobs[len(jobs)-1].Job.Identity()
	err = c.publishOnce(ctx, fmt.Sprintf("publishing jobs %s to %s", first.MsgID(), last.MsgID()), func(ctx context.Context) error {
		_, err := c.publishBatch(ctx, msgs)
		known = apiCode(err) == codeBatchDuplicate
		return err
	}, func() (bool, error) {
		if jobs, err = c.unstored(ctx, jobs, after); len(jobs) == 0 || err != nil {
			return err == nil, err
		}
		msgs, err = c.chunk(jobs)
		return false, err
	})
	if known {
		_, err = c.publishEach(ctx, jobs, msgs, after)
	}
	return c.batchError(err)
}

// unstored returns those of some jobs of a batch that are neither in the queue, above a sequence, nor done. It asks in
// that order, as ChunkStored does.
func (c *Client) unstored(ctx context.Context, jobs []Message, after uint64) ([]Message, error) {
	waiting := map[string]bool{} // by Nats-Msg-Id
	for {
		msg, err := c.nextJob(ctx, c.names.BatchFilter(jobs[0].Job.BatchID), after)
		if err != nil {
			return nil, err
		}
		if msg == nil {
			break
		}
		waiting[msg.Header.Get(jetstream.MsgIDHeader)] = true
		after = msg.Sequence
	}
	var left []Message
	for _, m := range jobs {
		id := m.Job.Identity()
		if waiting[id.MsgID()] {
			continue
		}
		done, err := c.done(ctx, id)
		if err != nil {
			return nil, err
		}
		if !done {
			left = append(left, m)
		}
	}
	return left, nil
}
