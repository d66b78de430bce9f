package e2e_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stipple-ai/stipple/internal/local/otlpd"
)

// collectorJobs are how many jobs each kind of bad collector sees.
func collectorJobs() int {
	if os.Getenv("STIPPLE_SOAK") != "" {
		return 200
	}
	return 20
}

// TestBadCollectors: one that hangs, is slow, refuses, answers nonsense, or is not there, costs no job and no time:
// pictures are drawn as ever, and the worker leaves as it should.
func TestBadCollectors(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct {
		name string
		mode otlpd.Mode // nil: nobody listens
	}{
		{"absent", nil}, {"hangs", otlpd.Hang}, {"slow", otlpd.Slow(3 * time.Second)}, {"unauthorized", otlpd.Respond(401, 0)},
		{"too-large", otlpd.Respond(413, 0)}, {"throttles", otlpd.Respond(429, time.Hour)}, {"unavailable", otlpd.Respond(503, 0)},
		{"page", otlpd.HTML}, {"garbage", otlpd.Garbage}, {"cuts", otlpd.Close},
	} {
		sink, env := collector(t)
		if sink.SetMode(tt.mode); tt.mode == nil {
			if err := sink.Stop(); err != nil {
				t.Fatal(err)
			}
		}
		k := w.worker("painter-"+tt.name, append(env, "FLUSH_TIMEOUT=1s", "DRAIN_TIMEOUT=5s")...)
		n := collectorJobs()
		w.publishMany(tt.name, n, quick(0))
		for i, r := range w.done(tt.name, n, 20*time.Second+time.Duration(n)*200*time.Millisecond) {
			if r.TraceID == "" || r.Attempt != 1 {
				t.Errorf("%s: job %d has the result %s", tt.name, i, r.raw)
			}
			// A request to a collector that hangs takes ten seconds, and none of them are a job's.
			if r.Timings["total_ms"] > 5000 {
				t.Errorf("%s: job %d took %v", tt.name, i, r.Timings)
			}
		}
		if took := k.terminate(20 * time.Second); took > 1500*time.Millisecond+slack {
			t.Errorf("%s: the worker took %v to leave, want at most FLUSH_TIMEOUT + 0.5 s", tt.name, took)
		}
		if tt.mode != nil && len(sink.Requests()) == 0 {
			t.Errorf("%s: nothing was sent to the collector", tt.name)
		}
		if !strings.Contains(k.errs(), "telemetry was lost") && !strings.Contains(k.errs(), "telemetry lost") {
			t.Errorf("%s: the log does not say that telemetry was lost", tt.name)
		}
	}
}

// TestEnqueueWithACollectorThatHangs ends in time too.
func TestEnqueueWithACollectorThatHangs(t *testing.T) {
	w := newWorld(t)
	sink, env := collector(t)
	sink.SetMode(otlpd.Hang)
	w.worker("painter")
	begin := time.Now()
	w.enqueueWith(append(env, "FLUSH_TIMEOUT=1s"), "a fox", "--steps", "2", "--batch", "b", "--wait")
	if took := time.Since(begin); took > 6*time.Second {
		t.Errorf("enqueue took %v", took)
	}
	w.done("b", 1, time.Second)
}
