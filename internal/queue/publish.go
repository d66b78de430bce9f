package queue

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

// ChunkSize is the most jobs that one PublishChunk takes: the limit of an atomic batch in nats-server.
const ChunkSize = 1000

// batchAckTimeout is how long the broker may take to let a batch begin, for which it stores nothing.
const batchAckTimeout = 2 * time.Second

// publishMost is the most time that one try to publish gets: enough for the largest chunk, of 32 MB, at 2 Mbit/s.
const publishMost = 2 * time.Minute

// Message is a job on its way into the queue.
type Message struct {
	Priority string      // High, Normal or Low
	Job      Job         // its identity filled in
	Header   nats.Header // trace context; nil for none. Nats- headers are not passed on.
}

// Ack is the broker's word that what was published is stored.
type Ack struct {
	Sequence  uint64 // in JOBS; of a chunk the highest
	Duplicate bool   // the broker knew all of it: each Nats-Msg-Id was seen within the last two minutes
}

// Publish stores a job. It tries again, with the same Nats-Msg-Id, while the broker is away or does not answer,
// until ctx ends; so what was stored before an answer was lost is not stored twice, however long that takes.
//
// Errors: *InvalidError for a job that breaks a rule, ErrQueueFull, ErrMissing, and what else the broker says.
func (c *Client) Publish(ctx context.Context, m Message) (Ack, error) {
	msg, err := c.message(m)
	if err != nil {
		return Ack{}, err
	}
	return c.publish(ctx, msg, m.Job.Identity(), 0)
}

func (c *Client) publish(ctx context.Context, msg *nats.Msg, id Identity, after uint64) (Ack, error) {
	var ack Ack
	err := c.publishOnce(ctx, "publishing job "+id.MsgID(), func(ctx context.Context) error {
		pub, err := c.js.PublishMsg(ctx, msg)
		if err != nil {
			return err
		}
		ack = Ack{Sequence: pub.Sequence, Duplicate: pub.Duplicate}
		return nil
	}, func() (found bool, err error) {
		ack.Sequence, found, err = c.jobStored(ctx, msg.Subject, id, after)
		ack.Duplicate = found
		return found, err
	})
	return ack, queueFull(err)
}

// PublishChunk stores up to ChunkSize jobs in one atomic batch: all or none of them. The broker refuses a batch
// that holds a job it knows. That is what becomes of a chunk whose answer was lost and which is published again,
// and then all of it is known; jobs that are not, because the chunk was cut elsewhere before, are stored one by
// one. after is as for ResumeChunk.
//
// Errors are those of Publish.
func (c *Client) PublishChunk(ctx context.Context, chunk []Message, after uint64) (Ack, error) {
	msgs, err := c.chunk(chunk)
	if err != nil {
		return Ack{}, err
	}
	var ack Ack
	known := false
	first, last := chunk[0].Job.Identity(), chunk[len(chunk)-1].Job.Identity()
	err = c.publishOnce(ctx, fmt.Sprintf("publishing jobs %s to %s", first.MsgID(), last.MsgID()), func(ctx context.Context) error {
		sequence, err := c.publishBatch(ctx, msgs)
		if known = apiCode(err) == codeBatchDuplicate; known || err != nil {
			return err
		}
		ack = Ack{Sequence: sequence}
		return nil
	}, func() (found bool, err error) {
		ack, found, err = c.ChunkStored(ctx, chunk, after)
		return found, err
	})
	if known {
		return c.complete(ctx, chunk, msgs, after)
	}
	return ack, c.batchError(err)
}

// publishBatch publishes messages in one atomic batch and returns the sequence of the last.
func (c *Client) publishBatch(ctx context.Context, msgs []*nats.Msg) (uint64, error) {
	ack, err := jetstreamext.PublishMsgBatch(ctx, c.js, msgs, jetstreamext.BatchFlowControl{AckFirst: true, AckTimeout: batchAckTimeout})
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// batchError adds to the error of an atomic batch what to do about it.
func (c *Client) batchError(err error) error {
	if apiCode(err) == codeBatchNotEnabled {
		return fmt.Errorf("%w; set allow_atomic on stream %s", err, c.names.JobsStream())
	}
	return queueFull(err)
}

// errUnsure ends the tries of a publish before one that might store what an earlier one has stored.
var errUnsure = errors.New("what was sent may be stored")

// publishOnce runs op, which publishes under the same ids each time, until it is answered. Before each try but the first
// stored is asked whether there is still a need.
func (c *Client) publishOnce(ctx context.Context, doing string, op func(context.Context) error, stored func() (bool, error)) error {
	wait := backoff{min: tryWaitMin, max: tryWaitMax}
	var absent absence
	limit := c.tryTime
	for {
		var last error
		tries := 0
		var took time.Duration
		err := c.tryIn(ctx, limit, doing, func(ctx context.Context) error {
			if tries++; tries > 1 {
				return errUnsure
			}
			began := time.Now()
			last = op(ctx)
			took = time.Since(began)
			return last
		})
		// A slow link carries a large chunk in more than that, each time.
		limit = max(limit, min(2*took, publishMost))
		if !errors.Is(err, errUnsure) {
			return err
		}
		if absent.tooLong(last, c.absence) {
			return &brokerError{doing, fmt.Errorf("no stream takes it: %w", ErrMissing)}
		}
		if found, err := stored(); found || err != nil {
			return err
		}
		if err := sleep(ctx, wait.next()); err != nil {
			return &brokerError{doing, fmt.Errorf("%w (last: %w)", context.Cause(ctx), last)}
		}
	}
}

// chunk makes the messages of a chunk.
func (c *Client) chunk(chunk []Message) ([]*nats.Msg, error) {
	if len(chunk) == 0 || len(chunk) > ChunkSize {
		return nil, fmt.Errorf("publishing a chunk: it has %d jobs, must have 1 to %d", len(chunk), ChunkSize)
	}
	msgs := make([]*nats.Msg, len(chunk))
	seen := make(map[string]bool, len(chunk))
	for i, m := range chunk {
		msg, err := c.message(m)
		if err != nil {
			return nil, err
		}
		id := msg.Header.Get(jetstream.MsgIDHeader)
		if seen[id] {
			return nil, fmt.Errorf("publishing a chunk: job %s stands in it twice", id)
		}
		seen[id] = true
		msgs[i] = msg
	}
	return msgs, nil
}

// complete publishes the jobs of a chunk of which some are known, one by one, unless both ends of it are in the
// queue or were: then it was cut as it is now and stored whole.
func (c *Client) complete(ctx context.Context, chunk []Message, msgs []*nats.Msg, after uint64) (Ack, error) {
	all := Ack{Duplicate: true}
	whole := true
	for _, i := range []int{len(msgs) - 1, 0} {
		seq, found, err := c.jobStored(ctx, msgs[i].Subject, chunk[i].Job.Identity(), after)
		if err != nil {
			return Ack{}, err
		}
		whole = whole && found
		all.Sequence = max(all.Sequence, seq)
	}
	if whole {
		return all, nil
	}
	each, err := c.publishEach(ctx, chunk, msgs, after)
	if err != nil {
		return Ack{}, err
	}
	return Ack{Sequence: max(all.Sequence, each.Sequence), Duplicate: each.Duplicate}, nil
}

// publishEach publishes jobs one by one. The messages are theirs, and have been tried as an atomic batch.
func (c *Client) publishEach(ctx context.Context, jobs []Message, msgs []*nats.Msg, after uint64) (Ack, error) {
	all := Ack{Duplicate: true}
	for i, msg := range msgs {
		for _, mark := range []string{jetstreamext.BatchIDHeader, jetstreamext.BatchSeqHeader, jetstreamext.BatchCommitHeader} {
			msg.Header.Del(mark)
		}
		ack, err := c.publish(ctx, msg, jobs[i].Job.Identity(), after)
		if err != nil {
			return Ack{}, err
		}
		all.Sequence = max(all.Sequence, ack.Sequence)
		all.Duplicate = all.Duplicate && ack.Duplicate
	}
	return all, nil
}

// message makes the message of a job.
func (c *Client) message(m Message) (*nats.Msg, error) {
	id := m.Job.Identity()
	if !slices.Contains(Priorities(), m.Priority) {
		return nil, fmt.Errorf("publishing job %s: priority %s is not one of %v", id.MsgID(), quote(m.Priority), Priorities())
	}
	body, err := m.Job.Encode()
	if err != nil {
		return nil, fmt.Errorf("publishing job %s: %w", id.MsgID(), err)
	}
	header := plainHeader(m.Header)
	header.Set(jetstream.MsgIDHeader, id.MsgID())
	return &nats.Msg{Subject: c.names.JobSubject(m.Priority, m.Job.Model, id.Batch), Header: header, Data: body}, nil
}

// plainHeader copies a header without what speaks to the broker: expectations and batch marks of one message
// would be obeyed for the next.
func plainHeader(h nats.Header) nats.Header {
	plain := make(nats.Header, len(h)+4)
	maps.Copy(plain, h)
	maps.DeleteFunc(plain, func(key string, _ []string) bool { return isBrokerHeader(key) })
	return plain
}

// isBrokerHeader reports whether nats-server may act on a header. It knows its names by case, but whoever
// handed the header on may have changed that.
func isBrokerHeader(key string) bool { return strings.HasPrefix(strings.ToLower(key), "nats-") }

// queueFull tells a full queue from other full streams.
func queueFull(err error) error {
	if errors.Is(err, ErrStreamFull) {
		return fmt.Errorf("%w: %w", ErrQueueFull, err)
	}
	return err
}
