package queue

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestSettlingWithABrokerThatFails checks how often each word is sent, how long that takes and what it returns,
// in a delivery whose lease of 30 s began when the broker failed.
func TestSettlingWithABrokerThatFails(t *testing.T) {
	mute := func(b *broker) { b.mute = true }
	down := func(b *broker) { b.down = true }
	ack := func(ctx context.Context, d *Delivery) error { return d.Ack(ctx) }
	nak := func(ctx context.Context, d *Delivery) error { return d.Nak(ctx, 1500*time.Millisecond) }
	term := func(ctx context.Context, d *Delivery) error { return d.Term(ctx, "no\ngood") }
	release := func(_ context.Context, d *Delivery) error { d.Release(); return nil }
	const nakWord, termWord = `-NAK {"delay": 1500000000}`, "+TERM no good"
	tests := []struct {
		name   string
		fault  func(*broker)
		after  time.Duration // from the fault to the settlement
		settle func(context.Context, *Delivery) error
		words  []string
		took   time.Duration
		err    error
	}{
		{"ack", func(*broker) {}, 0, ack, []string{"+ACK"}, 0, nil},
		{"nak", func(*broker) {}, 0, nak, []string{nakWord}, 0, nil},
		{"term", func(*broker) {}, 0, term, []string{termWord}, 0, nil},
		{"release", func(*broker) {}, 0, release, nil, 0, nil},
		{"ack unanswered", mute, 0, ack, []string{"+ACK", "+ACK", "+ACK"}, 6 * time.Second, ErrUnconfirmed},
		{"ack past the lease", mute, time.Minute, ack, []string{"+ACK", "+ACK", "+ACK"}, 6 * time.Second, ErrUnconfirmed},
		{"nak unanswered", mute, 0, nak, []string{nakWord}, 2 * time.Second, ErrUnconfirmed},
		{"nak past the lease", mute, 30 * time.Second, nak, nil, 0, ErrLeaseLost},
		{"nak at the end of the lease", down, 29 * time.Second, nak, nil, time.Second, ErrLeaseLost},
		{"term unanswered", mute, 0, term, []string{termWord, termWord, termWord}, 6 * time.Second, ErrUnconfirmed},
		{"term past the lease", mute, time.Minute, term, nil, 0, ErrLeaseLost},
		{"term across the end of the lease", mute, 27 * time.Second, term, []string{termWord, termWord}, 4 * time.Second, ErrLeaseLost},
		{"ack not sent", down, 0, ack, nil, 6 * time.Second, ErrUnconfirmed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &broker{begun: time.Now()}
				tt.fault(b)
				d := &Delivery{heart: heart{send: b.send, ackWait: 30 * time.Second, timeout: time.Hour}}
				d.heart.start(time.Now())
				time.Sleep(tt.after)
				start := time.Now()
				if err := tt.settle(t.Context(), d); !errors.Is(err, tt.err) {
					t.Errorf("%v, want %v", err, tt.err)
				}
				if took := time.Since(start); took != tt.took {
					t.Errorf("it took %v, want %v", took, tt.took)
				}
				if diff := cmp.Diff(tt.words, b.words); diff != "" {
					t.Errorf("sent (-want +got):\n%s", diff)
				}
				before := b.count()
				if time.Sleep(time.Minute); b.count() != before {
					t.Error("heartbeats go on")
				}
				if err := d.Ack(t.Context()); !errors.Is(err, ErrSettled) {
					t.Errorf("a second settlement: %v", err)
				}
			})
		})
	}
}
