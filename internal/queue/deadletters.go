package queue

import (
	"context"
	"errors"
	"iter"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// DeadMessage is a dead letter as it is read: the message of a job, and why it is dead. What a letter does not say,
// because another program wrote it, is left zero.
type DeadMessage struct {
	Failure

	ID    Identity // of the job
	HasID bool     // false for a message that did not say which job it was; ID.Batch is what its subject says

	Subject   string      // of the job's message
	Header    nats.Header // of the job's message, without what was for the broker
	Data      []byte      // the job, as it was published
	JobSeq    uint64      // of the job's message in JOBS
	Published time.Time   // when that was stored

	Sequence uint64    // in DEAD
	Stored   time.Time // when the letter was
}

// DeadFilter says which dead letters are meant. The zero value means all.
type DeadFilter struct {
	Batch string    // of this batch; "" for all
	Type  string    // of this error.type; "" for all
	Since time.Time // stored then or later
}

// all reports whether the filter's subject says it all.
func (f DeadFilter) all() bool { return f.Type == "" && f.Since.IsZero() }

// DeadLetters returns the dead letters that are stored now, the oldest first. A job that was put back and failed again
// has several. An error is the last thing that comes.
func (c *Client) DeadLetters(ctx context.Context, f DeadFilter) iter.Seq2[DeadMessage, error] {
	return func(yield func(DeadMessage, error) bool) {
		r := reader{client: c, stream: c.names.DeadStream(), filter: c.names.deadFilter(f.Batch), since: f.Since}
		err := r.rest(ctx, func(msg jetstream.Msg, meta *jetstream.MsgMetadata) bool {
			d := c.names.readDead(msg.Subject(), msg.Headers(), msg.Data())
			d.Sequence, d.Stored = meta.Sequence.Stream, meta.Timestamp
			if f.Type != "" && d.Type != f.Type {
				return true
			}
			return yield(d, nil)
		})
		if err != nil {
			yield(DeadMessage{}, err)
		}
	}
}

// PurgeDead deletes dead letters for good and returns how many.
func (c *Client) PurgeDead(ctx context.Context, f DeadFilter) (uint64, error) {
	if f.all() {
		return c.purge(ctx, c.names.DeadStream(), c.names.deadFilter(f.Batch))
	}
	var purged uint64
	for d, err := range c.DeadLetters(ctx, f) {
		if err != nil {
			return purged, err
		}
		deleted, err := c.deleteDead(ctx, d.Sequence)
		if err != nil {
			return purged, err
		}
		if deleted {
			purged++
		}
	}
	return purged, nil
}

// deleteDead deletes one dead letter and reports whether it was there.
func (c *Client) deleteDead(ctx context.Context, sequence uint64) (deleted bool, err error) {
	stream, err := c.stream(ctx, c.names.DeadStream())
	if err != nil {
		return false, err
	}
	err = c.try(ctx, "deleting a dead letter", func(ctx context.Context) error {
		err := stream.DeleteMsg(ctx, sequence)
		deleted = err == nil
		if !errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) {
			return err
		}
		if msg, getErr := c.askLeader(ctx, c.names.DeadStream(), messageAt{Sequence: sequence}); msg != nil || getErr != nil {
			return errors.Join(err, getErr)
		}
		return nil // it is gone
	})
	return deleted, err
}

// deadFilter matches the dead letters of a batch; "" those of all.
func (n Names) deadFilter(batch string) string {
	if batch == "" {
		return n.subject("dead", "*", "*")
	}
	return n.subject("dead", token(batch), "*")
}

// readDead takes a dead letter apart.
func (n Names) readDead(subject string, header nats.Header, data []byte) DeadMessage {
	d := DeadMessage{
		Failure: Failure{Type: header.Get(HeaderErrorType), Message: header.Get(HeaderError), TraceID: header.Get(HeaderTraceID)},
		Subject: header.Get(HeaderSubject), Data: data, Header: plainHeader(header),
	}
	maps.DeleteFunc(d.Header, func(key string, _ []string) bool { return strings.HasPrefix(key, "Stipple-") })
	// What is no number or time is 0.
	d.Attempts, _ = strconv.Atoi(header.Get(HeaderAttempts))
	d.JobSeq, _ = strconv.ParseUint(header.Get(HeaderSequence), 10, 64)
	d.Published, _ = time.Parse(time.RFC3339Nano, header.Get(HeaderPublished))

	_, _, batch, ok := n.parseJobSubject(d.Subject)
	if !ok { // written by another program
		tokens := strings.Split(subject, ".")
		batch = tokens[max(0, len(tokens)-2)]
	}
	id, err := parseIdentity(batch, header.Get(HeaderMsgID))
	if d.HasID = ok && err == nil; d.HasID {
		d.ID = id
	} else {
		d.ID.Batch = batch
	}
	return d
}
