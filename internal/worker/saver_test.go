package worker

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stipple-ai/stipple/internal/upload"
)

// TestCheckpointsOfARunningJob are written on the way, and cost it nothing: not even where the store swallows them.
func TestCheckpointsOfARunningJob(t *testing.T) {
	var written atomic.Int64
	var hang atomic.Bool
	endpoint := swallow(t, func(r *http.Request) bool {
		if r.Method != http.MethodPut || !strings.Contains(r.URL.Path, "/.checkpoints/") {
			return false
		}
		written.Add(1)
		return hang.Load()
	})
	r := startWorker(t, func(c *Config) { c.Store.Endpoint, c.CheckpointEvery, c.Lanes = endpoint, 10, 1 })
	job := long("b", 0)
	job.NumInferenceSteps = new(300)
	r.publish(job)
	r.checkImage(r.result("b", 0))
	if n := written.Load(); n < 1 || n > 30 {
		t.Errorf("%d checkpoints were written of 300 steps, want one each 10 at most", n)
	}
	r.awaitHeld(0)
	c := checkpointed{running: r}
	spec, err := job.Spec16()
	if err != nil {
		t.Fatal(err)
	}
	c.key = upload.CheckpointKey(prefix(t)+"/", "b", 0, spec)
	c.wantCheckpoint(false)

	hang.Store(true)
	written.Store(0)
	job.Index = 1
	r.publish(job)
	r.checkImage(r.result("b", 1))
	if n := written.Load(); n != 1 {
		t.Errorf("%d checkpoints were on their way at once, want 1", n)
	}
}

// TestACheckpointWhoseAnswerIsLost does not outlive its job.
func TestACheckpointWhoseAnswerIsLost(t *testing.T) {
	stored := make(chan struct{}, 100)
	endpoint := proxy(t, func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if r.Method != http.MethodPut || !strings.Contains(r.URL.Path, "/.checkpoints/") {
			pass.ServeHTTP(w, r)
			return
		}
		pass.ServeHTTP(httptest.NewRecorder(), r)
		stored <- struct{}{}
		<-r.Context().Done()
	})
	r := startWorker(t, func(c *Config) { c.Store.Endpoint, c.CheckpointEvery, c.Lanes = endpoint, 10, 1 })
	job := long("b", 0)
	job.NumInferenceSteps = new(300)
	r.publish(job)
	<-stored
	r.checkImage(r.result("b", 0))
	r.awaitHeld(0)
	spec, err := job.Spec16()
	if err != nil {
		t.Fatal(err)
	}
	c := checkpointed{running: r, key: upload.CheckpointKey(prefix(t)+"/", "b", 0, spec)}
	c.wantCheckpoint(false)
}

// TestACheckpointOnItsWay when its job is done reaches the store before it is removed, not after.
func TestACheckpointOnItsWay(t *testing.T) {
	var sent, stored atomic.Int64
	endpoint := proxy(t, func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if r.Method != http.MethodPut || !strings.Contains(r.URL.Path, "/.checkpoints/") {
			pass.ServeHTTP(w, r)
			return
		}
		sent.Add(1)
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // given up before the store has it
		}
		time.Sleep(200 * time.Millisecond) // what a store has, it stores, whether or not somebody waits
		r = r.WithContext(context.WithoutCancel(r.Context()))
		r.Body = io.NopCloser(bytes.NewReader(body))
		pass.ServeHTTP(w, r)
		stored.Add(1)
	})
	r := startWorker(t, func(c *Config) { c.Store.Endpoint, c.CheckpointEvery, c.Lanes = endpoint, 10, 1 })
	job := long("b", 0)
	job.NumInferenceSteps = new(300)
	r.publish(job)
	r.checkImage(r.result("b", 0))
	r.awaitHeld(0)
	for deadline := time.Now().Add(30 * time.Second); stored.Load() < sent.Load(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d checkpoints were sent, %d stored", sent.Load(), stored.Load())
		}
	}
	if sent.Load() == 0 {
		t.Fatal("no checkpoint was sent")
	}
	spec, err := job.Spec16()
	if err != nil {
		t.Fatal(err)
	}
	c := checkpointed{running: r, key: upload.CheckpointKey(prefix(t)+"/", "b", 0, spec)}
	c.wantCheckpoint(false)
}
