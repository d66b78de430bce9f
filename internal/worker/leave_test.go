package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/stipple-ai/stipple/internal/infer"
	"github.com/stipple-ai/stipple/internal/local/otlpd"
	"github.com/stipple-ai/stipple/internal/otel"
	"github.com/stipple-ai/stipple/internal/queue"
)

// slack is what a busy machine may add to a time.
const slack = time.Second

// TestLeaving: what has not begun goes back at once and uncounted, what has begun is finished, and the next worker does the rest.
func TestLeaving(t *testing.T) {
	r := startWorker(t, func(c *Config) { c.Lanes, c.Slots = 1, 4 })
	for i := range int64(4) {
		j := quick("b", i)
		j.NumInferenceSteps = new(60)
		r.publish(j)
	}
	r.awaitProgress("b")
	begin := time.Now()
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > 7*time.Second {
		t.Errorf("leaving took %v", took)
	}
	next := startWorker(t, nil)
	for i := range int64(4) {
		res := next.result("b", i)
		next.checkImage(res)
		if res.Attempt != 1 {
			t.Errorf("job %d: %d attempts were counted, want 1", i, res.Attempt)
		}
	}
}

// TestLeavingCountsFromTheSignal: a fetch that the broker does not answer takes nothing away from the drain, and does not hold it up.
func TestLeavingCountsFromTheSignal(t *testing.T) {
	telemetry, err := otel.Setup(t.Context(), otel.Options{})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		w := &Worker{cfg: Config{DrainTimeout: 5 * time.Second}, log: slog.New(slog.DiscardHandler), telemetry: telemetry, drain: drain{begun: make(chan struct{})}}
		answered := make(chan struct{})
		w.handling.Go(func() { <-answered }) // the fetch loop
		begin := time.Now()
		w.startDrain()
		time.Sleep(time.Second)
		w.startDrain() // again, for another reason
		var engines, work time.Duration
		left := w.leave(errors.New("a test"), func() { engines = time.Since(begin) }, func(error) { work = time.Since(begin) })
		if took := time.Since(begin); !left || took != 5*time.Second || engines != 4*time.Second || work != 5*time.Second {
			t.Errorf("left %t after %v, its engines stopped after %v and its jobs after %v; want true, 5s, 4s, 5s", left, took, engines, work)
		}
		close(answered)
	})
}

// TestAPictureThatIsBeingStored when the last part of the drain begins is not thrown away.
func TestAPictureThatIsBeingStored(t *testing.T) {
	put, arrived, release := isImage(t, http.MethodPut), make(chan struct{}), make(chan struct{})
	endpoint := proxy(t, func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if put(r) {
			close(arrived)
			<-release
		}
		pass.ServeHTTP(w, r)
	})
	w := startWorker(t, func(c *Config) { c.Store.Endpoint, c.DrainTimeout = endpoint, 2*time.Second })
	w.publish(quick("b", 0))
	<-arrived
	w.cancel()
	w.awaitLog("not done in time: handing back")
	close(release)
	if err := w.stop(); err != nil {
		t.Error(err)
	}
	if res := w.result("b", 0); res.Worker != prefix(t) || res.Attempt != 1 {
		t.Errorf("got %+v, want the picture of the worker that left", res)
	}
	if log := w.log.String(); !strings.Contains(log, "finished=1 checkpointed=0 handed_back=0") {
		t.Errorf("leaving tells of something else:\n%s", log)
	}
}

// TestLeavingWhileNothingAnswers, neither the store that has a picture nor the broker that is to have the job back: that is no call to the model that hangs.
func TestLeavingWhileNothingAnswers(t *testing.T) {
	put, arrived := isImage(t, http.MethodPut), make(chan struct{})
	arrive := sync.OnceFunc(func() { close(arrived) })
	endpoint := swallow(t, func(r *http.Request) bool {
		if put(r) {
			arrive()
			return true
		}
		return false
	})
	w := startWorker(t, func(c *Config) {
		c.Store.Endpoint, c.DrainTimeout, c.FlushTimeout = endpoint, time.Second, 500*time.Millisecond
	})
	w.publish(quick("b", 0))
	<-arrived
	shared.broker.Suspend()
	begin := time.Now()
	if err := w.stop(); err != nil {
		t.Errorf("Run returned %v", err)
	}
	if took := time.Since(begin); took > 2*time.Second+slack {
		t.Errorf("leaving took %v, want DRAIN_TIMEOUT + FLUSH_TIMEOUT + 0.5 s at most", took)
	}
	if err := shared.broker.Resume(); err != nil {
		t.Fatal(err)
	}
	if log := w.log.String(); !strings.Contains(log, "still_held=0") {
		t.Errorf("leaving tells of a job that is still held:\n%s", log)
	}
}

// TestDrainCountsEachJobOnce, whatever becomes of it.
func TestDrainCountsEachJobOnce(t *testing.T) {
	sink, err := otlpd.Start(otlpd.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sink.Stop(); err != nil {
			t.Error(err)
		}
	})
	r := startWorker(t, func(c *Config) {
		c.Lanes, c.Slots, c.DrainTimeout = 1, 4, 2*time.Millisecond // the jobs that go back at once are still there when the rest does
		c.Getenv = func(name string) string {
			return map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": sink.Endpoint()}[name]
		}
	})
	r.publish(long("b", 0), long("b", 1), long("b", 2), long("b", 3))
	r.awaitProgress("b")
	r.awaitHeld(4)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	for _, span := range sink.Spans() {
		if span.Name == otel.SpanDrain {
			if span.Attributes["drain.finished"] != int64(0) || span.Attributes["drain.handed_back"] != int64(4) {
				t.Errorf("drain tells of %v", span.Attributes)
			}
			return
		}
	}
	t.Error("no drain span arrived")
}

// TestOnLeaveIsToldOfEveryReason to leave, a signal or a device that is broken, when leaving begins.
func TestOnLeaveIsToldOfEveryReason(t *testing.T) {
	for _, c := range []struct {
		name  string
		cause func(*running, *failing)
	}{
		{"a signal", func(r *running, _ *failing) { r.cancel() }},
		{"a broken device", func(r *running, m *failing) {
			m.from.Store(true)
			r.publish(quick("b", 0), quick("b", 1))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			told := make(chan struct{})
			m := &failing{}
			r := startWorker(t, func(c *Config) {
				c.Lanes = 1
				c.OnLeave = func() { close(told) }
				c.wrap = func(inner infer.Model) infer.Model {
					m.Model = inner
					return m
				}
			})
			r.awaitReady()
			c.cause(r, m)
			<-told
			if err := r.wait(); (c.name == "a signal") != (err == nil) {
				t.Errorf("Run returned %v", err)
			}
		})
	}
}

// failing is a model whose calls fail once it is told to.
type failing struct {
	infer.Model
	from atomic.Bool
}

func (m *failing) Denoise(ctx context.Context, c *infer.Call) error {
	if m.from.Load() {
		return errors.New("the device fell off the bus")
	}
	return m.Model.Denoise(ctx, c)
}

// long is a job that takes seconds.
func long(batch string, index int64) queue.Job {
	j := quick(batch, index)
	j.NumInferenceSteps = new(900)
	return j
}

// awaitReady waits until the worker fetches.
func (r *running) awaitReady() {
	r.t.Helper()
	r.awaitLog("msg=ready")
}

// awaitLog waits until the worker has logged text.
func (r *running) awaitLog(text string) {
	r.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(r.log.String(), text); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("the log does not say %q:\n%s", text, r.log)
		}
	}
}

// awaitHeld waits until workers hold n jobs.
func (r *running) awaitHeld(n int) {
	r.t.Helper()
	r.awaitConsumer(fmt.Sprintf("%d jobs are held", n), func(info *jetstream.ConsumerInfo) bool { return info.NumAckPending == n })
}

// awaitFetched waits until no job waits in the queue.
func (r *running) awaitFetched() {
	r.t.Helper()
	r.awaitConsumer("all jobs are fetched", func(info *jetstream.ConsumerInfo) bool { return info.NumPending == 0 })
}

func (r *running) awaitConsumer(what string, ok func(*jetstream.ConsumerInfo) bool) {
	r.t.Helper()
	consumer, err := r.jetstream().Consumer(r.t.Context(), r.client.Names().JobsStream(), queue.ConsumerName(queue.Normal, "sd15"))
	if err != nil {
		r.t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		info, err := consumer.Info(r.t.Context())
		if err != nil {
			r.t.Fatal(err)
		}
		if ok(info) {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("not in time: %s; %d wait and %d are held", what, info.NumPending, info.NumAckPending)
		}
	}
}
