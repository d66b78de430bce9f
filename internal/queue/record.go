package queue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Record writes the result of a job, unless the job has one: then the one that is there stays, except that it
// gives way to a result of a higher retry. It returns whether r is the job's record now. So however many
// workers end a job, and however often each of them writes, the job has one result.
//
// It waits for a broker that is away until ctx ends. A RESULTS stream without room is ErrStreamFull: the job is
// held until there is some.
func (c *Client) Record(ctx context.Context, r Result) (bool, error) {
	return c.RecordHeld(ctx, r, nil)
}

// RecordHeld is Record for a result that only the one who holds the job may give: before each try to write any
// but a success, held is asked, and its error, such as ErrLeaseLost, ends the tries and is in the error returned.
// A success is right whoever has the job by now. (*Delivery).Held is such a check; nil allows everything.
func (c *Client) RecordHeld(ctx context.Context, r Result, held func() error) (bool, error) {
	if r.Status == Succeeded {
		held = nil
	}
	data, err := r.Encode()
	if err != nil {
		return false, err
	}
	id := r.Identity()
	msg := &nats.Msg{Subject: c.names.ResultSubject(id.Batch, id.Index), Data: data}
	return c.putLast(ctx, "recording the result of job "+id.MsgID(), c.names.ResultsStream(), msg, held, func(last *jetstream.RawStreamMsg) verdict {
		if bytes.Equal(last.Data, data) {
			return ours
		}
		if have, err := DecodeResult(last.Data); err == nil && have.Retry >= r.Retry {
			return theirs
		}
		return older // or damaged
	})
}

// Lookup reads the result of a job and whether there is one. A worker that finds one whose Retry is not below
// the job's acknowledges the message and does no work.
func (c *Client) Lookup(ctx context.Context, batch string, index int64) (r Result, found bool, err error) {
	err = c.lookUpLast(ctx, c.names.ResultsStream(), c.names.ResultSubject(batch, index), func(last *jetstream.RawStreamMsg) {
		var damage error
		if r, damage = DecodeResult(last.Data); damage != nil {
			// A record that says nothing must not stop the job; its result will take this one's place.
			c.log.Warn("a damaged result is ignored", slog.String("subject", last.Subject), slog.Uint64("sequence", last.Sequence), slog.Any("error", damage))
			return
		}
		found = true
	})
	return r, found, err
}

// lookUpLast reads the last message of a subject, if there is one.
func (c *Client) lookUpLast(ctx context.Context, streamName, subject string, read func(*jetstream.RawStreamMsg)) error {
	stream, err := c.stream(ctx, streamName)
	if err != nil {
		return err
	}
	return c.try(ctx, "looking up "+subject, func(ctx context.Context) error {
		last, err := stream.GetLastMsgForSubject(ctx, subject)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil
		}
		if err == nil {
			read(last)
		}
		return err
	})
}

// verdict is what the last message of a subject means to one that would follow it.
type verdict int

const (
	ours   verdict = iota + 1 // it is the same: an earlier write whose answer was lost
	theirs                    // it stays, the new one is not written
	older                     // it gives way
)

// putLast publishes a message as the first of its subject, or after a last one that gives way, by
// compare-and-swap on that one's sequence. It returns whether the message is the last one now. Before each try
// held, if there is one, may refuse: a broker that was away for a while may have given the job to another worker.
func (c *Client) putLast(ctx context.Context, doing, streamName string, msg *nats.Msg, held func() error, judge func(last *jetstream.RawStreamMsg) verdict) (bool, error) {
	stored := false
	var after uint64 // sequence of the message to follow, 0 for none
	var refused error
	err := c.try(ctx, doing, func(ctx context.Context) error {
		if held != nil {
			if refused = held(); refused != nil {
				return refused
			}
		}
		_, err := c.js.PublishMsg(ctx, msg, jetstream.WithExpectLastSequencePerSubject(after), jetstream.WithRetryAttempts(0)) // of its own, which ask nobody
		if !wrongLastSequence(err) {
			stored = err == nil
			return err
		}
		stream, getErr := c.stream(ctx, streamName)
		if getErr != nil {
			return getErr
		}
		last, getErr := stream.GetLastMsgForSubject(ctx, msg.Subject)
		if errors.Is(getErr, jetstream.ErrMsgNotFound) {
			after = 0 // deleted in between, or a replica that lags behind
			return again(err)
		}
		if getErr != nil {
			return getErr
		}
		switch judge(last) {
		case ours:
			stored = true
			return nil
		case theirs:
			return nil
		}
		after = last.Sequence
		return again(err)
	})
	if refused != nil {
		return false, fmt.Errorf("%s: %w", doing, refused)
	}
	return stored, err
}
