package queue

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// broker is the far end of a heart in a synctest bubble: it answers after a delay, or not at all.
type broker struct {
	mu    sync.Mutex
	begun time.Time
	beats []time.Duration // since begun, of those that were sent
	words []string        // other acknowledgements that were sent
	down  bool            // requests fail at once
	mute  bool            // requests are not answered
	delay time.Duration   // before an answer
}

func (b *broker) send(ctx context.Context, payload string) error {
	b.mu.Lock()
	down, mute, delay := b.down, b.mute, b.delay
	switch {
	case down:
	case payload == ackProgress:
		b.beats = append(b.beats, time.Since(b.begun))
	default:
		b.words = append(b.words, payload)
	}
	b.mu.Unlock()
	switch {
	case down:
		return errors.New("away")
	case mute:
		<-ctx.Done()
		return ctx.Err()
	}
	return sleep(ctx, delay)
}

func (b *broker) set(change func(*broker)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(b)
}

func (b *broker) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.beats)
}

// beating runs test with a started heart of AckWait 30 s.
func beating(t *testing.T, timeout time.Duration, test func(t *testing.T, b *broker, h *heart)) {
	synctest.Test(t, func(t *testing.T) {
		b := &broker{begun: time.Now()}
		h := &heart{send: b.send, ackWait: 30 * time.Second, timeout: timeout}
		h.start(time.Now())
		defer h.stop()
		test(t, b, h)
	})
}

func isTimedOut(h *heart) bool {
	synctest.Wait()
	select {
	case <-h.timedOut:
		return true
	default:
		return false
	}
}

func TestHeartBeatsThriceALease(t *testing.T) {
	beating(t, time.Hour, func(t *testing.T, b *broker, h *heart) {
		time.Sleep(95 * time.Second)
		if n := b.count(); n != 9 || b.beats[0] != 10*time.Second || b.beats[8] != 90*time.Second {
			t.Errorf("beats at %v, want every 10 s", b.beats)
		}
		if h.leaseLost() {
			t.Error("the lease is lost")
		}
		h.stop()
		time.Sleep(time.Minute)
		if n := b.count(); n != 9 {
			t.Errorf("%d beats after stop", n-9)
		}
	})
}

func TestHeartKnowsWhenTheLeaseMayBeLost(t *testing.T) {
	for name, fault := range map[string]func(*broker){
		"away": func(b *broker) { b.down = true },
		"mute": func(b *broker) { b.mute = true },
	} {
		t.Run(name, func(t *testing.T) {
			beating(t, time.Hour, func(t *testing.T, b *broker, h *heart) {
				time.Sleep(25 * time.Second) // the last beat that arrived is of second 20
				b.set(fault)
				time.Sleep(24 * time.Second)
				if h.leaseLost() {
					t.Error("lost after 49 s, want after 50")
				}
				time.Sleep(time.Second)
				if !h.leaseLost() {
					t.Error("not lost 30 s after the last beat that arrived")
				}
				b.set(func(b *broker) { b.down, b.mute = false, false })
				before := b.count()
				time.Sleep(5 * time.Second)
				if b.count() == before {
					t.Error("no beat soon after the broker is back")
				}
				if time.Sleep(time.Minute); !h.leaseLost() {
					t.Error("a lease once lost is held for good again")
				}
			})
		})
	}
}

func TestHeartSurvivesAShortOutage(t *testing.T) {
	beating(t, time.Hour, func(t *testing.T, b *broker, h *heart) {
		for range 5 {
			time.Sleep(13 * time.Second)
			b.set(func(b *broker) { b.down = true })
			time.Sleep(15 * time.Second)
			b.set(func(b *broker) { b.down = false })
			time.Sleep(time.Second)
			if h.leaseLost() {
				t.Fatal("lost although a beat arrived in time")
			}
		}
	})
}

// An answer that comes after the lease before it ran out does not say when the beat arrived.
func TestHeartDistrustsALateAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &heart{ackWait: 30 * time.Second}
		h.confirmed = time.Now()
		sent := time.Now().Add(29 * time.Second)
		time.Sleep(31 * time.Second)
		h.confirm(sent, time.Now())
		if !h.leaseLost() {
			t.Error("not lost")
		}
	})
}

func TestHeartStopsPastTheTimeout(t *testing.T) {
	beating(t, 35*time.Second, func(t *testing.T, b *broker, h *heart) {
		time.Sleep(34 * time.Second)
		if isTimedOut(h) {
			t.Error("timed out after 34 s, want after 35")
		}
		time.Sleep(time.Second)
		if !isTimedOut(h) {
			t.Error("not timed out after 35 s")
		}
		time.Sleep(5 * time.Minute)
		if n := b.count(); n != 3 {
			t.Errorf("beats at %v, want none past the timeout", b.beats)
		}
		if !h.leaseLost() {
			t.Error("the lease goes on without beats")
		}
	})
}

func TestHeartDoesNotCountHolds(t *testing.T) {
	beating(t, 35*time.Second, func(t *testing.T, b *broker, h *heart) {
		time.Sleep(20 * time.Second)
		first := h.hold()
		time.Sleep(time.Minute)
		second := h.hold()
		first()
		first() // once is enough
		time.Sleep(time.Minute)
		if isTimedOut(h) {
			t.Error("timed out during a hold")
		}
		if n := b.count(); n != 13 && n != 14 {
			t.Errorf("%d beats in 140 s, want them to go on during a hold", n)
		}
		second()
		time.Sleep(14 * time.Second)
		if isTimedOut(h) {
			t.Error("timed out after 34 s outside of holds, want after 35")
		}
		time.Sleep(time.Second)
		if !isTimedOut(h) {
			t.Error("not timed out after 35 s outside of holds")
		}
	})
}

func TestBackoff(t *testing.T) {
	b := backoff{min: 100 * time.Millisecond, max: time.Second}
	for range 2 {
		for _, ms := range []int{100, 200, 400, 800, 1000, 1000} {
			most := time.Duration(ms) * time.Millisecond
			if d := b.next(); d > most || d < most*4/5 {
				t.Errorf("%v, want between %v and %v", d, most*4/5, most)
			}
		}
		b.reset()
	}
}

func TestOneLine(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"plain", "plain"}, {" a\r\nb\x00c\t", "a  b c"}, {"é\xff", "é?"}, {"ééééééé", "ééé…"}, {"", ""},
	} {
		if got := oneLine(tt.in, 10); got != tt.want {
			t.Errorf("oneLine(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}
