package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Times that a worker is given to leave. They are short, so that some jobs do not end within them.
const (
	drainTimeout = 700 * time.Millisecond
	flushTimeout = 300 * time.Millisecond
	leaveSlack   = 20 * time.Second // on top of them, on a machine that is busy, and for one that is frozen meanwhile
)

// restartPause is the time between the end of a worker and the start of the next in its place.
const restartPause = 150 * time.Millisecond

// worker is a place for worker processes, one after the other, with a network of its own to broker and store.
//
// supervise is one goroutine, which starts lives; the meter is another. Faults and proxies signal the life that runs.
type worker struct {
	index   int
	log     *slog.Logger
	launch  func(name string, w *worker) (*process, error)
	stall   *valve // between the worker and the broker
	brokers []*brokerWire
	store   *storeWire
	meter   *meter

	mu      sync.Mutex
	life    *life // the last one
	lives   int
	ending  bool // no further life begins
	crashes []string
}

// life is one process of a worker.
type life struct {
	*process
	log    *slog.Logger
	doomed atomic.Bool // it was sent SIGKILL or SIGTERM
}

// send sends the life a signal.
func (l *life) send(s os.Signal) {
	if s == os.Kill || s == syscall.SIGTERM {
		l.doomed.Store(true)
	}
	if err := l.signal(s); err != nil {
		l.log.Error("a fault did not happen", slog.Any("error", err))
	}
}

// current is the last life of the worker.
func (w *worker) current() *life {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.life
}

// begin starts a life, unless the worker ends.
func (w *worker) begin() (*life, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ending {
		return nil, context.Canceled
	}
	w.lives++
	p, err := w.launch(fmt.Sprintf("worker%d-%d", w.index, w.lives), w)
	if err != nil {
		return nil, err
	}
	w.life = &life{process: p, log: w.log}
	return w.life, nil
}

// supervise starts lives, each when the one before has ended, until end is called.
func (w *worker) supervise(ctx context.Context) error {
	for {
		l, err := w.begin()
		if errors.Is(err, context.Canceled) {
			return nil
		}
		if err != nil {
			return err
		}
		<-l.exited
		w.meter.over()
		w.autopsy(l)
		wait(ctx, restartPause)
	}
}

// autopsy notes a life that has ended by itself.
func (w *worker) autopsy(l *life) {
	log := w.log.With(slog.String("worker", l.name), slog.Int("exit", l.code()))
	if l.doomed.Load() {
		log.Debug("ended")
		return
	}
	log.Error("ended by itself")
	w.mu.Lock()
	defer w.mu.Unlock()
	w.crashes = append(w.crashes, fmt.Sprintf("%s ended by itself with exit code %d", l.name, l.code()))
}

// leave sends SIGTERM to the life that runs and returns when it is gone.
func (w *worker) leave() error {
	l := w.current()
	if l == nil || !l.running() {
		return nil
	}
	begin := time.Now()
	l.send(syscall.SIGTERM)
	select {
	case <-l.exited:
	case <-time.After(drainTimeout + flushTimeout + leaveSlack):
		return errors.Join(fmt.Errorf("%s has not left %v after SIGTERM, with DRAIN_TIMEOUT=%v and FLUSH_TIMEOUT=%v", l.name, time.Since(begin).Round(time.Second), drainTimeout, flushTimeout), l.kill())
	}
	w.log.Info("left", slog.String("worker", l.name), slog.Int("exit", l.code()), slog.Duration("took", l.ended.Sub(begin).Round(time.Millisecond)))
	return nil
}

// end lets the last life leave; none follows.
func (w *worker) end() error {
	w.mu.Lock()
	w.ending = true
	w.mu.Unlock()
	return w.leave()
}

// stop takes the worker's network away. Its lives have ended.
func (w *worker) stop() error {
	w.meter.stop()
	for _, b := range w.brokers {
		b.stop()
	}
	return w.store.stop()
}

// natsURL is where the worker finds the brokers.
func (w *worker) natsURL() string {
	var urls []string
	for _, b := range w.brokers {
		urls = append(urls, "nats://"+b.addr())
	}
	return strings.Join(urls, ",")
}

// faulty are the lives that have ended by themselves.
func (w *worker) faulty() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.crashes)
}
