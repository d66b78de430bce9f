package worker

import (
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stipple-ai/stipple/internal/queue"
)

var exemplar = regexp.MustCompile(`trace_id="([0-9a-f]{32})"`)

// TestMeasurementsLeadToJobs: every exemplar is of a job's trace, and none of the start's.
func TestMeasurementsLeadToJobs(t *testing.T) {
	w := startWorker(t, func(c *Config) { c.HTTPAddr = "127.0.0.1:0" })
	w.publish(quick("b", 0))
	trace := w.result("b", 0).TraceID
	page := w.metricsPage()
	found := exemplar.FindAllStringSubmatch(page, -1)
	if len(found) == 0 {
		t.Errorf("no exemplars in\n%s", page)
	}
	for _, f := range found {
		if f[1] != trace {
			t.Errorf("an exemplar leads to trace %s, and the only job has %s:\n%s", f[1], trace, page)
		}
	}
}

// TestLabelsAreTheWorkersOwn: what a job says its model is does not become a series.
func TestLabelsAreTheWorkersOwn(t *testing.T) {
	w := startWorker(t, func(c *Config) { c.HTTPAddr = "127.0.0.1:0" })
	for i, body := range []string{`{"model": "model-of-a-job"}`, `{"model": "sd15", "width": 60}`} {
		w.publishRaw(w.client.Names().JobSubject(queue.Normal, "sd15", "b"), queue.Identity{Batch: "b", Index: int64(i)}.MsgID(), []byte(body))
		w.result("b", int64(i))
	}
	w.publish(quick("b", 2))
	w.result("b", 2) // behind the dead letters, which are counted after their results
	page := w.metricsPage()
	if strings.Contains(page, "model-of-a-job") {
		t.Errorf("a job's word is a label:\n%s", page)
	}
	if !regexp.MustCompile(`(?m)^worker_dead_letters_total\{.*model_name="sd15".*\} [12]`).MatchString(page) {
		t.Errorf("no dead letter of the model is counted:\n%s", page)
	}
}

// TestStagesAreMeasured: a job is counted once in each stage of its inference.
func TestStagesAreMeasured(t *testing.T) {
	w := startWorker(t, func(c *Config) { c.HTTPAddr = "127.0.0.1:0" })
	w.publish(quick("b", 0))
	w.result("b", 0)
	page := w.metricsPage()
	for _, stage := range []string{"tokenize", "text_encode", "denoise", "vae_decode"} {
		if !regexp.MustCompile(`(?m)^worker_inference_stage_duration_seconds_count\{.*stage="` + stage + `".*\} 1$`).MatchString(page) {
			t.Errorf("no job is counted in the stage %s:\n%s", stage, page)
		}
	}
}

// TestTheMetricOfReadinessIsReadyz: alerts go by it, also while a service is away.
func TestTheMetricOfReadinessIsReadyz(t *testing.T) {
	var away atomic.Bool
	away.Store(true)
	endpoint := proxy(t, func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if away.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		pass.ServeHTTP(w, r)
	})
	w := startWorker(t, func(c *Config) { c.Store.Endpoint, c.HTTPAddr = endpoint, "127.0.0.1:0" })
	w.awaitReady()
	await := func(readyz, metric string) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			if body := w.get("/readyz"); strings.Contains(body, readyz) {
				break
			} else if time.Now().After(deadline) {
				t.Fatalf("/readyz says %s, want %s", body, readyz)
			}
		}
		if got := w.metric("worker_ready"); got != metric {
			t.Errorf("worker_ready is %s while /readyz says %s, want %s", got, readyz, metric)
		}
	}
	await("the store", "0.0")
	away.Store(false)
	await(`"ready"`, "1.0")
	shared.broker.Suspend()
	await("the broker is away", "0.0")
	if err := shared.broker.Resume(); err != nil {
		t.Fatal(err)
	}
	await(`"ready"`, "1.0")
}
