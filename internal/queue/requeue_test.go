package queue

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
)

// kill makes a dead letter of a job that is published at high priority, as a worker does, and returns it.
func kill(t *testing.T, c *Client, source *Source, m Message) DeadMessage {
	t.Helper()
	if _, err := c.Publish(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	return killNext(t, c, source)
}

// killNext is kill for the job that waits.
func killNext(t *testing.T, c *Client, source *Source) DeadMessage {
	t.Helper()
	d := fetchOne(t, source)
	if err := c.DeadLetter(t.Context(), d, Failure{Type: TypeModelError, Message: "boom", Attempts: 5}); err != nil {
		t.Fatal(err)
	}
	r := Result{BatchID: d.ID.Batch, Index: d.ID.Index, Retry: d.ID.Retry, Status: Failed, Error: &ResultError{TypeModelError, "boom"}}
	if stored, err := c.Record(t.Context(), r); !stored || err != nil {
		t.Fatalf("Record: %v, %v", stored, err)
	}
	if err := d.Term(t.Context(), "boom"); err != nil {
		t.Fatal(err)
	}
	letters := deadLetters(t, c, DeadFilter{})
	return letters[len(letters)-1]
}

func TestRequeue(t *testing.T) {
	t.Parallel()
	layout := Layout{Models: []string{"sd-1.5"}}
	_, c := newQueue(t, layout)
	source := newSource(t, c, SourceConfig{Layout: layout})
	job := Job{BatchID: "b", Index: 7, Model: "sd-1.5", Prompt: new("a cat"), Seed: new(Seed(1 << 60)), ID: "mine"}
	header := nats.Header{"traceparent": {"00-a-b-01"}, "X-Mine": {"kept"}}
	letter := kill(t, c, source, Message{High, job, header})
	for retry := 1; retry <= 2; retry++ {
		id, err := c.Requeue(t.Context(), letter)
		if err != nil || id != (Identity{"b", 7, retry}) {
			t.Fatalf("Requeue: %v, %v", id, err)
		}
		if n := waiting(t, c, "DEAD"); n != 0 {
			t.Errorf("%d dead letters are left", n)
		}
		d := fetchOne(t, source)
		job.Version, job.Retry = 1, retry
		if diff := cmp.Diff(job, d.Job); diff != "" || d.Err != nil {
			t.Errorf("%v: job (-want +got):\n%s", d.Err, diff)
		}
		if d.ID != id || d.Priority != High || d.Header.Get("traceparent") != "00-a-b-01" || d.Header.Get("X-Mine") != "kept" || len(d.Header) != 3 {
			t.Errorf("delivered %v at %s with %v", d.ID, d.Priority, d.Header)
		}
		if s, err := c.Begin(t.Context(), d); err != nil || s.Attempt != 1 {
			t.Errorf("it is begun as attempt %d, %v; want the first", s.Attempt, err)
		}
		if err := d.Nak(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		letter = killNext(t, c, source)
	}
}

func TestRequeueTwice(t *testing.T) {
	t.Parallel()
	layout := Layout{Models: []string{"m"}}
	_, c := newQueue(t, layout)
	source := newSource(t, c, SourceConfig{Layout: layout})
	letter := kill(t, c, source, Message{High, plainJob(7), nil})
	again := func(name string, published uint64) {
		t.Helper()
		if id, err := c.Requeue(t.Context(), letter); err != nil || id != (Identity{"b", 7, 1}) {
			t.Errorf("%s: %v, %v", name, id, err)
		}
		if n := everStored(t, c); n != published {
			t.Errorf("%s: %d messages were published, want %d", name, n, published)
		}
	}
	again("at first", 2)
	again("while it waits", 2)
	d := fetchOne(t, source)
	again("while it runs", 2)
	record(t, c, "b", 7, 1)
	if err := d.Ack(t.Context()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(3 * forgetful(t, c))
	again("long after it is done", 2)

	// A crash between the publish and the deletion leaves the letter.
	letter = kill(t, c, source, Message{High, plainJob(8), nil})
	m, err := c.names.revive(letter)
	if err != nil {
		t.Fatal(err)
	}
	publish(t, c, High, m.Job)
	record(t, c, "b", 8, 1)
	time.Sleep(3 * forgetful(t, c))
	if _, err := c.Requeue(t.Context(), letter); err != nil {
		t.Error(err)
	}
	if dead, stored := waiting(t, c, "DEAD"), everStored(t, c); dead != 0 || stored != 4 {
		t.Errorf("%d dead letters, %d messages were published; want 0 and 4", dead, stored)
	}
}

func TestRequeueRefuses(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, shortLease)
	source := newSource(t, c, SourceConfig{Layout: shortLease})
	for _, msgID := range []string{"", "b/7"} {
		d := poison(t, c, source, msgID)
		if err := c.DeadLetter(t.Context(), d, Failure{Type: TypeInvalidJob}); err != nil {
			t.Fatal(err)
		}
		if err := d.Term(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.js.PublishMsg(t.Context(), natsMsg("dead.b.9", "", "not ours")); err != nil {
		t.Fatal(err)
	}
	letters := deadLetters(t, c, DeadFilter{})
	for _, d := range letters {
		if _, err := c.Requeue(t.Context(), d); !errors.Is(err, ErrNotRequeued) {
			t.Errorf("the letter at %d: %v, want ErrNotRequeued", d.Sequence, err)
		}
	}
	good := kill(t, c, source, Message{Low, plainJob(1), nil})
	cancelJob(t, c, "b", 1)
	if _, err := c.Requeue(t.Context(), good); !errors.Is(err, ErrJobCancelled) {
		t.Errorf("a cancelled job: %v, want ErrJobCancelled", err)
	}
	if n := waiting(t, c, "DEAD"); len(letters) != 3 || n != 4 {
		t.Errorf("%d letters were read and %d are left, want 3 and 4", len(letters), n)
	}
	if n := waiting(t, c, "JOBS"); n != 0 {
		t.Errorf("%d jobs", n)
	}
}

// A letter may have been written by anyone: what comes back is a job of this queue under its own subject, or nothing.
func FuzzRevive(f *testing.F) {
	f.Add("jobs.high.sd-1_5.b", "b/7", `{"model":"sd-1.5","prompt":"a cat"}`)
	f.Add("jobs.low.m.b", "b/7#3", `{"model":"m","retry":3,"id":"x","seed":"18446744073709551615"}`)
	f.Add("jobs.urgent.m.b", "b/7", `{"model":"m"}`)
	f.Add("jobs.low.>.b", "b/0", `{"model":"m"}`)
	f.Add("results.b.7", "b/7#2147483647", `{"model":"m"}`)
	names, err := NewNames("acme")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, subject, msgID, body string) {
		header := nats.Header{HeaderSubject: {"acme." + subject}, HeaderMsgID: {msgID}, "Nats-Batch-Id": {"x"}, HeaderAttempts: {msgID}}
		d := names.readDead("acme.dead.b.7", header, []byte(body))
		m, err := names.revive(d)
		if err != nil {
			return
		}
		msg, err := (&Client{names: names}).message(m)
		if err != nil {
			if m.Job.Retry <= 0 || m.Job.Retry > 1<<31-1 {
				return // there is no higher retry
			}
			t.Fatalf("%+v cannot be published: %v", m, err)
		}
		if msg.Subject != "acme."+subject || msg.Header.Get("Nats-Batch-Id") != "" || m.Job.Retry != d.ID.Retry+1 {
			t.Errorf("%s with %v of %+v", msg.Subject, msg.Header, d)
		}
		if !json.Valid(msg.Data) {
			t.Errorf("body %s", msg.Data)
		}
	})
}
