package queue

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// A job must not be stored twice, and the broker's dedupe window does not guard it well enough. It is two minutes long:
// a command that is killed after a publish may be run again tomorrow, and a publish whose answer was lost may be tried
// again when the broker is back after ten. And a broker that restarts forgets the ids of what is done by then, so that
// in a cluster the next leader may take as new what the last one stored a second ago. So before any second try the queue
// itself is asked. JOBS alone cannot tell, for a work queue forgets what is done; but whatever is done has a record,
// written before its message is deleted. A job that was stored is therefore in JOBS or in RESULTS, as long as the leaders
// of both are asked, in that order: one that leaves JOBS before it is looked for there has its record by then. (Jobs of a
// cancelled batch have neither; nobody publishes them again. Records are kept for seven days.) Of a chunk, one job
// answers for all: it is stored whole or not at all.
//
// What this does not stop is a publisher that froze, or a message that was under way, between the last look and the
// write. Then a job stands in JOBS twice; whoever fetches the second finds the record of the first, and does nothing.

// ResumeChunk is PublishChunk for a chunk that may have been published before, in this process or another, however
// long ago: it publishes nothing if the chunk is stored, or was. after is a sequence of JOBS from before the first
// try; what is stored up to it is not looked at. 0 is always right, and slow in a batch that fills the queue.
//
// The chunk must have been cut as it was then. Errors are those of Publish.
func (c *Client) ResumeChunk(ctx context.Context, chunk []Message, after uint64) (Ack, error) {
	ack, found, err := c.ChunkStored(ctx, chunk, after)
	if found || err != nil {
		return ack, err
	}
	return c.PublishChunk(ctx, chunk, after)
}

// ChunkStored reports whether a chunk is in the queue or was, as ResumeChunk finds it, by the identities of its jobs
// alone: their rows may be others. Ack.Sequence is 0 where records alone tell of it.
func (c *Client) ChunkStored(ctx context.Context, chunk []Message, after uint64) (Ack, bool, error) {
	if len(chunk) == 0 {
		return Ack{}, false, errors.New("looking for a chunk: it has no jobs")
	}
	place := make(map[string]int, len(chunk)) // in the chunk, by Nats-Msg-Id
	for i, m := range chunk {
		place[m.Job.Identity().MsgID()] = i
	}
	id := chunk[0].Job.Identity()
	if err := id.validate(); err != nil {
		return Ack{}, false, fmt.Errorf("looking for a chunk: %w", err)
	}
	for {
		msg, err := c.nextJob(ctx, c.names.BatchFilter(id.Batch), after)
		if err != nil {
			return Ack{}, false, err
		}
		if msg == nil {
			break
		}
		if at, ok := place[msg.Header.Get(jetstream.MsgIDHeader)]; ok { // an atomic batch has sequences in a row
			return Ack{Sequence: msg.Sequence + uint64(len(chunk)-1-at), Duplicate: true}, true, nil
		}
		after = msg.Sequence // a retry, or a chunk of another command
	}
	done, err := c.done(ctx, id)
	return Ack{Duplicate: true}, done, err
}

// jobStored reports whether one job is in the queue or was, and its sequence in JOBS if it is there. What was
// published last comes first, for that is what is asked for.
func (c *Client) jobStored(ctx context.Context, subject string, id Identity, after uint64) (uint64, bool, error) {
	is := func(msg *jetstream.RawStreamMsg) bool {
		return msg != nil && msg.Header.Get(jetstream.MsgIDHeader) == id.MsgID()
	}
	msg, err := c.lastJob(ctx, subject)
	for err == nil && msg != nil && !is(msg) {
		msg, err = c.nextJob(ctx, subject, after)
		if msg != nil {
			after = msg.Sequence
		}
	}
	switch {
	case err != nil:
		return 0, false, err
	case msg != nil:
		return msg.Sequence, true, nil
	}
	done, err := c.done(ctx, id)
	return 0, done, err
}

// lastJob returns the last message of JOBS on a subject, nil if there is none.
func (c *Client) lastJob(ctx context.Context, subject string) (*jetstream.RawStreamMsg, error) {
	return c.leaderGet(ctx, c.names.JobsStream(), messageAt{Last: subject})
}

// nextJob returns the first message of JOBS above a sequence on the subjects that filter matches, nil if there is
// none.
func (c *Client) nextJob(ctx context.Context, filter string, after uint64) (*jetstream.RawStreamMsg, error) {
	return c.leaderGet(ctx, c.names.JobsStream(), messageAt{Sequence: after + 1, Next: filter})
}

// newestJob returns the sequence of the last message of JOBS, 0 if it is empty: what is published from now on has a
// higher one.
func (c *Client) newestJob(ctx context.Context) (uint64, error) {
	msg, err := c.lastJob(ctx, c.names.BatchFilter("*"))
	if msg == nil || err != nil {
		return 0, err
	}
	return msg.Sequence, nil
}

// done reports whether a job has a record, of its retry or a later one.
func (c *Client) done(ctx context.Context, id Identity) (bool, error) {
	msg, err := c.leaderGet(ctx, c.names.ResultsStream(), messageAt{Last: c.names.ResultSubject(id.Batch, id.Index)})
	if msg == nil || err != nil {
		return false, err
	}
	r, err := DecodeResult(msg.Data)
	return err == nil && r.Retry >= id.Retry, nil // a damaged record is none
}
