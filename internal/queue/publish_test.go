package queue

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stipple-ai/stipple/internal/local/natsd"
)

// plainJob is the index-th job of batch b for model m.
func plainJob(index int64) Job {
	return Job{BatchID: "b", Index: index, Model: "m", Prompt: new("a cat")}
}

// chunk is jobs from..from+n-1 of batch b, at normal priority.
func chunk(from int64, n int) []Message {
	all := make([]Message, n)
	for i := range all {
		all[i] = Message{Priority: Normal, Job: plainJob(from + int64(i))}
	}
	return all
}

// publish stores a job and fails the test if it was there already.
func publish(t *testing.T, c *Client, priority string, j Job) {
	t.Helper()
	ack, err := c.Publish(t.Context(), Message{Priority: priority, Job: j})
	if err != nil || ack.Duplicate {
		t.Fatalf("publishing %s: %+v, %v", j.Identity(), ack, err)
	}
}

// waiting is the number of messages in a stream.
func waiting(t *testing.T, c *Client, stream string) uint64 {
	t.Helper()
	s, err := c.js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().State.Msgs
}

func TestPublish(t *testing.T) {
	t.Parallel()
	c := connect(t, startBroker(t, natsd.Options{}), Config{Prefix: "acme"})
	setup(t, c, Layout{})
	header := nats.Header{"traceparent": {"00-a-b-01"}, "Nats-Batch-Id": {"x"}, "nats-expected-stream": {"OTHER"}}
	job := Job{BatchID: "b", Index: 7, Model: "sd-1.5", Seed: new(Seed(1))}
	for i, want := range []Ack{{Sequence: 1}, {Sequence: 1, Duplicate: true}} {
		got, err := c.Publish(t.Context(), Message{High, job, header})
		if err != nil || got != want {
			t.Errorf("publish %d: %+v, %v; want %+v", i, got, err, want)
		}
	}
	job.Retry = 1
	if got, err := c.Publish(t.Context(), Message{High, job, nil}); err != nil || got.Duplicate {
		t.Errorf("the retry: %+v, %v", got, err)
	}
	s, err := c.js.Stream(t.Context(), "acme_JOBS")
	if err != nil {
		t.Fatal(err)
	}
	msg, err := s.GetMsg(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if msg.Subject != "acme.jobs.high.sd-1_5.b" {
		t.Errorf("subject %s", msg.Subject)
	}
	for _, added := range []string{"Nats-Sequence", "Nats-Stream", "Nats-Subject", "Nats-Time-Stamp"} {
		delete(msg.Header, added) // by the direct get
	}
	if diff := cmp.Diff(nats.Header{"traceparent": {"00-a-b-01"}, "Nats-Msg-Id": {"b/7"}}, msg.Header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	if len(header) != 3 {
		t.Errorf("the caller's header was changed: %v", header)
	}
	if got, err := Decode(msg.Data, Identity{"b", 7, 0}); err != nil || *got.Seed != 1 {
		t.Errorf("the body is %s: %v", msg.Data, err)
	}
}

func TestPublishRefuses(t *testing.T) {
	t.Parallel()
	c := connect(t, startBroker(t, natsd.Options{}), Config{})
	setup(t, c, Layout{})
	bad := plainJob(0)
	bad.Width = new(1)
	_, err := c.Publish(t.Context(), Message{Normal, bad, nil})
	wantInvalid(t, err, "width", "from 8")
	if _, err := c.Publish(t.Context(), Message{"urgent", plainJob(0), nil}); err == nil || !strings.Contains(err.Error(), "urgent") {
		t.Errorf("priority urgent: %v", err)
	}
	_, err = c.PublishChunk(t.Context(), append(chunk(0, 3), Message{Normal, bad, nil}), 0)
	wantInvalid(t, err, "width", "from 8")
	for _, wrong := range [][]Message{nil, chunk(0, ChunkSize+1), append(chunk(0, 3), chunk(2, 1)...)} {
		if _, err := c.PublishChunk(t.Context(), wrong, 0); err == nil {
			t.Errorf("a chunk of %d was taken", len(wrong))
		}
	}
	if n := waiting(t, c, "JOBS"); n != 0 {
		t.Errorf("%d messages were stored", n)
	}
}

func TestPublishChunk(t *testing.T) {
	t.Parallel()
	c := connect(t, startBroker(t, natsd.Options{}), Config{})
	setup(t, c, Layout{})
	steps := []struct {
		name  string
		chunk []Message
		want  Ack
		total uint64
	}{
		{"whole", chunk(0, ChunkSize), Ack{Sequence: 1000}, 1000},
		{"again", chunk(0, ChunkSize), Ack{Sequence: 1000, Duplicate: true}, 1000},
		{"the last one", chunk(1000, 1), Ack{Sequence: 1001}, 1001},
		{"the last one again", chunk(1000, 1), Ack{Sequence: 1001, Duplicate: true}, 1001},
		{"cut elsewhere", chunk(990, 20), Ack{Sequence: 1010}, 1010},
	}
	for _, s := range steps {
		got, err := c.PublishChunk(t.Context(), s.chunk, 0)
		if err != nil || got != s.want {
			t.Errorf("%s: %+v, %v; want %+v", s.name, got, err, s.want)
		}
		if n := waiting(t, c, "JOBS"); n != s.total {
			t.Errorf("%s: %d messages in JOBS, want %d", s.name, n, s.total)
		}
	}
}

func TestPublishIntoAFullQueue(t *testing.T) {
	t.Parallel()
	c := connect(t, startBroker(t, natsd.Options{}), Config{})
	setup(t, c, Layout{MaxJobs: 2})
	publish(t, c, Normal, plainJob(0))
	if _, err := c.PublishChunk(t.Context(), chunk(10, 3), 0); !errors.Is(err, ErrQueueFull) || ErrorType(err) != TypeBroker {
		t.Errorf("a chunk larger than what is left: %v, want ErrQueueFull", err)
	}
	if n := waiting(t, c, "JOBS"); n != 1 {
		t.Errorf("%d messages after a refused chunk, want 1", n)
	}
	publish(t, c, Normal, plainJob(1))
	if _, err := c.Publish(t.Context(), Message{Normal, plainJob(2), nil}); !errors.Is(err, ErrQueueFull) {
		t.Errorf("one too many: %v, want ErrQueueFull", err)
	}
	s, err := c.js.Stream(t.Context(), "JOBS")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	publish(t, c, Normal, plainJob(2)) // the refused id is not taken for a duplicate
	if ack, err := c.PublishChunk(t.Context(), chunk(10, 1), 0); err != nil || ack.Duplicate {
		t.Errorf("the refused chunk's first job: %+v, %v", ack, err)
	}
}

func TestPublishToAStreamOfSomeoneElse(t *testing.T) {
	t.Parallel()
	c := connect(t, startBroker(t, natsd.Options{}), Config{})
	if _, err := c.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "JOBS", Subjects: []string{"jobs.>"}, MaxMsgSize: 500}); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	large := plainJob(0)
	large.Prompt = new(strings.Repeat("cat ", 200))
	if _, err := c.Publish(t.Context(), Message{Normal, large, nil}); apiCode(err) != codeMessageTooLarge || errors.Is(err, ErrQueueFull) {
		t.Errorf("a job that is too large for the stream: %v", err)
	}
	if _, err := c.PublishChunk(t.Context(), chunk(0, 2), 0); err == nil || !strings.Contains(err.Error(), "set allow_atomic on stream JOBS") {
		t.Errorf("a stream without atomic batches: %v", err)
	}
	if d := time.Since(start); d > 3*time.Second {
		t.Errorf("permanent errors were tried again for %v", d)
	}
}

func TestPublishWithoutAStream(t *testing.T) {
	t.Parallel()
	c := connect(t, startBroker(t, natsd.Options{}), Config{})
	c.absence = 100 * time.Millisecond
	if _, err := c.Publish(t.Context(), Message{Normal, plainJob(0), nil}); !errors.Is(err, ErrMissing) {
		t.Errorf("Publish: %v, want ErrMissing", err)
	}
	if _, err := c.PublishChunk(t.Context(), chunk(0, 2), 0); !errors.Is(err, ErrMissing) {
		t.Errorf("PublishChunk: %v, want ErrMissing", err)
	}
}

func TestPublishWaitsForTheBroker(t *testing.T) {
	t.Parallel()
	s := startBroker(t, natsd.Options{})
	c := connect(t, s, Config{})
	setup(t, c, Layout{})
	s.Suspend()
	eventually(t, "the client notices", func() bool { return !c.Connected() })
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := c.Publish(ctx, Message{Normal, plainJob(9), nil}); !errors.Is(err, context.DeadlineExceeded) || ErrorType(err) != TypeBroker {
		t.Errorf("while the broker is away: %v, want the deadline", err)
	}
	time.AfterFunc(300*time.Millisecond, func() {
		if err := s.Resume(); err != nil {
			t.Error(err)
		}
	})
	if _, err := c.PublishChunk(t.Context(), chunk(0, 10), 0); err != nil {
		t.Fatal(err)
	}
	publish(t, c, Normal, plainJob(10))
	if n := waiting(t, c, "JOBS"); n != 11 {
		t.Errorf("%d messages, want 11: what failed was stored after all, or what succeeded was not", n)
	}
}
