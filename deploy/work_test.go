package deploy_test

import (
	"context"
	"errors"
	"iter"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stipple-ai/stipple/internal/batch"
	"github.com/stipple-ai/stipple/internal/queue"
)

const model = "sd15"

// work is one queue in use: by those who set it up, who want pictures, and who draw them.
type work struct {
	*broker
	admin, enqueue, worker *queue.Client
	workerConfig           queue.Config
	source                 *queue.Source
	layout                 queue.Layout
}

// wholeWork does everything that the programs do to the broker, each user its part.
func wholeWork(b *broker, prefix string) {
	b.t.Helper()
	user := func(name string) string {
		if prefix != "" {
			return prefix + "-" + name
		}
		return name
	}
	w := &work{broker: b, workerConfig: b.config(user("worker"), prefix), layout: queue.Layout{Models: []string{model}, AckWait: time.Second}}
	w.admin, w.enqueue, w.worker = b.connect(b.config("admin", prefix)), b.connect(b.config(user("enqueue"), prefix)), b.connect(w.workerConfig)
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
	defer cancel()
	w.setUp(ctx)
	w.drawBatch(ctx)
	w.webhooks(ctx)
	w.cancel(ctx)
	w.deadLetters(ctx)
	w.operate(ctx)
}

func (w *work) ok(doing string, err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("%s: %v", doing, err)
	}
}

// must returns v unless err says that something failed.
func must[T any](v T, err error) func(t *testing.T, doing string) T {
	return func(t *testing.T, doing string) T {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", doing, err)
		}
		return v
	}
}

// setUp makes the queue, and starts a worker and an enqueue on it.
func (w *work) setUp(ctx context.Context) {
	w.t.Helper()
	must(w.admin.Setup(ctx, w.layout))(w.t, "setup")
	if d := must(w.worker.Ensure(ctx, w.layout))(w.t, "the worker's look at the queue"); len(d) != 0 {
		w.t.Errorf("the worker finds %v", d)
	}
	w.ok("registering the model", w.worker.RegisterModel(ctx, queue.Model{Name: model, Digest: "sha256:1"}, false))
	w.ok("replacing the model", w.worker.RegisterModel(ctx, queue.Model{Name: model, Digest: "sha256:2"}, true))
	for _, f := range queue.Examine(ctx, w.workerConfig, w.layout.Models) {
		if f.Err != nil && !f.Warning { // the lease of this test is short
			w.t.Errorf("the worker's doctor: %s: %v: %s", f.Name, f.Err, f.Mend)
		}
	}
	must(w.enqueue.Ensure(ctx, queue.Layout{}))(w.t, "enqueue's look at the queue")
	if models := must(w.enqueue.ListModels(ctx))(w.t, "listing models"); len(models) != 1 {
		w.t.Errorf("models %v, want one", models)
	}
	w.source = must(w.worker.NewSource(queue.SourceConfig{Layout: w.layout}))(w.t, "making a source")
}

// fetch waits for one job.
func (w *work) fetch(ctx context.Context) *queue.Delivery {
	w.t.Helper()
	for {
		jobs := must(w.source.Fetch(ctx, 1))(w.t, "fetching")
		if len(jobs) > 0 {
			return jobs[0]
		}
		w.ok("waiting for a job", w.source.Wait(ctx))
	}
}

// submit publishes a batch of n jobs as `enqueue` does.
func (w *work) submit(ctx context.Context, id string, n int) {
	w.t.Helper()
	prompts := make([]string, n)
	for i := range prompts {
		prompts[i] = "a fox"
	}
	must(batch.Submit(ctx, w.enqueue, batch.Submission{Batch: id, Total: int64(n), Plan: batch.Plan{Rows: batch.Args(prompts...), Defaults: queue.Job{Model: model}}}))(w.t, "submitting")
}

func result(d *queue.Delivery, status string) queue.Result {
	r := queue.Result{Version: 1, BatchID: d.ID.Batch, Index: d.ID.Index, Retry: d.ID.Retry, Status: status, Model: d.Model, Worker: "w"}
	switch status {
	case queue.Succeeded:
		seed := queue.Seed(d.ID.Index)
		r.Seed, r.Image = &seed, &queue.Image{Bucket: "images", Key: d.ID.String() + ".png", ContentType: "image/png", Width: 64, Height: 64}
	case queue.Failed:
		r.Error = &queue.ResultError{Type: queue.TypeModelError, Message: "it broke"}
	}
	return r
}

// drawBatch draws a batch whose first job is handed back once, and whose second fails once, while enqueue looks on.
func (w *work) drawBatch(ctx context.Context) {
	w.t.Helper()
	watching, stop := context.WithCancel(ctx)
	defer stop()
	progress := must(w.enqueue.WatchProgress(watching, "*"))(w.t, "watching progress")
	status := must(w.enqueue.WatchStatus(watching))(w.t, "watching workers")
	cancelled := must(w.worker.WatchCancelled(watching))(w.t, "watching what is cancelled")
	defer cancelled.Stop()
	w.submit(ctx, "first", 2)

	d := w.fetch(ctx)
	must(w.worker.Begin(ctx, d))(w.t, "beginning")
	w.ok("handing back", w.worker.HandedBack(ctx, d))
	w.ok("nak", d.Nak(ctx, 0))
	for failed := false; ; {
		d := w.fetch(ctx)
		if _, found := lookUp(ctx, w, d); found {
			w.t.Fatalf("job %v has a result", d)
		}
		w.beginAtOnce(ctx, d)
		w.worker.NewReporter(queue.Progress{BatchID: d.ID.Batch, Index: d.ID.Index}).Report(1, 1)
		w.worker.AnnounceStatus(queue.Status{Worker: "w", State: queue.WorkerReady})
		if d.ID.Index == 1 && !failed {
			failed = true
			w.ok("failing", w.worker.Failed(ctx, d, queue.ResultError{Type: queue.TypeModelError, Message: "it broke"}))
			w.ok("nak", d.Nak(ctx, 10*time.Millisecond))
			continue
		}
		// Longer than a lease: heartbeats keep it.
		time.Sleep(1200 * time.Millisecond)
		if d.LeaseLost() {
			w.t.Error("the lease ran out")
		}
		if stored := must(w.worker.RecordHeld(ctx, result(d, queue.Succeeded), d.Held))(w.t, "recording"); !stored {
			w.t.Error("the result is not the job's")
		}
		other := result(d, queue.Failed)
		if stored := must(w.worker.Record(ctx, other))(w.t, "recording again"); stored {
			w.t.Error("a second result took the first one's place")
		}
		w.ok("acknowledging", d.Ack(ctx))
		if d.ID.Index == 1 {
			break
		}
	}
	first[queue.Progress](w.t, progress)
	first[queue.Status](w.t, status)
	var last batch.Update
	for u, err := range batch.Follow(ctx, w.enqueue, "first") {
		w.ok("following", err)
		last = u
	}
	if diff := cmp.Diff(queue.Summary{Succeeded: 2}, last.Summary); diff != "" || !last.Done {
		w.t.Errorf("done %v: %s", last.Done, diff)
	}
	if _, found, err := w.enqueue.Lookup(ctx, "first", 0); err != nil || !found {
		w.t.Errorf("enqueue finds the result of a job: %v, %v", found, err)
	}
	if _, err := w.enqueue.CreateBatch(ctx, queue.Batch{ID: "first", Total: 1, State: queue.BatchEnqueuing}); !errors.Is(err, queue.ErrBatchExists) {
		w.t.Errorf("making a batch that is there: got %v", err)
	}
	w.ok("keeping the summary", batch.KeepSummary(ctx, w.enqueue, "first", &last.Summary))
}

// webhooks reads the results of the batch as `enqueue serve` does to send webhooks: one of them comes twice.
func (w *work) webhooks(ctx context.Context) {
	w.t.Helper()
	if url := must(w.enqueue.BatchWebhook(ctx, "first"))(w.t, "looking up the webhook of a batch"); url != "" {
		w.t.Errorf("the batch has the webhook %s", url)
	}
	tail := w.enqueue.Tail("webhooks", time.Minute)
	for came := map[string]int{}; len(came) < 2 || came["first/0"] < 2; {
		for r, err := range tail.Pull(ctx, 1) {
			w.ok("reading results", err)
			if id := r.Identity().String(); id == "first/0" && r.Deliveries == 1 {
				came[id]++
				r.Again(0)
			} else {
				came[id]++
				r.Done()
			}
		}
	}
	for held := int64(1); held > 0; {
		state := must(w.enqueue.TailState(ctx, "webhooks"))(w.t, "looking who sends webhooks")
		if held = state.Held; !state.Exists {
			w.t.Fatal("the consumer is not there")
		}
	}
}

// beginAtOnce counts a start several times at once, so that the writes meet: they count for one.
func (w *work) beginAtOnce(ctx context.Context, d *queue.Delivery) {
	w.t.Helper()
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if _, err := w.worker.Begin(ctx, d); err != nil {
				w.t.Errorf("beginning: %v", err)
			}
		})
	}
	wg.Wait()
}

func lookUp(ctx context.Context, w *work, d *queue.Delivery) (queue.Result, bool) {
	w.t.Helper()
	r, found, err := w.worker.Lookup(ctx, d.ID.Batch, d.ID.Index)
	w.ok("looking up", err)
	return r, found
}

// first waits for one message of a watch.
func first[T any](t *testing.T, seq iter.Seq[T]) {
	t.Helper()
	for range seq {
		return
	}
	t.Errorf("no %T was heard", *new(T))
}

// cancel takes jobs out of the queue; the running ones stop.
func (w *work) cancel(ctx context.Context) {
	w.t.Helper()
	w.submit(ctx, "unwanted", 3)
	d := w.fetch(ctx)
	cancelled := must(w.worker.WatchCancelled(ctx))(w.t, "watching what is cancelled")
	told := make(chan struct{})
	defer cancelled.OnCancel(d.ID.Batch, d.ID.Index, func() { close(told) })()
	w.ok("cancelling a job", w.enqueue.CancelJob(ctx, "unwanted", d.ID.Index))
	select {
	case <-told:
	case <-ctx.Done():
		w.t.Fatal("the worker was not told")
	}
	cancelled.Stop()
	if gone := must(w.worker.Cancelled(ctx, d.ID.Batch, d.ID.Index))(w.t, "asking what is cancelled"); !gone {
		w.t.Error("the job is not cancelled")
	}
	must(w.worker.Record(ctx, result(d, queue.Cancelled)))(w.t, "recording")
	w.ok("acknowledging", d.Ack(ctx))
	if n := must(w.enqueue.CancelBatch(ctx, "unwanted"))(w.t, "cancelling a batch"); n != 2 {
		w.t.Errorf("%d jobs were taken out, want 2", n)
	}
	for _, err := range w.enqueue.ReadResults(ctx, "unwanted") {
		w.ok("reading results", err)
	}
	if n := must(w.enqueue.CountResults(ctx, "unwanted"))(w.t, "counting results"); n != 1 {
		w.t.Errorf("%d results, want 1", n)
	}
}

// deadLetters lets jobs die, puts one back, deletes the others.
func (w *work) deadLetters(ctx context.Context) {
	w.t.Helper()
	w.submit(ctx, "poison", 3)
	die := func() {
		d := w.fetch(ctx)
		for range 2 { // the second finds the first
			w.ok("storing the dead letter", w.worker.DeadLetter(ctx, d, queue.Failure{Type: queue.TypeModelError, Message: "it broke", Attempts: 5}))
		}
		must(w.worker.RecordHeld(ctx, result(d, queue.Failed), d.Held))(w.t, "recording")
		w.ok("terminating", d.Term(ctx, "it broke"))
	}
	for range 3 {
		die()
	}
	w.look(ctx)
	for d, err := range w.enqueue.DeadLetters(ctx, queue.DeadFilter{}) {
		w.ok("listing dead letters", err)
		for range 2 { // the second finds it done
			must(w.enqueue.Requeue(ctx, d))(w.t, "putting back")
		}
		break
	}
	die()
	must(w.enqueue.RetryJobs(ctx, []queue.Message{{Priority: queue.Low, Job: queue.Job{BatchID: "poison", Index: 1, Model: model}}}))(w.t, "retrying")
	die()
	must(w.enqueue.RetryJob(ctx, queue.Message{Priority: queue.High, Job: queue.Job{BatchID: "poison", Index: 2, Model: model}}))(w.t, "retrying one")
	die()
	if letter, found, err := w.enqueue.DeadLetterOf(ctx, "poison", 1); err != nil || !found || letter.Type != queue.TypeModelError {
		w.t.Errorf("the dead letter of a job: %+v, %v, %v", letter, found, err)
	}
	if n := must(w.enqueue.PurgeDead(ctx, queue.DeadFilter{Type: queue.TypeModelError}))(w.t, "deleting some dead letters"); n != 5 {
		w.t.Errorf("%d were deleted, want 5", n)
	}
	must(w.enqueue.PurgeDead(ctx, queue.DeadFilter{}))(w.t, "deleting all dead letters")
}

// look reads results and dead letters as the page does, a screen at a time.
func (w *work) look(ctx context.Context) {
	w.t.Helper()
	if p := must(w.enqueue.PageResults(ctx, "first", 0, 1))(w.t, "reading a page of results"); len(p.Entries) != 1 || p.Pending != 1 {
		w.t.Errorf("a page of results: %+v", p)
	}
	if r := must(w.enqueue.NewestResults(ctx, "first", 0, 1))(w.t, "reading the newest results"); len(r) != 1 {
		w.t.Errorf("the newest results: %+v", r)
	}
	if r := must(w.enqueue.ResultsOf(ctx, "first", 0, 10))(w.t, "reading results by index"); len(r) != 2 {
		w.t.Errorf("results by index: %+v", r)
	}
	last := must(w.enqueue.LastDead(ctx))(w.t, "looking for the last dead letter")
	if p := must(w.enqueue.PageDead(ctx, "", 0, 10))(w.t, "reading a page of dead letters"); len(p.Entries) != 3 || p.Last != last {
		w.t.Errorf("a page of dead letters, the last of which is %d: %+v", last, p)
	}
}

// operate looks at the queue and mends it.
func (w *work) operate(ctx context.Context) {
	w.t.Helper()
	w.submit(ctx, "last", 1)
	chunk := []queue.Message{{Priority: queue.Normal, Job: queue.Job{BatchID: "last", Index: 0, Model: model}}}
	for _, publish := range []func(context.Context, []queue.Message, uint64) (queue.Ack, error){w.enqueue.ResumeChunk, w.enqueue.PublishChunk} {
		if ack := must(publish(ctx, chunk, 0))(w.t, "publishing a chunk again"); !ack.Duplicate {
			w.t.Error("a chunk was stored twice")
		}
	}
	for who, c := range map[string]*queue.Client{"enqueue": w.enqueue, "admin": w.admin} {
		if depth := must(c.QueueDepth(ctx))(w.t, who+" measuring the queue"); len(depth) != 3 {
			w.t.Errorf("%s sees %v, want three priorities", who, depth)
		}
		must(c.Stranded(ctx, w.layout))(w.t, who+" looking for stranded jobs")
	}
	must(w.worker.Stranded(ctx, w.layout))(w.t, "the worker looking for stranded jobs")
	must(w.worker.Backlog(ctx, model))(w.t, "the worker measuring its backlog")
	must(w.enqueue.ListBatches(ctx))(w.t, "listing batches")
	must(w.enqueue.WaitingJobs(ctx, "last"))(w.t, "counting jobs")
	if _, settled, err := w.enqueue.Settled(ctx, "last"); err != nil || settled {
		w.t.Errorf("the last batch is settled: %v, %v", settled, err)
	}
	if job, found, err := w.enqueue.FindJob(ctx, "last", 0); err != nil || !found || !job.Consumer {
		w.t.Errorf("looking for a job: %+v, %v, %v", job, found, err)
	}
	if paused := must(w.admin.Pause(ctx, queue.Scope{}, time.Time{}))(w.t, "pausing"); len(paused) != 3 {
		w.t.Errorf("%v were paused, want three consumers", paused)
	}
	must(w.admin.Resume(ctx, queue.Scope{}))(w.t, "resuming")
	w.ok("repairing", w.admin.Repair(ctx, w.layout, queue.Normal, model))
	d := w.fetch(ctx)
	must(w.worker.Record(ctx, result(d, queue.Succeeded)))(w.t, "recording")
	w.ok("acknowledging", d.Ack(ctx))

	// A model that nobody set up is said to be missing: this user makes nothing.
	if _, err := w.worker.Ensure(ctx, queue.Layout{Models: []string{"other"}}); !errors.Is(err, queue.ErrMissing) {
		w.t.Errorf("a model without consumers: got %v", err)
	}
}
