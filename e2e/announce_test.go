package e2e_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// TestWhatWorkersAnnounce: how far jobs are and what a worker does, for whoever listens; and the same in numbers at
// /metrics.
func TestWhatWorkersAnnounce(t *testing.T) {
	w := newWorld(t)
	type status struct {
		Worker         string   `json:"worker"`
		State          string   `json:"state"`
		Models         []string `json:"models"`
		Slots          int      `json:"slots"`
		Jobs           int      `json:"jobs"`
		StepsPerSecond float64  `json:"steps_per_second"`
	}
	statuses := make(chan status, 100)
	sub, err := w.nc.Subscribe(w.subject("status", "*"), func(m *nats.Msg) {
		var s status
		if err := json.Unmarshal(m.Data, &s); err != nil || m.Subject != w.subject("status", s.Worker) {
			t.Errorf("status %q at %s: %v", m.Data, m.Subject, err)
		}
		statuses <- s
	})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Unsubscribe()
	k := w.worker("painter", "SLOTS=3")
	heard := w.listen("b")
	w.publishMany("b", 6, steps(300))
	w.done("b", 6, 40*time.Second)
	mentions(t, "/metrics", k.metrics(), "worker_ready 1\n", "worker_slots 3\n", `worker_images_total{model_name="sd15"} 6`+"\n", `job_outcome="completed"`)
	w.publishMany("more", 20, steps(900)) // for longer than it takes to hear a status

	busy, ready := false, false
	for deadline := time.After(10 * time.Second); !busy || !ready; {
		select {
		case s := <-statuses:
			if s.Worker != "painter" || !slices.Equal(s.Models, []string{"sd15"}) || s.Slots != 3 || s.Jobs > 3 {
				t.Errorf("status %+v", s)
			}
			ready = ready || s.State == "ready"
			busy = busy || s.Jobs > 0 && s.StepsPerSecond > 0
		case <-deadline:
			t.Fatalf("no status of a worker at work (%v) and ready (%v)", busy, ready)
		}
	}
	heard.mu.Lock()
	last := map[int]progress{}
	for _, p := range heard.heard {
		if p.Step <= last[p.Index].Step || p.Step > p.Steps || p.Worker != "painter" || p.BatchID != "b" {
			t.Errorf("progress %+v after %+v", p, last[p.Index])
		}
		last[p.Index] = p
	}
	heard.mu.Unlock()
	for i := range 6 {
		if p := last[i]; p.Step != p.Steps || p.Steps != 301 { // PNDM calls the model once more than it has steps
			t.Errorf("the last progress of job %d is %+v", i, p)
		}
	}
}

// TestTheManual: -h shows every setting of the contract, --version a version; neither needs anything.
func TestTheManual(t *testing.T) {
	w, wire := nowhere(t)
	for program, variables := range map[string][]string{
		given.worker: {
			"NATS_URL", "NATS_CREDS", "NATS_NKEY", "NATS_CA", "NATS_INBOX_PREFIX", "QUEUE_PREFIX", "QUEUE_AUTO_CREATE", "ACK_WAIT", "MAX_ATTEMPTS",
			"JOB_TIMEOUT", "S3_BUCKET", "S3_PREFIX", "S3_TAGS", "S3_SSE", "S3_SSE_KMS_KEY_ID", "MODELS", "MODEL_REPLACE", "ONNXRUNTIME_LIB", "PROVIDER",
			"DEVICE", "MAX_ROWS", "ROW_SHAPES", "LANES", "SLOTS", "DRAIN_TIMEOUT", "FLUSH_TIMEOUT", "HTTP_ADDR", "TRACE_PROPAGATION",
		},
		given.enqueue: {"NATS_URL", "NATS_CREDS", "NATS_NKEY", "NATS_CA", "NATS_INBOX_PREFIX", "QUEUE_PREFIX", "QUEUE_AUTO_CREATE", "S3_BUCKET", "S3_PREFIX", "OTEL_"},
	} {
		manual := start(t, w.dir, "manual", w.environment(), program, "-h")
		if code := manual.exit(10 * time.Second); code != 0 {
			t.Errorf("%s -h ended with exit code %d:\n%s", program, code, manual.errs())
		}
		mentions(t, program+" -h", manual.out(), variables...)
		version := start(t, w.dir, "version", w.environment(), program, "--version")
		if code := version.exit(10 * time.Second); code != 0 || len(lines(version.out())) != 1 {
			t.Errorf("%s --version ended with exit code %d and printed %q", program, code, version.out())
		}
	}
	if n := wire.touched.Load(); n > 0 {
		t.Errorf("they connected %d times", n)
	}
}
