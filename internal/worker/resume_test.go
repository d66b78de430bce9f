package worker

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stipple-ai/stipple/internal/infer"
	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/upload"
)

// counting is a model that counts the rows that were drawn for jobs: pictures of 64 × 64, which is not the size that warms up.
type counting struct {
	infer.Model
	rows   atomic.Int64
	stopAt atomic.Int64 // from so many rows on, calls last until they are told to stop; 0: never
}

func (m *counting) Denoise(ctx context.Context, c *infer.Call) error {
	if c.Size.Width != 8 {
		return m.Model.Denoise(ctx, c)
	}
	if at := m.stopAt.Load(); at > 0 && m.rows.Load() >= at {
		<-ctx.Done()
		return ctx.Err()
	}
	err := m.Model.Denoise(ctx, c)
	if err == nil {
		m.rows.Add(int64(len(c.Rows)))
	}
	return err
}

func count(m *counting) func(infer.Model) infer.Model {
	return func(inner infer.Model) infer.Model {
		m.Model = inner
		return m
	}
}

// checkpointed is a job that has been stopped in the middle by a worker that left.
type checkpointed struct {
	*running
	job    queue.Job
	key    string // of the checkpoint
	pixels string // of its picture, undisturbed
	rows   int64  // that its picture takes, undisturbed
}

// stoppedAt is how many rows of a job are drawn before it is stopped.
const stoppedAt = 20

// stopInTheMiddle draws a job, and then the same under another name until it is stopped.
func stopInTheMiddle(t *testing.T, change func(*Config)) checkpointed {
	t.Helper()
	var m counting
	r := startWorker(t, func(c *Config) {
		c.Lanes, c.DrainTimeout, c.wrap = 1, time.Second, count(&m) // a fifth of it is for the checkpoint
		if change != nil {
			change(c)
		}
	})
	c := checkpointed{running: r, job: long("b", 0)}
	c.job.NumInferenceSteps = new(30)
	c.job.Scheduler = new("dpmpp_2m")
	calm := c.job
	calm.BatchID, calm.Seed = "calm", new(queue.Seed(c.job.SeedOrDefault()))
	r.publish(calm)
	c.pixels = r.result("calm", 0).Image.PixelsSHA256
	c.rows = m.rows.Load()
	spec, err := c.job.Spec16()
	if err != nil {
		t.Fatal(err)
	}
	c.key = upload.CheckpointKey(prefix(t)+"/", "b", 0, spec)
	m.stopAt.Store(c.rows + stoppedAt)
	r.publish(c.job)
	for m.rows.Load() < c.rows+stoppedAt {
		time.Sleep(5 * time.Millisecond)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	return c
}

// next starts the worker that goes on with the job, and returns its result and the rows it drew.
func (c checkpointed) next(change func(*Config)) (*running, queue.Result, int64) {
	c.t.Helper()
	var m counting
	r := startWorker(c.t, func(cfg *Config) {
		cfg.wrap = count(&m)
		if change != nil {
			change(cfg)
		}
	})
	res := r.result("b", 0)
	if res.Status != queue.Succeeded || res.Attempt != 1 || res.Image.PixelsSHA256 != c.pixels {
		c.t.Errorf("got %+v, %+v; want the picture of an undisturbed run, in attempt 1", res, res.Image)
	}
	if err := r.stop(); err != nil {
		c.t.Error(err)
	}
	return r, res, m.rows.Load()
}

// wantCheckpoint holds that the store has, or has not, the job's checkpoint.
func (c checkpointed) wantCheckpoint(want bool) {
	c.t.Helper()
	if _, err := c.store.GetCheckpoint(context.Background(), c.key); (err == nil) != want {
		c.t.Errorf("the checkpoint: %v; want one: %t", err, want)
	}
}

// TestAJobGoesOnWhereItWasStopped, in another worker: the same pixels, at most one step more, and nothing is left behind.
func TestAJobGoesOnWhereItWasStopped(t *testing.T) {
	c := stopInTheMiddle(t, nil)
	if log := c.log.String(); !strings.Contains(log, "finished=0 checkpointed=1 handed_back=0") {
		t.Errorf("leaving does not tell of the checkpoint:\n%s", log)
	}
	c.wantCheckpoint(true)
	w, _, rows := c.next(nil)
	if log := w.log.String(); !strings.Contains(log, "going on from a checkpoint") {
		t.Errorf("the job started over:\n%s", log)
	}
	if most := c.rows - stoppedAt + 2; rows > most {
		t.Errorf("%d of %d rows were drawn, after %d that were drawn before; want one step more at most", rows, c.rows, stoppedAt)
	}
	c.wantCheckpoint(false)
}

// TestACheckpointThatIsOfNoUse: the job starts over, and says why.
func TestACheckpointThatIsOfNoUse(t *testing.T) {
	rewrite := func(change func([]byte) []byte) func(checkpointed) {
		return func(c checkpointed) {
			found, err := c.store.GetCheckpoint(context.Background(), c.key)
			if err != nil {
				c.t.Fatal(err)
			}
			if err := c.store.PutCheckpoint(context.Background(), c.key, change(found.State)); err != nil {
				c.t.Fatal(err)
			}
		}
	}
	header := func(change func(*checkpointHeader)) func(checkpointed) {
		return rewrite(func(data []byte) []byte {
			h, s, err := decodeCheckpoint(data)
			if err != nil {
				t.Fatal(err)
			}
			change(&h)
			again, err := encodeCheckpoint(h, s)
			if err != nil {
				t.Fatal(err)
			}
			return again
		})
	}
	for _, tt := range []struct {
		name, reason string
		spoil        func(checkpointed)
		change       func(*Config)
	}{
		{"damaged", "is damaged", rewrite(func(data []byte) []byte {
			data[len(data)/2] ^= 1
			return data
		}), nil},
		{"of another model", "digest", header(func(h *checkpointHeader) { h.ModelDigest = "another" }), nil},
		{"of another request", "start over", rewrite(func(data []byte) []byte {
			h, s, err := decodeCheckpoint(data)
			if err != nil {
				t.Fatal(err)
			}
			s.Request[0] ^= 1
			if data, err = encodeCheckpoint(h, s); err != nil {
				t.Fatal(err)
			}
			return data
		}), nil},
		{"too old", "CHECKPOINT_TTL", func(c checkpointed) {
			old := time.Now().Add(-25 * time.Hour)
			if err := os.Chtimes(filepath.Join(shared.store.Dir(), bucket, c.key), old, old); err != nil {
				c.t.Fatal(err)
			}
		}, nil},
		{"switched off", "", func(checkpointed) {}, func(c *Config) { c.NoCheckpoints = true }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := stopInTheMiddle(t, nil)
			tt.spoil(c)
			w, _, rows := c.next(tt.change)
			if rows != c.rows {
				t.Errorf("%d rows were drawn, want all %d", rows, c.rows)
			}
			if log := w.log.String(); !strings.Contains(log, tt.reason) || strings.Contains(log, "of no use") != (tt.reason != "") {
				t.Errorf("the log does not say why it starts over (%q):\n%s", tt.reason, log)
			}
		})
	}
}

// TestACheckpointThatTheStoreDoesNotGive, while it answers to all else, does not hold the job for good: it starts over.
func TestACheckpointThatTheStoreDoesNotGive(t *testing.T) {
	c := stopInTheMiddle(t, nil)
	endpoint := proxy(t, func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/.checkpoints/") {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		pass.ServeHTTP(w, r)
	})
	w, _, rows := c.next(func(c *Config) { c.Store.Endpoint, c.Store.MaxAttempts = endpoint, 1 })
	if rows != c.rows {
		t.Errorf("%d rows were drawn, want all %d", rows, c.rows)
	}
	if log := w.log.String(); !strings.Contains(log, "it starts over") {
		t.Errorf("the log does not say that it starts over:\n%s", log)
	}
}

// TestTheStoreAwayAtDrain: no checkpoint, the job is handed back all the same, in time.
func TestTheStoreAwayAtDrain(t *testing.T) {
	endpoint := swallow(t, func(r *http.Request) bool {
		return r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/.checkpoints/")
	})
	begin := time.Time{}
	c := stopInTheMiddle(t, func(c *Config) { c.Store.Endpoint, c.OnLeave = endpoint, func() { begin = time.Now() } })
	if took := time.Since(begin); took > 2*time.Second+500*time.Millisecond+slack {
		t.Errorf("leaving took %v, want DRAIN_TIMEOUT + FLUSH_TIMEOUT + 0.5 s at most", took)
	}
	if log := c.log.String(); !strings.Contains(log, "finished=0 checkpointed=0 handed_back=1") || !strings.Contains(log, "no checkpoint: the next worker starts over") {
		t.Errorf("leaving does not tell of the job:\n%s", log)
	}
	c.wantCheckpoint(false)
	begin = time.Now()
	if _, _, rows := c.next(nil); rows != c.rows {
		t.Errorf("%d rows were drawn, want all %d", rows, c.rows)
	}
}
