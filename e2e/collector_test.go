package e2e_test

import (
	"testing"
	"time"

	"github.com/stipple-ai/stipple/internal/local/otlpd"
)

// TestACollectorThatHangs, or refuses, or is not there, costs no job and no time: pictures are drawn as ever, and the
// worker leaves as it should.
func TestACollectorThatHangs(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct {
		name string
		mode otlpd.Mode // nil: nobody listens
	}{
		{"hangs", otlpd.Hang}, {"refuses", otlpd.Respond(503, time.Hour)}, {"cuts", otlpd.Close}, {"absent", nil},
	} {
		sink, env := collector(t)
		if sink.SetMode(tt.mode); tt.mode == nil {
			if err := sink.Stop(); err != nil {
				t.Fatal(err)
			}
		}
		k := w.worker("painter-"+tt.name, append(env, "FLUSH_TIMEOUT=1s", "DRAIN_TIMEOUT=5s")...)
		w.publishMany(tt.name, 10, quick(0))
		for i, r := range w.done(tt.name, 10, 20*time.Second) {
			if r.TraceID == "" || r.Attempt != 1 {
				t.Errorf("%s: job %d has the result %s", tt.name, i, r.raw)
			}
			// A request to this collector takes ten seconds, and none of them are a job's.
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
		mentions(t, tt.name+": the log", k.errs(), "telemetry was lost")
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
