package worker

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stipple-ai/stipple/internal/infer"
	"github.com/stipple-ai/stipple/internal/queue"
)

// hanging is a model whose calls hang once it is told to, and say so.
type hanging struct {
	infer.Model
	from  atomic.Bool
	hung  chan struct{} // closed when the first call hangs
	once  sync.Once
	until chan struct{}

	release func()
}

func (m *hanging) Denoise(ctx context.Context, c *infer.Call) error {
	if m.from.Load() {
		m.once.Do(func() { close(m.hung) })
		<-m.until
	}
	return m.Model.Denoise(ctx, c)
}

// hang makes a worker's model one that can hang, until it is released or the test ends.
func hang(t *testing.T, c *Config) *hanging {
	m := &hanging{hung: make(chan struct{}), until: make(chan struct{})}
	c.wrap = func(inner infer.Model) infer.Model {
		m.Model = inner
		return m
	}
	m.release = sync.OnceFunc(func() { close(m.until) })
	t.Cleanup(m.release)
	return m
}

// TestACallThatDoesNotReturn: the worker leaves without it, in time and with an error; what it held goes to the next at once, and is not counted as begun, for
// nobody knows whose fault it is.
func TestACallThatDoesNotReturn(t *testing.T) {
	var m *hanging
	r := startWorker(t, func(c *Config) {
		m = hang(t, c)
		c.Lanes, c.DrainTimeout, c.FlushTimeout = 1, time.Second, 500*time.Millisecond
	})
	r.awaitReady()
	m.from.Store(true)
	r.publish(quick("b", 0), quick("b", 1))
	<-m.hung
	begin := time.Now()
	err := r.stop()
	if took := time.Since(begin); !errors.Is(err, errStuck) || took > 2*time.Second+slack {
		t.Errorf("Run returned %v after %v, want %v within DRAIN_TIMEOUT + FLUSH_TIMEOUT + 0.5 s", err, took, errStuck)
	}
	for range 2 {
		d := r.delivery()
		if waited := time.Since(begin); waited > 2*time.Second+slack {
			t.Errorf("%s came back after %v: its lease ran out", d, waited)
		}
		if start, err := r.client.Begin(t.Context(), d); err != nil || start.Attempt != 1 {
			t.Errorf("the next start of %s is %+v (%v), want the first", d, start, err)
		}
		d.Release()
	}
	m.release()
	r.awaitLog("the call to the model has returned after all")
}

// TestACallThatIsTakenForHung: the worker leaves by itself, with an error, and the job that was in the call has failed: it may be what hangs the device.
func TestACallThatIsTakenForHung(t *testing.T) {
	var m *hanging
	r := startWorker(t, func(c *Config) {
		m = hang(t, c)
		c.Lanes, c.DrainTimeout, c.FlushTimeout, c.CallTimeout = 1, time.Second, 500*time.Millisecond, time.Second
	})
	r.awaitReady()
	m.from.Store(true)
	r.publish(quick("b", 0))
	<-m.hung
	begin := time.Now()
	if err := r.wait(); !errors.Is(err, infer.ErrHung) || !errors.Is(err, errStuck) {
		t.Errorf("Run returned %v, want %v", err, infer.ErrHung)
	}
	if took := time.Since(begin); took > 3*time.Second+slack {
		t.Errorf("it took %v, want CALL_TIMEOUT + DRAIN_TIMEOUT + FLUSH_TIMEOUT + 0.5 s at most", took)
	}
	d := r.delivery()
	defer d.Release()
	if start, err := r.client.Begin(t.Context(), d); err != nil || start.Attempt != 2 || start.LastError == nil || start.LastError.Type != queue.TypeTimeout {
		t.Errorf("the next start is %+v (%v), want the second after a timeout", start, err)
	}
	m.release()
	r.awaitLog("the call to the model has returned after all")
}
