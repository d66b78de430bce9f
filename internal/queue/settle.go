package queue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Errors of Ack, Nak and Term.
var (
	// ErrSettled is a second settlement of one delivery. Nothing was sent.
	ErrSettled = errors.New("the delivery is settled")

	// ErrLeaseLost is a Nak or Term of a delivery whose lease may be lost. Nothing was sent: it would have
	// taken the job from the worker that has it now. The delivery is settled.
	ErrLeaseLost = errors.New("the lease may be lost")

	// ErrUnconfirmed is an acknowledgement that the broker did not answer. It may have arrived or not; if not,
	// the message is delivered again after AckWait. The delivery is settled.
	ErrUnconfirmed error = &typedError{TypeBroker, "the broker did not confirm it"}
)

// After a crash of the broker an acknowledgement may never be answered, so tries are short and few.
const (
	ackTimeout = 2 * time.Second
	ackTries   = 3
	ackPause   = 100 * time.Millisecond // between requests that failed at once
)

// Ack says that the job is done and recorded: the message is deleted. It comes last, and is right even if the
// lease is lost. It takes at most 6 s.
func (d *Delivery) Ack(ctx context.Context) error {
	if !d.settle() {
		return fmt.Errorf("acknowledging job %s: %w", d, ErrSettled)
	}
	if err := d.ask(ctx, ackDone, ackTries, nil); err != nil {
		return fmt.Errorf("acknowledging job %s: %w", d, err)
	}
	return nil
}

// Nak gives the job back, to be delivered again after delay, to this or another worker. It is sent once: a
// second one could take the job from the next worker.
func (d *Delivery) Nak(ctx context.Context, delay time.Duration) error {
	if !d.settle() {
		return fmt.Errorf("handing back job %s: %w", d, ErrSettled)
	}
	payload := ackNak
	if delay > 0 {
		payload += ` {"delay": ` + strconv.FormatInt(delay.Nanoseconds(), 10) + `}`
	}
	if err := d.ask(ctx, payload, 1, d.Held); err != nil {
		return fmt.Errorf("handing back job %s: %w", d, err)
	}
	return nil
}

// Term deletes the message of a job that will never succeed, after its dead letter is stored. The reason, made
// one line, goes into the broker's advisory.
func (d *Delivery) Term(ctx context.Context, reason string) error {
	if !d.settle() {
		return fmt.Errorf("terminating job %s: %w", d, ErrSettled)
	}
	if err := d.ask(ctx, ackTerm+" "+oneLine(reason, 200), ackTries, d.Held); err != nil {
		return fmt.Errorf("terminating job %s: %w", d, err)
	}
	return nil
}

// Release lets go of the delivery without a word to the broker: the message is delivered again after AckWait,
// unless another worker has it already. Releasing a settled delivery does nothing.
func (d *Delivery) Release() { d.settle() }

// settle claims the one settlement and stops the heartbeat. It returns false if it was claimed before.
func (d *Delivery) settle() bool {
	if !d.settled.CompareAndSwap(false, true) {
		return false
	}
	d.heart.stop()
	return true
}

// Held returns ErrLeaseLost if the lease may be lost, else nil: a check for RecordHeld.
func (d *Delivery) Held() error {
	if d.LeaseLost() {
		return ErrLeaseLost
	}
	return nil
}

// ask sends an acknowledgement, waits for its answer, and tries again if there is none.
func (d *Delivery) ask(ctx context.Context, payload string, tries int, check func() error) error {
	var err error
	for range tries {
		if err = d.askOnce(ctx, payload, check); !errors.Is(err, ErrUnconfirmed) || ctx.Err() != nil {
			break
		}
	}
	return err
}

// askOnce is one try: a request that failed at once, because the broker is away, was not sent and is repeated
// within it; one that is not answered takes the whole try. Before each request check may refuse.
func (d *Delivery) askOnce(ctx context.Context, payload string, check func() error) error {
	ctx, cancel := context.WithTimeout(ctx, ackTimeout)
	defer cancel()
	for {
		if check != nil {
			if err := check(); err != nil {
				return err
			}
		}
		err := d.heart.send(ctx, payload)
		if err == nil {
			return nil
		}
		if sleep(ctx, ackPause) != nil {
			return fmt.Errorf("%w: %w", ErrUnconfirmed, err)
		}
	}
}

// oneLine makes text fit a header or advisory: printable, on one line, at most limit bytes.
func oneLine(s string, limit int) string {
	s = strings.ToValidUTF8(s, "?")
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit-len("…")], "") + "…"
	}
	return strings.TrimSpace(s)
}
