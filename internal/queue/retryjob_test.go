package queue

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/stipple-ai/stipple/internal/local/natsd"
)

func TestRetryJob(t *testing.T) {
	t.Parallel()
	layout := Layout{Models: []string{"m"}}
	_, c := newQueue(t, layout)
	source := newSource(t, c, SourceConfig{Layout: layout})
	job := plainJob(7)
	publish(t, c, Low, job)
	d := fetchOne(t, source)
	seed := d.Job.SeedOrDefault()
	for retry := 1; retry <= 3; retry++ {
		r := result(Failed, retry-1, "w")
		if stored, err := c.Record(t.Context(), r); !stored || err != nil {
			t.Fatal(stored, err)
		}
		if err := d.Ack(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second is known
			id, err := c.RetryJob(t.Context(), Message{High, job, nats.Header{"traceparent": {"x"}}})
			if err != nil || id != (Identity{"b", 7, retry}) {
				t.Fatalf("%v, %v", id, err)
			}
		}
		if n := waiting(t, c, "JOBS"); n != 1 {
			t.Errorf("%d jobs", n)
		}
		d = fetchOne(t, source)
		if d.ID.Retry != retry || d.Job.Retry != retry || d.Priority != High || d.Header.Get("traceparent") != "x" || d.Job.SeedOrDefault() != seed {
			t.Errorf("delivered %v at %s: %+v", d.ID.MsgID(), d.Priority, d.Job)
		}
	}
	record(t, c, "b", 7, 3) // whatever was retried before gives way to the last
}

func TestRetryJobs(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, Layout{})
	const n = ChunkSize
	all := make([]Message, n)
	want := make([]Identity, n)
	for i := range all {
		index := int64(3 * i)
		all[i] = Message{Priority: Priorities()[i%3], Job: plainJob(index)}
		retry := i % 4 // and those of 0 have no record
		if retry > 0 {
			r := result(Succeeded, retry, "w")
			r.Index = index
			if _, err := c.Record(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		want[i] = Identity{"b", index, retry + 1}
	}
	for range 2 {
		got, err := c.RetryJobs(t.Context(), all)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if stored := everStored(t, c); stored != n {
			t.Errorf("%d messages were stored, want %d", stored, n)
		}
	}
	if all[5].Job.Retry != 0 {
		t.Error("the caller's jobs were changed")
	}

	// Some of them again, with others: what is known is left, what is new is published.
	other := []Message{all[0], all[1], all[2], {Low, plainJob(1), nil}}
	if got, err := c.RetryJobs(t.Context(), other); err != nil || got[3] != (Identity{"b", 1, 1}) {
		t.Errorf("%v, %v", got, err)
	}
	if stored := everStored(t, c); stored != n+1 {
		t.Errorf("%d messages were stored, want %d", stored, n+1)
	}
}

func TestRetryJobsRefuses(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, Layout{})
	foreign := chunk(0, 2)
	foreign[1].Job.BatchID = "other"
	worn := chunk(5, 1)
	worn[0].Job.Retry = 1<<31 - 1
	invalid := chunk(6, 1)
	invalid[0].Job.Model = ""
	for name, jobs := range map[string][]Message{
		"none": nil, "too many": chunk(0, ChunkSize+1), "of two batches": foreign, "one twice": append(chunk(0, 1), chunk(0, 1)...),
		"no batch": {{Normal, Job{Model: "m"}, nil}}, "retried too often": worn, "invalid": invalid,
	} {
		if _, err := c.RetryJobs(t.Context(), jobs); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	cancelJob(t, c, "b", 0)
	if _, err := c.RetryJob(t.Context(), chunk(0, 1)[0]); !errors.Is(err, ErrJobCancelled) {
		t.Errorf("a cancelled job: %v, want ErrJobCancelled", err)
	}
	cancelBatch(t, c, "b")
	if _, err := c.RetryJobs(t.Context(), chunk(1, 1)); !errors.Is(err, ErrJobCancelled) {
		t.Errorf("of a cancelled batch: %v, want ErrJobCancelled", err)
	}
	if n := waiting(t, c, "JOBS"); n != 0 {
		t.Errorf("%d jobs", n)
	}
}

func TestLastOf(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, Layout{})
	record(t, c, "b", 1, 0)
	record(t, c, "b", 2, 0)
	record(t, c, "b", 1, 1)
	for _, tt := range []struct {
		subjects []string
		want     int
	}{{[]string{"results.b.1", "results.b.2", "results.b.3"}, 2}, {[]string{"results.b.3"}, 0}, {[]string{"results.c.*", "results.b.*"}, 2}} {
		if got, err := c.lastOf(t.Context(), "RESULTS", tt.subjects); err != nil || len(got) != tt.want {
			t.Errorf("%v: %d messages, %v; want %d", tt.subjects, len(got), err, tt.want)
		}
	}
}

func TestLastOfNoStream(t *testing.T) {
	t.Parallel()
	c := connect(t, startBroker(t, natsd.Options{}), Config{})
	c.absence = 100 * time.Millisecond
	if _, err := c.RetryJob(t.Context(), chunk(0, 1)[0]); !errors.Is(err, ErrMissing) {
		t.Errorf("%v, want ErrMissing", err)
	}
	if _, err := c.lastOf(t.Context(), "RESULTS", []string{"results.b.1"}); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("%v, want that nobody answers", err)
	}
}
