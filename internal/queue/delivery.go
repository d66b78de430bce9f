package queue

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Delivery is a job's message in the hands of this worker. From the moment Fetch returns it, a goroutine that
// the Delivery owns keeps its lease alive, until exactly one of Ack, Nak, Term and Release ends it. Fields are
// not changed after Fetch; methods may be called from several goroutines.
type Delivery struct {
	Job Job   // valid if Err is nil
	Err error // why the message is no job for this worker: *InvalidError or ErrNewerVersion

	ID    Identity // of the message, also of one whose body cannot be read
	HasID bool     // false if subject and Nats-Msg-Id do not say it; such a message has no result

	Subject  string
	Header   nats.Header
	Data     []byte
	Priority string
	Model    string // the model whose consumer delivered it
	Consumer string

	StreamSeq    uint64    // in JOBS
	NumDelivered int       // by the consumer's count: at least 1; a crash of the broker may reset it, a clean hand-back raises it
	Published    time.Time // when it was stored, by the broker's clock
	Received     time.Time
	AckWait      time.Duration // the consumer's lease

	token   string // tells this delivery from all others of its message
	heart   heart
	settled atomic.Bool // one of Ack, Nak, Term and Release has been called
}

// newDelivery takes the message of a consumer of model apart and starts its heartbeat. asked is when the pull was
// sent that brought it.
func (c *Client) newDelivery(msg jetstream.Msg, model string, ackWait, timeout time.Duration, asked time.Time) (*Delivery, error) {
	meta, err := msg.Metadata()
	if err != nil {
		return nil, fmt.Errorf("reading the metadata of a message on %s: %w", msg.Subject(), err)
	}
	d := &Delivery{
		Subject: msg.Subject(), Header: msg.Headers(), Data: msg.Data(), Model: model, Consumer: meta.Consumer,
		StreamSeq: meta.Sequence.Stream, NumDelivered: int(meta.NumDelivered), Published: meta.Timestamp,
		Received: time.Now(), AckWait: ackWait, token: rand.Text(),
	}
	d.read(c.names)
	reply := msg.Reply()
	d.heart = heart{ackWait: ackWait, timeout: timeout, send: func(ctx context.Context, payload string) error {
		_, err := c.nc.RequestWithContext(ctx, reply, []byte(payload))
		return err
	}}
	d.heart.start(asked)
	return d, nil
}

// read fills in identity, job and error.
func (d *Delivery) read(n Names) {
	priority, modelToken, batch, ok := n.parseJobSubject(d.Subject)
	if !ok {
		d.Err = &InvalidError{"subject", "is not jobs.<priority>.<model>.<batch>, is " + quote(d.Subject)}
		return
	}
	d.Priority = priority
	d.ID.Batch = batch
	id, err := parseIdentity(batch, d.Header.Get(jetstream.MsgIDHeader))
	if err != nil {
		d.Err = err
		return
	}
	d.ID, d.HasID = id, true
	if d.Job, d.Err = Decode(d.Data, id); d.Err != nil {
		return
	}
	switch {
	case ModelToken(d.Job.Model) != modelToken:
		d.Err = &InvalidError{"model", fmt.Sprintf("must agree with the message's subject, which says %s, is %s", quote(modelToken), quote(d.Job.Model))}
	case d.Job.Model != d.Model:
		d.Err = &InvalidError{"model", fmt.Sprintf("is %s, but %s is served under its subjects", quote(d.Job.Model), quote(d.Model))}
	}
}

// String returns the job's identity, or where its message is if that is unknown.
func (d *Delivery) String() string {
	if d.HasID {
		return d.ID.String()
	}
	return fmt.Sprintf("%s at sequence %d", d.Subject, d.StreamSeq)
}

// LeaseLost reports whether another worker may have the job by now: no heartbeat is known to have arrived for
// AckWait, now or once before. A success may still be recorded and acknowledged; nothing else may be said of
// the job.
func (d *Delivery) LeaseLost() bool { return d.heart.leaseLost() }

// TimedOut is closed when the job is past JOB_TIMEOUT. Its heartbeat has stopped, so the lease runs out within
// AckWait; a worker that is still able to should give the job up before.
func (d *Delivery) TimedOut() <-chan struct{} { return d.heart.timedOut }

// Hold stops the clock of JOB_TIMEOUT while the job waits for storage or the broker, until end is called.
// The heartbeat goes on. Holds may overlap; calling end twice does nothing.
func (d *Delivery) Hold() (end func()) { return d.heart.hold() }
