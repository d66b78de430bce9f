package queue

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// onlyConsumer is the one consumer of a stream, nil if there is none.
func onlyConsumer(t *testing.T, c *Client, stream string) *jetstream.ConsumerInfo {
	t.Helper()
	s, err := c.js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	var only *jetstream.ConsumerInfo
	consumers := s.ListConsumers(t.Context())
	for info := range consumers.Info() {
		only = info
	}
	if err := consumers.Err(); err != nil {
		t.Fatal(err)
	}
	return only
}

// TestFollowResultsMissesNoLastOne: a result that the broker has sent, and that did not arrive, comes even if no other
// follows it, by which it would be missed.
func TestFollowResultsMissesNoLastOne(t *testing.T) {
	t.Parallel()
	s, c := newQueue(t, Layout{})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	follower := connect(t, s, Config{})
	came := make(chan int64)
	go func() {
		defer close(came)
		for r, err := range follower.FollowResults(ctx, "b", 0) {
			if err != nil {
				t.Error(err)
				return
			}
			came <- r.Index
		}
	}()
	waiting := func(n int) func() bool {
		return func() bool {
			info := onlyConsumer(t, c, "RESULTS")
			return info != nil && info.NumWaiting == n
		}
	}
	eventually(t, "the follower asks", waiting(1))
	// Somebody else asks its consumer, too, and is sent one of them: the second, unless the follower asks anew meanwhile.
	sub, err := c.nc.SubscribeSync(c.nc.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	next := "$JS.API.CONSUMER.MSG.NEXT.RESULTS." + onlyConsumer(t, c, "RESULTS").Name
	if err := c.nc.PublishRequest(next, sub.Subject, []byte(`{"batch":1,"expires":30000000000}`)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both ask", waiting(2))
	record(t, c, "b", 0, 0)
	record(t, c, "b", 1, 0)
	if msg, err := sub.NextMsgWithContext(ctx); err != nil || !strings.HasPrefix(msg.Subject, "results.b.") {
		t.Fatalf("what was to be lost is %+v, %v", msg, err)
	}
	for want := range int64(2) {
		if got, ok := <-came; !ok || got != want {
			t.Errorf("result %d came, %v; want %d", got, ok, want)
		}
	}
	cancel()
	for got := range came {
		t.Errorf("result %d came again", got)
	}
}

// TestFollowResultsOfAStreamMadeAnew: what was read of a stream that is gone says nothing of the one in its place.
func TestFollowResultsOfAStreamMadeAnew(t *testing.T) {
	t.Parallel()
	s, c := newQueue(t, Layout{})
	for i := range int64(3) {
		record(t, c, "b", i, 0)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	var after uint64
	for r, err := range c.FollowResults(ctx, "b", 0) {
		if err != nil {
			t.Fatal(err)
		}
		if after = r.Sequence; r.Pending == 0 {
			break
		}
	}
	if err := c.js.DeleteStream(ctx, "RESULTS"); err != nil {
		t.Fatal(err)
	}
	setup(t, c, Layout{})
	record(t, c, "b", 7, 0)
	for r, err := range connect(t, s, Config{}).FollowResults(ctx, "b", after) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Index != 7 || r.Sequence != 1 {
			t.Errorf("result %d at %d", r.Index, r.Sequence)
		}
		return
	}
	t.Error("the result of the new stream did not come")
}
