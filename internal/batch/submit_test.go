package batch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stipple-ai/stipple/internal/queue"
)

// seeds is a submission of n jobs of one prompt.
func seeds(t *testing.T, batch string, n int64) Submission {
	t.Helper()
	return Submission{
		Batch: batch, Total: n,
		Plan: Plan{Rows: Args("a red apple"), Groups: []Group{group(t, fmt.Sprintf("seed=1..%d", n))}, Defaults: queue.Job{Model: "m"}},
	}
}

// faulty is a queue that fails where the test says so.
type faulty struct {
	Queue
	publish func(chunk []queue.Message) error // before a chunk is published; nil lets it pass
	update  func(b queue.Batch) error         // before the record is written
}

func (f faulty) PublishChunk(ctx context.Context, chunk []queue.Message, after uint64) (queue.Ack, error) {
	if f.publish != nil {
		if err := f.publish(chunk); err != nil {
			return queue.Ack{}, err
		}
	}
	return f.Queue.PublishChunk(ctx, chunk, after)
}

func (f faulty) ResumeChunk(ctx context.Context, chunk []queue.Message, after uint64) (queue.Ack, error) {
	if f.publish != nil {
		if err := f.publish(chunk); err != nil {
			return queue.Ack{}, err
		}
	}
	return f.Queue.ResumeChunk(ctx, chunk, after)
}

func (f faulty) UpdateBatch(ctx context.Context, b queue.Batch) (queue.Batch, error) {
	if f.update != nil {
		if err := f.update(b); err != nil {
			return queue.Batch{}, err
		}
	}
	return f.Queue.UpdateBatch(ctx, b)
}

func TestSubmit(t *testing.T) {
	for _, n := range []int64{1, 999, 1000, 1001, 2500} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			b := startBroker(t, queue.Layout{}, nil)
			var heard []Published
			s := seeds(t, "b", n)
			s.Priority = queue.High
			s.OnJobs = func(jobs []Published) { heard = append(heard, jobs...) }
			r, err := Submit(t.Context(), b.client, s)
			if err != nil || r != (Receipt{Total: n}) {
				t.Fatalf("receipt %+v, %v", r, err)
			}
			for i, m := range b.wantJobs(t, "b", int(n)) {
				if m.Subject != "jobs.high.m.b" || m.Body.Seed != uint64(i+1) || m.Body.Prompt != "a red apple" {
					t.Fatalf("job %d: %+v", i, m)
				}
			}
			b.wantRecord(t, "b", queue.BatchCommitted, n, n)
			if len(heard) != int(n) {
				t.Errorf("heard of %d jobs", len(heard))
			}
			for i, p := range heard {
				if p.Job.Identity() != (queue.Identity{Batch: "b", Index: int64(i)}) {
					t.Fatalf("heard of %s in place %d", p.Job.Identity(), i)
				}
			}
		})
	}
}

func TestSubmitAgainDoesNothing(t *testing.T) {
	b := startBroker(t, queue.Layout{}, nil)
	if _, err := Submit(t.Context(), b.client, seeds(t, "b", 1500)); err != nil {
		t.Fatal(err)
	}
	s := seeds(t, "b", 1500)
	s.OnJobs = func(jobs []Published) { t.Errorf("published %d jobs again", len(jobs)) }
	q := faulty{Queue: b.client, publish: func([]queue.Message) error { return errors.New("published again") }}
	if r, err := Submit(t.Context(), q, s); err != nil || r != (Receipt{Total: 1500, Before: 1500}) {
		t.Errorf("receipt %+v, %v", r, err)
	}
	b.wantJobs(t, "b", 1500)
}

// TestSubmitGoesOnAfterACrash kills a run of 20 000 rows three times, before, after and in the middle of what a
// crash can fall between: a chunk that is in the queue and the cursor that says so.
func TestSubmitGoesOnAfterACrash(t *testing.T) {
	const total = 20_000
	b := startBroker(t, queue.Layout{}, nil)
	crash := errors.New("crash")
	runs := []struct {
		name   string
		at     int64 // the cursor at which the crash comes
		q      func(at int64) faulty
		before int64 // that the run finds
		stored int   // that it leaves
	}{
		{"before a chunk", 7000, func(at int64) faulty {
			return faulty{publish: func(chunk []queue.Message) error {
				if chunk[0].Job.Index == at {
					return crash
				}
				return nil
			}}
		}, 0, 7000},
		{"before the cursor", 11_000, func(at int64) faulty {
			return faulty{update: func(r queue.Batch) error {
				if r.Cursor == at {
					return crash
				}
				return nil
			}}
		}, 7000, 11_000},
		{"before the last cursor", total, func(at int64) faulty {
			return faulty{update: func(r queue.Batch) error {
				if r.Cursor == at {
					return crash
				}
				return nil
			}}
		}, 10_000, total},
	}
	for _, run := range runs {
		q := run.q(run.at)
		q.Queue = b.connect(t)
		r, err := Submit(t.Context(), q, seeds(t, "b", total))
		if !errors.Is(err, crash) || r.Before != run.before {
			t.Fatalf("%s: receipt %+v, error %v", run.name, r, err)
		}
		b.wantJobs(t, "b", run.stored)
	}
	if r, err := Submit(t.Context(), b.client, seeds(t, "b", total)); err != nil || r.Before != total-1000 {
		t.Fatalf("receipt %+v, %v", r, err)
	}
	b.wantJobs(t, "b", total)
	b.wantRecord(t, "b", queue.BatchCommitted, total, total)
}

func TestSubmitStopsWithItsContext(t *testing.T) {
	b := startBroker(t, queue.Layout{}, nil)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the user has had enough")
	s := seeds(t, "b", 5000)
	s.OnJobs = func(jobs []Published) {
		if jobs[0].Job.Index == 1000 {
			cancel(why)
		}
	}
	if _, err := Submit(ctx, b.client, s); !errors.Is(err, why) {
		t.Fatalf("error %v", err)
	}
	s.OnJobs = nil
	if r, err := Submit(t.Context(), b.client, s); err != nil || r.Before != 2000 {
		t.Fatalf("receipt %+v, %v", r, err)
	}
	b.wantJobs(t, "b", 5000)
}

func TestSubmitRefusesOtherRows(t *testing.T) {
	b := startBroker(t, queue.Layout{}, nil)
	stop := errors.New("stop")
	q := faulty{Queue: b.client, publish: func(chunk []queue.Message) error {
		if chunk[0].Job.Index == 2000 {
			return stop
		}
		return nil
	}}
	if _, err := Submit(t.Context(), q, seeds(t, "b", 3000)); !errors.Is(err, stop) {
		t.Fatal(err)
	}
	if _, err := Submit(t.Context(), b.client, seeds(t, "done", 10)); err != nil {
		t.Fatal(err)
	}
	other := func(batch string, n int64, change func(*Submission)) Submission {
		s := seeds(t, batch, n)
		change(&s)
		return s
	}
	tests := []struct {
		name string
		s    Submission
	}{
		{"another prompt", other("b", 3000, func(s *Submission) { s.Plan.Rows = Args("a green apple") })},
		{"another seed of one job", other("b", 3000, func(s *Submission) { s.Plan.Groups = []Group{group(t, "seed=1..1999,7,2001..3000")} })},
		{"another priority", other("b", 3000, func(s *Submission) { s.Priority = queue.Low })},
		{"another model", other("b", 3000, func(s *Submission) { s.Plan.Defaults.Model = "n" })},
		{"fewer", seeds(t, "b", 2999)},
		{"more", seeds(t, "b", 3001)},
		{"of a batch that is committed", other("done", 10, func(s *Submission) { s.Plan.Rows = Args("a green apple") })},
		{"more of a batch that is committed", seeds(t, "done", 11)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Submit(t.Context(), b.client, tt.s); !errors.Is(err, ErrRowsDiffer) || !strings.Contains(err.Error(), "--batch") {
				t.Errorf("error %v", err)
			}
		})
	}
	if n := len(b.jobs(t)); n != 2010 {
		t.Errorf("%d jobs in the queue, want 2010", n)
	}
	// What was refused has not kept the right rows from going on.
	if _, err := Submit(t.Context(), b.client, seeds(t, "b", 3000)); err != nil {
		t.Error(err)
	}
}

func TestSubmitOfACancelledBatch(t *testing.T) {
	b := startBroker(t, queue.Layout{}, nil)
	cancel := func() {
		r, err := b.client.GetBatch(t.Context(), "b")
		if err != nil {
			t.Fatal(err)
		}
		r.State = queue.BatchCancelled
		if _, err := b.client.UpdateBatch(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	s := seeds(t, "b", 5000)
	s.OnJobs = func(jobs []Published) {
		if jobs[0].Job.Index == 1000 {
			cancel()
		}
	}
	for range 2 {
		if _, err := Submit(t.Context(), b.connect(t), s); !errors.Is(err, ErrCancelled) {
			t.Errorf("error %v, want ErrCancelled", err)
		}
		b.wantRecord(t, "b", queue.BatchCancelled, 2000, 5000)
	}
}

// TestASecondSubmitStopsTheFirst holds the first run in the middle until the second has written.
func TestASecondSubmitStopsTheFirst(t *testing.T) {
	b := startBroker(t, queue.Layout{}, nil)
	q := faulty{Queue: b.client}
	q.publish = func(chunk []queue.Message) error {
		if chunk[0].Job.Index == 3000 {
			if r, err := Submit(t.Context(), b.connect(t), seeds(t, "b", 6000)); err != nil || r.Before != 3000 {
				t.Errorf("the second: receipt %+v, %v", r, err)
			}
		}
		return nil
	}
	if _, err := Submit(t.Context(), q, seeds(t, "b", 6000)); !errors.Is(err, ErrTaken) {
		t.Errorf("the first: error %v, want ErrTaken", err)
	}
	b.wantJobs(t, "b", 6000)
	b.wantRecord(t, "b", queue.BatchCommitted, 6000, 6000)
}

// TestSubmitsRace lets several runs of one batch loose at once: whoever wins, every job is in the queue once.
func TestSubmitsRace(t *testing.T) {
	b := startBroker(t, queue.Layout{}, nil)
	const runs, total = 4, 8000
	errs := make([]error, runs)
	var wg sync.WaitGroup
	for i := range runs {
		c, s := b.connect(t), seeds(t, "b", total)
		wg.Go(func() { _, errs[i] = Submit(t.Context(), c, s) })
	}
	wg.Wait()
	done := 0
	for _, err := range errs {
		switch {
		case err == nil:
			done++
		case !errors.Is(err, ErrTaken):
			t.Errorf("error %v", err)
		}
	}
	if done == 0 {
		t.Error("no run has come to the end")
	}
	b.wantJobs(t, "b", total)
	b.wantRecord(t, "b", queue.BatchCommitted, total, total)
}

func TestSubmitWaitsForRoom(t *testing.T) {
	b := startBroker(t, queue.Layout{MaxJobs: 1000}, nil)
	s := seeds(t, "b", 2000)
	waits := 0
	s.OnFull = func(wait time.Duration) {
		if wait <= 0 || wait > fullWaitMax {
			t.Errorf("a wait of %v", wait)
		}
		if waits++; waits == 2 {
			b.purge(t)
		}
	}
	if r, err := Submit(t.Context(), b.client, s); err != nil || r.Total != 2000 {
		t.Fatalf("receipt %+v, %v", r, err)
	}
	if waits < 2 {
		t.Errorf("waited %d times", waits)
	}
	b.wantRecord(t, "b", queue.BatchCommitted, 2000, 2000)

	ctx, cancel := context.WithCancel(t.Context())
	s = seeds(t, "c", 500)
	s.OnFull = func(time.Duration) { cancel() }
	if _, err := Submit(ctx, b.client, s); !errors.Is(err, context.Canceled) || !errors.Is(err, queue.ErrQueueFull) {
		t.Errorf("error %v", err)
	}
}

func TestSubmitWaitsForTheBroker(t *testing.T) {
	b := startBroker(t, queue.Layout{}, nil)
	s := seeds(t, "b", 4000)
	back := make(chan error, 1)
	s.OnJobs = func(jobs []Published) {
		if jobs[0].Job.Index == 1000 {
			b.Suspend()
			time.AfterFunc(300*time.Millisecond, func() { back <- b.Resume() })
		}
	}
	if _, err := Submit(t.Context(), b.client, s); err != nil {
		t.Fatal(err)
	}
	if err := <-back; err != nil {
		t.Fatal(err)
	}
	b.wantJobs(t, "b", 4000)
	b.wantRecord(t, "b", queue.BatchCommitted, 4000, 4000)
}

func TestSubmitOfInputThatChanges(t *testing.T) {
	b := startBroker(t, queue.Layout{}, nil)
	text := func(lines int) Plan {
		in := strings.Repeat("a cat\n", lines)
		return Plan{Defaults: queue.Job{Model: "m"}, Rows: Source(TextFormat, "in.txt", func() (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(in)), nil
		})}
	}
	for name, lines := range map[string]int{"shorter": 1400, "longer": 1600} {
		_, err := Submit(t.Context(), b.client, Submission{Batch: name, Plan: text(lines), Total: 1500})
		if err == nil || !strings.Contains(err.Error(), "the input changed while it was read") {
			t.Errorf("%s: error %v", name, err)
		}
		b.wantRecord(t, name, queue.BatchEnqueuing, 1000, 1500)
	}
	p := text(3)
	p.Rows = csvRows("prompt,seed\na,1\nb,x\n")
	var row *RowError
	if _, err := Submit(t.Context(), b.client, Submission{Batch: "bad", Plan: p, Total: 2}); !errors.As(err, &row) || row.Line != 3 {
		t.Errorf("error %v", err)
	}
	if _, err := Submit(t.Context(), b.client, Submission{Batch: "none", Plan: p}); err == nil {
		t.Error("a batch of no jobs was submitted")
	}
}

func TestNewID(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))
	a, b := NewID(now), NewID(now)
	if a == b || !regexp.MustCompile(`^20260102-020405-[a-z2-7]{8}$`).MatchString(a) {
		t.Errorf("ids %s and %s", a, b)
	}
	if err := ValidateID(a); err != nil {
		t.Error(err)
	}
	for _, id := range []string{"", "a b", "a.b", "a*", strings.Repeat("a", 65)} {
		if err := ValidateID(id); err == nil || !strings.Contains(err.Error(), "batch_id") {
			t.Errorf("id %q: error %v", id, err)
		}
	}
}
