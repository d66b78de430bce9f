package queue

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// replica knows the messages of a stream as of when it last caught up.
type replica struct {
	mu   sync.Mutex
	last map[string]*jetstream.RawStreamMsg // of each subject
}

func (r *replica) catchUp(ctx context.Context, c *Client, stream string) error {
	last := map[string]*jetstream.RawStreamMsg{}
	for after := uint64(0); ; {
		msg, err := c.askLeader(ctx, stream, messageAt{Sequence: after + 1, Next: ">"})
		if err != nil {
			return err
		}
		if msg == nil {
			break
		}
		last[msg.Subject], after = msg, msg.Sequence
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = last
	return nil
}

func (r *replica) get(subject string) *jetstream.RawStreamMsg {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last[subject]
}

func (r *replica) at(sequence uint64) *jetstream.RawStreamMsg {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.last {
		if m.Sequence == sequence {
			return m
		}
	}
	return nil
}

// lag has a replica of a stream answer whoever does not ask the leader. It knows nothing of what is stored from now on,
// unless the function returned is called. It ends with the test.
func lag(t *testing.T, c *Client, stream string) (catchUp func()) {
	t.Helper()
	known := &replica{}
	catchUp = func() {
		if err := known.catchUp(t.Context(), c, stream); err != nil {
			t.Error(err)
		}
	}
	catchUp()
	s, err := c.js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	cfg := s.CachedInfo().Config
	cfg.AllowDirect = false // nobody else answers
	if _, err := c.js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	respond := func(request, answer *nats.Msg) {
		if err := request.RespondMsg(answer); err != nil {
			t.Error(err)
		}
	}
	status := func(code, description string) *nats.Msg {
		return &nats.Msg{Header: nats.Header{"Status": {code}, "Description": {description}}}
	}
	direct := func(m *jetstream.RawStreamMsg, pending int) *nats.Msg {
		answer := &nats.Msg{Header: nats.Header{}, Data: m.Data}
		maps.Copy(answer.Header, m.Header)
		for name, value := range map[string]string{
			"Nats-Stream": stream, "Nats-Subject": m.Subject, "Nats-Sequence": strconv.FormatUint(m.Sequence, 10),
			"Nats-Time-Stamp": m.Time.Format(time.RFC3339Nano), "Nats-Num-Pending": strconv.Itoa(pending),
		} {
			answer.Header.Set(name, value)
		}
		return answer
	}
	prefix := "$JS.API.DIRECT.GET." + stream
	last, err := c.nc.Subscribe(prefix+".>", func(request *nats.Msg) {
		if m := known.get(strings.TrimPrefix(request.Subject, prefix+".")); m != nil {
			respond(request, direct(m, 0))
			return
		}
		respond(request, status("404", "Message Not Found"))
	})
	if err != nil {
		t.Fatal(err)
	}
	many, err := c.nc.Subscribe(prefix, func(request *nats.Msg) {
		var asked struct {
			Subjects []string `json:"multi_last"`
			Sequence uint64   `json:"seq"`
		}
		if err := json.Unmarshal(request.Data, &asked); err != nil {
			t.Error(err)
		}
		if m := known.at(asked.Sequence); m != nil {
			respond(request, direct(m, 0))
			return
		}
		var found []*jetstream.RawStreamMsg
		for _, subject := range asked.Subjects {
			if m := known.get(subject); m != nil {
				found = append(found, m)
			}
		}
		for i, m := range found {
			respond(request, direct(m, len(found)-1-i))
		}
		if len(found) == 0 {
			respond(request, status("404", "No Results"))
			return
		}
		respond(request, status("204", "EOB"))
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, sub := range []*nats.Subscription{last, many} {
			if err := sub.Unsubscribe(); err != nil {
				t.Error(err)
			}
		}
	})
	return catchUp
}

// A batch that was just written is known, and what it was before is not told.
func TestGetBatchOfALaggingReplica(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, Layout{})
	if _, err := c.GetBatch(t.Context(), "b"); !errors.Is(err, ErrNoBatch) {
		t.Fatal(err)
	}
	lag(t, c, "KV_batches")
	b, err := c.CreateBatch(t.Context(), Batch{ID: "b", Total: 3, State: BatchEnqueuing})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.GetBatch(t.Context(), "b"); err != nil || got != b {
		t.Errorf("%+v, %v; want %+v", got, err, b)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := c.CancelBatch(ctx, "b"); err != nil {
		t.Fatal(err)
	}
	if got, err := c.GetBatch(t.Context(), "b"); err != nil || got.State != BatchCancelled {
		t.Errorf("%+v, %v", got, err)
	}
}

// A hand-back takes its start off the count, and a failure is noted, right after the start was counted.
func TestAttemptsOfALaggingReplica(t *testing.T) {
	t.Parallel()
	a := newAttemptsTest(t)
	if r := a.record(); r != nil {
		t.Fatalf("%+v", r)
	}
	lag(t, a.c, "KV_attempts")
	stored := func() *attempts {
		t.Helper()
		msg, err := a.c.askLeader(t.Context(), "KV_attempts", messageAt{Last: "$KV.attempts.b.7"})
		if err != nil || msg == nil {
			t.Fatal(msg, err)
		}
		return readAttempts(msg.Data)
	}
	back := a.delivered(2, 0)
	a.wantBegin(back, 2)
	a.handedBack(back)
	if r := stored(); r.Count != 1 {
		t.Fatalf("handed back: %+v", r)
	}
	failed := a.delivered(3, 0)
	a.wantBegin(failed, 2)
	a.failed(failed)
	if r := stored(); r.Count != 2 || r.Error == nil {
		t.Errorf("failed: %+v", r)
	}
}

// A worker whose model another worker has just registered finds it.
func TestRegisterModelOfALaggingReplica(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, Layout{})
	if models := list(t, c); len(models) != 0 {
		t.Fatal(models)
	}
	catchUp := lag(t, c, "KV_models")
	m := Model{Name: "m", Digest: "one"}
	if err := c.RegisterModel(t.Context(), m, false); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(200*time.Millisecond, catchUp) // a worker may not ask the leader
	if err := c.RegisterModel(t.Context(), m, false); err != nil {
		t.Error(err)
	}
}

// A retry of a job that has failed again a moment ago follows that result.
func TestRetryJobOfALaggingReplica(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, Layout{})
	for retry := range 3 {
		r := result(Failed, retry, "w")
		if stored, err := c.Record(t.Context(), r); !stored || err != nil {
			t.Fatal(stored, err)
		}
		if retry == 1 {
			lag(t, c, "RESULTS")
		}
	}
	if id, err := c.RetryJob(t.Context(), chunk(7, 1)[0]); err != nil || id.Retry != 3 {
		t.Errorf("%v, %v; want retry 3", id.MsgID(), err)
	}
}

// A dead letter that somebody else has just deleted is gone.
func TestDeleteDeadOfALaggingReplica(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, Layout{})
	if _, err := c.js.Publish(t.Context(), "dead.b.7", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.stream(t.Context(), "DEAD"); err != nil { // as it was when replicas answered
		t.Fatal(err)
	}
	lag(t, c, "DEAD")
	for _, want := range []bool{true, false} {
		if deleted, err := c.deleteDead(t.Context(), 1); err != nil || deleted != want {
			t.Errorf("%v, %v; want %v", deleted, err, want)
		}
	}
}
