package queue

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// poison is a message that never becomes a job, delivered.
func poison(t *testing.T, c *Client, source *Source, msgID string) *Delivery {
	t.Helper()
	msg := natsMsg("jobs.normal.m.b", msgID, `{"model":"m","steps":1}`)
	msg.Header.Set("traceparent", "00-a-b-01")
	if _, err := c.js.PublishMsg(t.Context(), msg); err != nil {
		t.Fatal(err)
	}
	return fetchOne(t, source)
}

func TestDeadLetter(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, shortLease)
	source := newSource(t, c, SourceConfig{Layout: shortLease})
	for _, tt := range []struct{ msgID, subject string }{
		{"b/7#2", "dead.b.7"},
		{"b/7#3", "dead.b.7"}, // put back by hand, and dead again
		{"", "dead.b.s3"},
	} {
		d := poison(t, c, source, tt.msgID)
		f := Failure{Type: ErrorType(d.Err), Message: d.Err.Error() + "\nsecond line", TraceID: strings.Repeat("0a", 16), Attempts: 3}
		for range 2 { // the second time because the worker died before Term
			if err := c.DeadLetter(t.Context(), d, f); err != nil {
				t.Fatal(err)
			}
		}
		if err := d.Term(t.Context(), f.Message); err != nil {
			t.Fatal(err)
		}
		dead, err := c.stream(t.Context(), "DEAD")
		if err != nil {
			t.Fatal(err)
		}
		letter, err := dead.GetLastMsgForSubject(t.Context(), tt.subject)
		if err != nil {
			t.Fatal(err)
		}
		if string(letter.Data) != string(d.Data) {
			t.Errorf("body %s, want %s", letter.Data, d.Data)
		}
		for header, want := range map[string]string{
			"Stipple-Msg-Id": tt.msgID, "traceparent": "00-a-b-01", "Stipple-Error-Type": "invalid_job",
			"Stipple-Error": strings.ReplaceAll(f.Message, "\n", " "), "Stipple-Trace-Id": f.TraceID, "Stipple-Attempts": "3",
			"Stipple-Subject": "jobs.normal.m.b",
		} {
			if got := letter.Header.Get(header); got != want {
				t.Errorf("%s: %q, want %q", header, got, want)
			}
		}
	}
	if n := waiting(t, c, "DEAD"); n != 3 {
		t.Errorf("%d dead letters, want 3", n)
	}
	if n := waiting(t, c, "JOBS"); n != 0 {
		t.Errorf("%d jobs left", n)
	}
}

// A job put back within the dedupe window of DEAD, under the id it had, by who knows nothing of retries: its second
// dead letter is not taken for the first.
func TestDeadLettersOfOneMsgID(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, shortLease)
	jobs, err := c.stream(t.Context(), "JOBS")
	if err != nil {
		t.Fatal(err)
	}
	cfg := jobs.CachedInfo().Config
	cfg.Duplicates = 100 * time.Millisecond
	if _, err := c.js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	source := newSource(t, c, SourceConfig{Layout: shortLease})
	for range 2 {
		d := poison(t, c, source, "b/7")
		if err := c.DeadLetter(t.Context(), d, Failure{Type: TypeInvalidJob}); err != nil {
			t.Fatal(err)
		}
		if err := d.Term(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * cfg.Duplicates) // until JOBS takes the id again
	}
	if n := waiting(t, c, "DEAD"); n != 2 {
		t.Errorf("%d dead letters, want 2", n)
	}
}

// A chunk's messages carry marks of their batch and dead letters are made of them.
func TestDeadLetterOfAChunk(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, shortLease)
	if _, err := c.PublishChunk(t.Context(), chunk(0, 3), 0); err != nil {
		t.Fatal(err)
	}
	visible(t, c, shortLease)
	for _, d := range fetch(t, newSource(t, c, SourceConfig{Layout: shortLease}), 3) {
		if err := c.DeadLetter(t.Context(), d, Failure{Type: TypeBadImage, Message: "grey"}); err != nil {
			t.Errorf("%v: %v", d, err)
		}
	}
	if n := waiting(t, c, "DEAD"); n != 3 {
		t.Errorf("%d dead letters, want 3", n)
	}
}

// The lease is looked at before each try, not before the first alone: what was ours when the broker went away may
// be another worker's when it is back.
func TestDeadLetterWhoseLeaseRunsOutMeanwhile(t *testing.T) {
	t.Parallel()
	s, c := newQueue(t, shortLease)
	d := poison(t, c, newSource(t, c, SourceConfig{Layout: shortLease}), "b/7")
	s.Suspend()
	eventually(t, "the client notices", func() bool { return !c.Connected() })
	if d.LeaseLost() {
		t.Fatal("the lease is lost before the test has begun") // a machine that stood still for 2 s
	}
	if err := c.DeadLetter(t.Context(), d, Failure{Type: TypeInvalidJob}); !errors.Is(err, ErrLeaseLost) {
		t.Errorf("DeadLetter: %v, want ErrLeaseLost", err)
	}
}

func TestDeadLetterWithoutALease(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, shortLease)
	stale, _, _ := stopped(t, c)
	if err := c.DeadLetter(t.Context(), stale, Failure{Type: TypeModelError}); !errors.Is(err, ErrLeaseLost) {
		t.Errorf("DeadLetter: %v, want ErrLeaseLost", err)
	}
	if n := waiting(t, c, "DEAD"); n != 0 {
		t.Errorf("%d dead letters", n)
	}
}
