package queue

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"
)

// attemptsTest is a queue in which a test plays the deliveries of one job.
type attemptsTest struct {
	*testing.T
	c *Client
}

func newAttemptsTest(t *testing.T) attemptsTest {
	_, c := newQueue(t, Layout{})
	return attemptsTest{t, c}
}

// delivered is the n-th delivery of job b/7 by the broker's count.
func (t attemptsTest) delivered(n, retry int) *Delivery {
	d := &Delivery{ID: Identity{"b", 7, retry}, HasID: true, NumDelivered: n}
	d.token = t.Name() + string(rune('a'+n)) + string(rune('a'+retry))
	d.heart = heart{ackWait: DefaultAckWait}
	d.heart.confirmed = time.Now()
	return d
}

func (t attemptsTest) begin(d *Delivery) int {
	t.Helper()
	s, err := t.c.Begin(t.Context(), d)
	if err != nil {
		t.Fatalf("Begin: %v", err)
	}
	return s.Attempt
}

func (t attemptsTest) wantBegin(d *Delivery, want int) {
	t.Helper()
	if got := t.begin(d); got != want {
		t.Errorf("delivery %d is attempt %d, want %d", d.NumDelivered, got, want)
	}
}

func (t attemptsTest) failed(d *Delivery) {
	t.Helper()
	if err := t.c.Failed(t.Context(), d, ResultError{TypeModelError, "boom"}); err != nil {
		t.Fatalf("Failed: %v", err)
	}
}

func (t attemptsTest) handedBack(d *Delivery) {
	t.Helper()
	if err := t.c.HandedBack(t.Context(), d); err != nil {
		t.Fatalf("HandedBack: %v", err)
	}
}

// record is the job's record, nil if there is none.
func (t attemptsTest) record() *attempts {
	t.Helper()
	kv, err := t.c.bucket(t.Context(), "attempts")
	if err != nil {
		t.Fatal(err)
	}
	entry, err := kv.Get(t.Context(), "b.7")
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return readAttempts(entry.Value())
}

func TestAFirstDeliveryWritesNothing(t *testing.T) {
	t.Parallel()
	a := newAttemptsTest(t)
	a.wantBegin(a.delivered(1, 0), 1)
	if r := a.record(); r != nil {
		t.Errorf("record %+v", r)
	}
}

func TestFailuresCount(t *testing.T) {
	t.Parallel()
	a := newAttemptsTest(t)
	for n := 1; n <= 4; n++ {
		d := a.delivered(n, 0)
		a.wantBegin(d, n)
		a.failed(d)
		if r := a.record(); r == nil || r.Count != n {
			t.Errorf("record after failure %d: %+v", n, r)
		}
	}
	s, err := a.c.Begin(t.Context(), a.delivered(5, 0))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Start{5, &ResultError{TypeModelError, "boom"}}, s); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A job that kills its worker says nothing; each later start is counted before it is made.
func TestCrashesCount(t *testing.T) {
	t.Parallel()
	a := newAttemptsTest(t)
	for n := 1; n <= 6; n++ {
		a.wantBegin(a.delivered(n, 0), n)
	}
}

func TestHandBacksDoNotCount(t *testing.T) {
	t.Parallel()
	a := newAttemptsTest(t)
	for n := 1; n <= 4; n++ {
		d := a.delivered(n, 0)
		a.wantBegin(d, 1)
		a.handedBack(d)
		if r := a.record(); r == nil || r.Count != 0 {
			t.Errorf("record after hand-back %d: %+v", n, r)
		}
	}
	d := a.delivered(5, 0)
	a.wantBegin(d, 1)
	a.failed(d)
	d = a.delivered(6, 0)
	a.wantBegin(d, 2)
	a.handedBack(d)
	if s, err := a.c.Begin(t.Context(), a.delivered(7, 0)); err != nil || s.Attempt != 2 || s.LastError == nil {
		t.Errorf("after a failure and a hand-back: %+v, %v", s, err)
	}
}

func TestHandingBackWhatWasNotBegun(t *testing.T) {
	t.Parallel()
	a := newAttemptsTest(t)
	a.handedBack(a.delivered(1, 0))
	a.wantBegin(a.delivered(2, 0), 1)
	a.handedBack(a.delivered(3, 0)) // another's start stays counted: its worker may have died
	a.wantBegin(a.delivered(4, 0), 2)

	b := newAttemptsTest(t)
	b.wantBegin(b.delivered(1, 0), 1) // and dies
	b.handedBack(b.delivered(2, 0))
	b.wantBegin(b.delivered(3, 0), 2)
}

func TestABrokerThatForgetsItsCount(t *testing.T) {
	t.Parallel()
	a := newAttemptsTest(t)
	a.wantBegin(a.delivered(1, 0), 1)
	a.wantBegin(a.delivered(2, 0), 2)
	d := a.delivered(1, 0)
	d.token = "after the crash"
	a.wantBegin(d, 3)
}

func TestARetryByHandStartsAnew(t *testing.T) {
	t.Parallel()
	a := newAttemptsTest(t)
	for n := 1; n <= 5; n++ {
		a.wantBegin(a.delivered(n, 0), n)
	}
	first := a.delivered(1, 1)
	a.wantBegin(first, 1)
	a.failed(first)
	a.wantBegin(a.delivered(2, 1), 2)
	a.wantBegin(a.delivered(6, 0), 1) // a stale message of retry 0 leaves the record alone
	a.wantBegin(a.delivered(3, 1), 3)
}

func TestWritesAreNotCountedTwice(t *testing.T) {
	t.Parallel()
	a := newAttemptsTest(t)
	d := a.delivered(3, 0)
	for range 3 { // as when answers are lost
		a.wantBegin(d, 2)
	}
	for range 3 {
		a.handedBack(d)
	}
	a.wantBegin(a.delivered(4, 0), 2)
}

func TestALostLeaseWritesNothing(t *testing.T) {
	t.Parallel()
	a := newAttemptsTest(t)
	d := a.delivered(1, 0)
	a.wantBegin(d, 1)
	d.heart.lost = true
	a.failed(d)
	a.handedBack(d)
	if r := a.record(); r != nil {
		t.Errorf("record %+v", r)
	}
	a.wantBegin(a.delivered(2, 0), 2)
}

func TestStartsAtOnceAllCount(t *testing.T) {
	t.Parallel()
	a := newAttemptsTest(t)
	const n = 8
	got := make([]int, n)
	var all sync.WaitGroup
	for i := range n {
		d := a.delivered(i+2, 0)
		all.Go(func() {
			s, err := a.c.Begin(t.Context(), d)
			if err != nil {
				t.Errorf("Begin: %v", err)
			}
			got[i] = s.Attempt
		})
	}
	all.Wait()
	seen := map[int]bool{}
	for _, attempt := range got {
		seen[attempt] = true
	}
	if len(seen) != n || !seen[2] || !seen[n+1] {
		t.Errorf("attempts %v, want 2 to %d", got, n+1)
	}
}

func TestADamagedRecordHoldsNoJob(t *testing.T) {
	t.Parallel()
	a := newAttemptsTest(t)
	kv, err := a.c.bucket(t.Context(), "attempts")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.PutString(t.Context(), "b.7", "{"); err != nil {
		t.Fatal(err)
	}
	a.wantBegin(a.delivered(3, 0), 2)
}
