package queue

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Headers of a dead letter, beside those of the job's own message such as traceparent. Its Nats-Msg-Id is a dead
// letter's own: under the job's, DEAD would take the letter of a job that was put back for one that it has.
const (
	HeaderMsgID     = "Stipple-Msg-Id"          // Nats-Msg-Id of the job's message; not there if it had none
	HeaderErrorType = "Stipple-Error-Type"      // one of the closed list
	HeaderError     = "Stipple-Error"           // what went wrong, on one line
	HeaderTraceID   = "Stipple-Trace-Id"        // of the attempt that failed; 32 hexadecimal digits
	HeaderAttempts  = "Stipple-Attempts"        // counted starts
	HeaderSubject   = "Stipple-Subject"         // of the job's message
	HeaderSequence  = "Stipple-Stream-Sequence" // of the job's message in JOBS
	HeaderPublished = "Stipple-Published"       // when that was stored, RFC 3339
)

// Failure says why a job is dead.
type Failure struct {
	Type     string // error.type
	Message  string
	TraceID  string // of the last attempt; "" if there is none
	Attempts int    // counted starts; 0 for a job that was never begun
}

// DeadLetter stores the message of d, body and headers, in DEAD and returns once it is stored. The caller then
// records a failed result, if d.HasID, and calls Term. A message that is stored already is not stored twice.
//
// With a lease that may be lost, before or while it waits for the broker, the error is ErrLeaseLost: the job may
// be well in other hands. A DEAD stream without room is ErrStreamFull.
func (c *Client) DeadLetter(ctx context.Context, d *Delivery, f Failure) error {
	doing := "storing the dead letter of job " + d.String()
	header := plainHeader(d.Header)
	header.Set(jetstream.MsgIDHeader, d.deadMsgID())
	if id := d.Header.Get(jetstream.MsgIDHeader); id != "" {
		header.Set(HeaderMsgID, id)
	}
	header.Set(HeaderErrorType, f.Type)
	header.Set(HeaderError, oneLine(f.Message, 1024))
	if f.TraceID != "" {
		header.Set(HeaderTraceID, f.TraceID)
	}
	header.Set(HeaderAttempts, strconv.Itoa(f.Attempts))
	header.Set(HeaderSubject, d.Subject)
	header.Set(HeaderSequence, strconv.FormatUint(d.StreamSeq, 10))
	header.Set(HeaderPublished, d.Published.UTC().Format(time.RFC3339Nano))

	subject := c.names.deadSequenceSubject(d.ID.Batch, d.StreamSeq)
	if d.HasID {
		subject = c.names.DeadSubject(d.ID.Batch, d.ID.Index)
	}
	msg := &nats.Msg{Subject: subject, Header: header, Data: d.Data}
	// Whether it was stored now or before is the same to the caller: nothing stored for another message stays.
	_, err := c.putLast(ctx, doing, c.names.DeadStream(), msg, d.Held, func(last *jetstream.RawStreamMsg) verdict {
		for _, h := range []string{HeaderSequence, HeaderPublished} {
			if last.Header.Get(h) != header.Get(h) {
				return older // of another message: an earlier retry, or a queue that was made anew
			}
		}
		return ours
	})
	return err
}

// deadMsgID is the Nats-Msg-Id of a delivery's dead letter. Sequence and time name the job's message also among
// those of a stream that was made anew.
func (d *Delivery) deadMsgID() string {
	return fmt.Sprintf("dead/%d/%d", d.StreamSeq, d.Published.UnixNano())
}
