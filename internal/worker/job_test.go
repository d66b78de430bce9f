package worker

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stipple-ai/stipple/internal/infer"
	"github.com/stipple-ai/stipple/internal/otel"
	"github.com/stipple-ai/stipple/internal/queue"
)

// job returns the one job that waits, in the hands of a worker that does nothing by itself.
func (r *running) job() *job {
	r.t.Helper()
	log := slog.New(slog.NewTextHandler(r.log, nil))
	telemetry, err := otel.Setup(context.Background(), otel.Options{})
	if err != nil {
		r.t.Fatal(err)
	}
	cfg, err := Config{Models: []ModelPath{{"sd15", shared.model}}, Logger: log, DrainTimeout: 5 * time.Second, askTime: 300 * time.Millisecond}.Normalize()
	if err != nil {
		r.t.Fatal(err)
	}
	w := &Worker{cfg: cfg, log: log, telemetry: telemetry, queue: r.client, store: &store{Store: r.store, keyPrefix: prefix(r.t) + "/"}, slots: newSlots(1),
		jobs: map[*job]struct{}{}, state: queue.WorkerReady, drain: drain{begun: make(chan struct{})}}
	d := r.delivery()
	_, span := telemetry.Tracer().Start(context.Background(), "test")
	j := &job{Worker: w, d: d, log: log, span: span, cancel: func(error) {}, phases: startPhases(d.Received)}
	r.t.Cleanup(func() {
		d.Release()
		span.End()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := telemetry.Shutdown(ctx); err != nil {
			r.t.Error(err)
		}
	})
	return j
}

// delivery fetches the one job that waits.
func (r *running) delivery() *queue.Delivery { return r.deliveryFor(time.Hour) }

// deliveryFor is delivery with a JOB_TIMEOUT.
func (r *running) deliveryFor(timeout time.Duration) *queue.Delivery {
	r.t.Helper()
	src, err := r.client.NewSource(queue.SourceConfig{Layout: queue.Layout{Models: []string{"sd15"}}, JobTimeout: timeout})
	if err != nil {
		r.t.Fatal(err)
	}
	for {
		got, err := src.Fetch(context.Background(), 1)
		if err != nil {
			r.t.Fatal(err)
		}
		if len(got) == 1 {
			return got[0]
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// brokerAway takes the broker away for d, and until it is back.
func brokerAway(t *testing.T, d time.Duration) {
	t.Helper()
	shared.broker.Suspend()
	time.Sleep(d) // this is about nothing answering
	if err := shared.broker.Resume(); err != nil {
		t.Fatal(err)
	}
}

// TestOnlySuccessIsSaidWithoutALease: what a worker that may have lost its job has to say of it is kept to itself, unless the image is stored.
func TestOnlySuccessIsSaidWithoutALease(t *testing.T) {
	r := connect(t)
	r.publish(quick("b", 0))
	j := r.job()
	brokerAway(t, 2500*time.Millisecond) // more than a lease
	if !j.d.LeaseLost() {
		t.Fatal("the lease is still there")
	}
	failed := j.result(queue.Failed)
	failed.Error = &queue.ResultError{Type: queue.TypePanic}
	for _, res := range []queue.Result{failed, j.result(queue.Expired), j.result(queue.Cancelled)} {
		if err := j.record(t.Context(), res); !errors.Is(err, queue.ErrLeaseLost) {
			t.Errorf("recording %s: %v, want %v", res.Status, err, queue.ErrLeaseLost)
		}
	}
	if res, found, err := r.client.Lookup(t.Context(), "b", 0); found || err != nil {
		t.Errorf("a worker without a lease recorded %+v (%v)", res, err)
	}
	done := j.result(queue.Succeeded)
	done.Image = &queue.Image{Bucket: bucket, Key: "b/0"}
	if err := j.record(t.Context(), done); err != nil {
		t.Error(err)
	}
	if res, found, err := r.client.Lookup(t.Context(), "b", 0); !found || err != nil || res.Status != queue.Succeeded {
		t.Errorf("recorded %+v (%v), want the success", res, err)
	}
}

// TestAFailureStaysCountedWhileLeaving: a job that failed for good, whose dead letter does not get through before the worker is gone, is not handed back as if it
// had never been begun.
func TestAFailureStaysCountedWhileLeaving(t *testing.T) {
	r := connect(t)
	r.publish(quick("b", 0))
	j := r.job()
	j.cfg.MaxAttempts, j.attempt = 1, 1
	if err := r.jetstream().DeleteStream(t.Context(), r.client.Names().DeadStream()); err != nil {
		t.Fatal(err)
	}
	j.startDrain()
	if outcome := j.settle(t.Context(), &infer.Error{Type: queue.TypeModelError, Err: errors.New("it broke")}); outcome != otel.OutcomeRequeued {
		t.Errorf("outcome %s, want %s", outcome, otel.OutcomeRequeued)
	}
	next := r.delivery()
	defer next.Release()
	start, err := r.client.Begin(t.Context(), next)
	if err != nil || start.Attempt != 2 || start.LastError == nil || start.LastError.Message != "it broke" {
		t.Errorf("the next start is %+v, %v; want the second, after a failure", start, err)
	}
}

// TestLeavingDoesNotSpeakForAJob that says itself what became of it, even if that takes until the drain has ended: here, that its start has failed.
func TestLeavingDoesNotSpeakForAJob(t *testing.T) {
	r := connect(t)
	r.publish(quick("b", 0))
	j := r.job()
	j.cfg.MaxAttempts = 1
	if err := r.jetstream().DeleteStream(t.Context(), r.client.Names().DeadStream()); err != nil {
		t.Fatal(err)
	}
	work, stopWork := context.WithCancelCause(t.Context())
	handled := make(chan struct{})
	go func() {
		defer close(handled)
		j.handle(work, j.d) // has no model to draw with, which is a panic, and no stream to tell of it
	}()
	r.awaitLog("publishing the dead letter")
	if stuck := j.giveUp(handled); stuck != 0 {
		t.Errorf("%d jobs are taken for stuck, while they wait for the broker", stuck)
	}
	j.startDrain()
	stopWork(errLeaving)
	<-handled
	next := r.delivery()
	defer next.Release()
	start, err := r.client.Begin(t.Context(), next)
	if err != nil || start.Attempt != 2 || start.LastError == nil || start.LastError.Type != queue.TypePanic {
		t.Errorf("the next start is %+v, %v; want the second, after a panic", start, err)
	}
}

// TestAHandBackThatCannotBeWritten until the drain has ended costs the job its count, and not a lease: it goes to the next worker at once.
func TestAHandBackThatCannotBeWritten(t *testing.T) {
	r := connect(t)
	r.publish(quick("b", 0))
	j := r.job()
	stream, err := r.jetstream().Stream(t.Context(), "KV_"+r.client.Names().AttemptsBucket())
	if err != nil {
		t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	cfg.Subjects = []string{prefix(t) + ".elsewhere"} // as of a cluster that has no leader for it
	if _, err := r.jetstream().UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	work, stopWork := context.WithCancelCause(t.Context())
	settled := make(chan string)
	go func() { settled <- j.settle(work, errLeaving) }()
	r.awaitLog("handing the job back")
	j.cfg.DrainTimeout = 0
	j.startDrain()
	stopWork(errLeaving)
	if outcome := <-settled; outcome != otel.OutcomeRequeued {
		t.Errorf("outcome %s, want %s", outcome, otel.OutcomeRequeued)
	}
	if log := r.log.String(); !strings.Contains(log, `doing="writing the hand-back"`) || strings.Contains(log, `doing="handing the job back"`) {
		t.Errorf("the broker was to be told of the job, and not of its count:\n%s", log)
	}
	r.delivery().Release()
}

// TestAFailureBeforeTheStartCounts, so that a job that breaks on the way to the engine does not come back for ever.
func TestAFailureBeforeTheStartCounts(t *testing.T) {
	r := connect(t)
	for want := 1; want <= 3; want++ {
		if want == 1 {
			r.publish(quick("b", 0))
		}
		j := r.job()
		j.settle(t.Context(), &infer.Error{Type: queue.TypePanic, Err: errors.New("it broke")})
		if j.attempt != want {
			t.Errorf("delivery %d counts as start %d", want, j.attempt)
		}
	}
}

// TestABrokerAwayWhileRecording: the worker notices, says so and fetches nothing, and the job's time stands still.
func TestABrokerAwayWhileRecording(t *testing.T) {
	const timeout = 8 * time.Second // longer than the drawing takes on a busy machine
	var m *hanging
	r := startWorker(t, func(c *Config) {
		m = hang(t, c)
		c.JobTimeout, c.askTime, c.HTTPAddr = timeout, 300*time.Millisecond, "127.0.0.1:0"
	})
	r.awaitReady()
	m.from.Store(true)
	r.publish(quick("b", 0))
	<-m.hung // so that it is not done before the broker is away
	shared.broker.Suspend()
	m.release()
	resume := func() {
		if err := shared.broker.Resume(); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if body := r.get("/readyz"); strings.Contains(body, "recording the result of job b/0") {
			break
		} else if time.Now().After(deadline) {
			resume()
			t.Fatalf("the worker does not say what it waits for: %s", body)
		}
	}
	time.Sleep(timeout)
	resume()
	if res := r.result("b", 0); res.Status != queue.Succeeded || res.Attempt != 1 {
		t.Errorf("got %+v, %+v; want the first attempt's picture", res, res.Error)
	}
}

// TestATryThatIsNotAnswered takes a job's time as little as the waiting for the next one.
func TestATryThatIsNotAnswered(t *testing.T) {
	r := connect(t)
	r.publish(quick("b", 0))
	j := r.job()
	if err := j.d.Nak(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	j.d = r.deliveryFor(time.Second)
	defer j.d.Release()
	err := j.hold(t.Context(), "storing the image", func(context.Context) error {
		select {
		case <-j.d.TimedOut():
			t.Error("the job's time ran on while the store did not answer")
		case <-time.After(1500 * time.Millisecond): // this is about nothing happening
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	select {
	case <-j.d.TimedOut():
	case <-time.After(10 * time.Second):
		t.Error("the job's time stands still for good")
	}
}
