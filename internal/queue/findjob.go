package queue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

// QueuedJob is a job that is in the queue, and where it stands.
type QueuedJob struct {
	ID        Identity
	Priority  string
	Job       Job   // as Decode returns it
	Err       error // why it is no job; Job holds nothing then
	Header    nats.Header
	Sequence  uint64 // in JOBS
	Published time.Time

	Consumer    bool      // there is one that will deliver it: some worker has served the model
	Delivered   bool      // it was given to a worker, which holds it, or has put it off, or is gone
	Ahead       int64     // jobs of its priority and model that come first, if it was not delivered; about
	PausedUntil time.Time // the consumer delivers nothing before; zero if it is not paused

	Start Start // the starts that are counted so far; a first one that runs is not
}

// FindJob looks for a job in the queue. It is for one job that a person asks about: where jobs were published in the
// order of their indexes, as enqueue does it, it takes a few requests; a retry, or a job that is not there, takes one for
// each thousand messages of the batch.
func (c *Client) FindJob(ctx context.Context, batch string, index int64) (QueuedJob, bool, error) {
	want := Identity{Batch: batch, Index: index}
	if err := want.validate(); err != nil {
		return QueuedJob{}, false, fmt.Errorf("looking for a job: %w", err)
	}
	msg, err := c.jumpTo(ctx, want)
	if err == nil && msg == nil {
		msg, err = c.scanFor(ctx, want)
	}
	if err != nil || msg == nil {
		return QueuedJob{}, false, err
	}
	q := QueuedJob{Header: plainHeader(msg.Header), Sequence: msg.Sequence, Published: msg.Time}
	if q.ID, err = parseIdentity(batch, msg.Header.Get(jetstream.MsgIDHeader)); err != nil {
		return QueuedJob{}, false, err // not reached: it was found by its id
	}
	q.Job, q.Err = Decode(msg.Data, q.ID)
	priority, token, _, _ := c.names.parseJobSubject(msg.Subject) // it matched the filter, so it is one
	q.Priority = priority
	if err := c.place(ctx, &q, token); err != nil {
		return QueuedJob{}, false, err
	}
	q.Start, err = c.starts(ctx, q.ID)
	return q, true, err
}

// jumpTo looks for a job among those of a batch that were never retried, which lie in the order of their indexes: each
// takes a sequence at least, so the job's is at least as far ahead as its index. It returns nil where the job is not
// there, or not in this order.
func (c *Client) jumpTo(ctx context.Context, want Identity) (*jetstream.RawStreamMsg, error) {
	filter := c.names.BatchFilter(want.Batch)
	for after := uint64(0); ; {
		msg, err := c.nextJob(ctx, filter, after)
		if err != nil || msg == nil {
			return nil, err
		}
		index, ordered := orderedIndex(msg, want.Batch)
		switch {
		case !ordered || index > want.Index:
			return nil, nil //nolint:nilnil // no message: it is not there in this order
		case index == want.Index:
			return msg, nil
		}
		after = msg.Sequence + uint64(want.Index-index) - 1
	}
}

// orderedIndex is the index of a job's message in a batch; ordered is false for a retry, and for what is no job.
func orderedIndex(msg *jetstream.RawStreamMsg, batch string) (index int64, ordered bool) {
	id, err := parseIdentity(batch, msg.Header.Get(jetstream.MsgIDHeader))
	return id.Index, err == nil && id.Retry == 0
}

// scanFor looks at all jobs of a batch and returns the last retry of one, nil if it is not there.
func (c *Client) scanFor(ctx context.Context, want Identity) (found *jetstream.RawStreamMsg, err error) {
	for after, more := uint64(0), true; more; {
		more = false
		err := c.try(ctx, "looking for job "+want.String(), func(ctx context.Context) error {
			messages, err := jetstreamext.GetBatch(ctx, c.js, c.names.JobsStream(), ChunkSize,
				jetstreamext.GetBatchSeq(after+1), jetstreamext.GetBatchSubject(c.names.BatchFilter(want.Batch)))
			if err != nil {
				return err
			}
			for msg, err := range messages {
				switch {
				case errors.Is(err, jetstreamext.ErrNoMessages):
					return nil
				case err != nil:
					return noAnswer(err)
				}
				after, more = msg.Sequence, true
				if id := msg.Header.Get(jetstream.MsgIDHeader); id == want.String() || strings.HasPrefix(id, want.String()+"#") {
					found = msg
				}
			}
			if !more {
				return errSilence
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// place says where a job stands before its consumer.
func (c *Client) place(ctx context.Context, q *QueuedJob, modelToken string) error {
	return c.try(ctx, "looking where job "+q.ID.String()+" stands", func(ctx context.Context) error {
		consumer, err := c.js.Consumer(ctx, c.names.JobsStream(), ConsumerName(q.Priority, modelToken))
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		info := consumer.CachedInfo()
		q.Consumer, q.Delivered = true, info.Delivered.Stream >= q.Sequence
		if info.Paused {
			q.PausedUntil = time.Now().Add(info.PauseRemaining).UTC().Truncate(time.Second)
		}
		if q.Delivered {
			return nil
		}
		behind, err := c.behind(ctx, c.names.consumerFilter(q.Priority, modelToken), q.Sequence)
		q.Ahead = max(int64(info.NumPending)-behind-1, 0)
		return err
	})
}

// behind returns how many messages of JOBS on some subjects come after the one with a sequence.
func (c *Client) behind(ctx context.Context, filter string, sequence uint64) (int64, error) {
	messages, err := jetstreamext.GetBatch(ctx, c.js, c.names.JobsStream(), 1, jetstreamext.GetBatchSeq(sequence), jetstreamext.GetBatchSubject(filter))
	if err != nil {
		return 0, err
	}
	for msg, err := range messages {
		switch {
		case errors.Is(err, jetstreamext.ErrNoMessages): // it was taken out in between
			return 0, nil
		case err != nil:
			return 0, noAnswer(err)
		}
		return strconv.ParseInt(msg.Header.Get("Nats-Num-Pending"), 10, 64)
	}
	return 0, errSilence
}

// errSilence is what jetstreamext says nothing of: an answer that did not come in time ends without a message, as none
// does that says that there are none.
var errSilence = fmt.Errorf("the broker does not answer: %w", nats.ErrTimeout)

// noAnswer puts right what jetstreamext makes of an answer that nobody gave.
func noAnswer(err error) error {
	if errors.Is(err, jetstreamext.ErrBatchUnsupported) {
		return nats.ErrNoResponders
	}
	return err
}

// starts reads the counted starts of a job.
func (c *Client) starts(ctx context.Context, id Identity) (s Start, err error) {
	kv, err := c.bucket(ctx, c.names.AttemptsBucket())
	if err != nil {
		return Start{}, err
	}
	err = c.try(ctx, "reading the starts of job "+id.String(), func(ctx context.Context) error {
		entry, err := kv.Get(ctx, jobKey(id.Batch, id.Index))
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if a := readAttempts(entry.Value()); a != nil && a.Retry == id.Retry {
			s = Start{Attempt: a.Count, LastError: a.Error}
		}
		return nil
	})
	return s, err
}

// DeadLetterOf returns the last dead letter of a job and whether there is one.
func (c *Client) DeadLetterOf(ctx context.Context, batch string, index int64) (d DeadMessage, found bool, err error) {
	err = c.lookUpLast(ctx, c.names.DeadStream(), c.names.DeadSubject(batch, index), func(last *jetstream.RawStreamMsg) {
		d, found = c.names.readDead(last.Subject, last.Header, last.Data), true
		d.Sequence, d.Stored = last.Sequence, last.Time
	})
	return d, found, err
}
