package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/stipple-ai/stipple/internal/local/otlpd"
)

// storm carries out a plan against workers.
type storm struct {
	*world
	workers []*worker
	running sync.WaitGroup // faults, each a goroutine
	one     chan struct{}  // holds a token for the one fault that keeps a worker from its leases, so that the others can take its jobs over

	mu   sync.Mutex
	done map[kind]int
	errs []error
}

// carryOut begins each fault when its number of results is recorded, and returns when all of them are over and all jobs
// done, or ctx ends. Jobs come as the faults do: each finds some that are still to be drawn, however fast the machine is.
func (s *storm) carryOut(ctx context.Context, faults []fault, jobs []job, before uint64) error {
	faulty, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var err error
	published := 0
	for n, f := range faults {
		next := stormShare(n+1, len(faults), len(jobs))
		if err = s.publish(ctx, stormBatch, jobs, published, next); err != nil {
			break
		}
		published = next
		s.awaitRecorded(ctx, before+uint64(f.After))
		done := func() {}
		if f.Kind == freeze || f.Kind == netStall {
			done = s.alone(ctx)
		}
		s.running.Go(func() {
			err := s.inflict(faulty, f)
			done()
			s.report(f, err)
		})
	}
	if err == nil {
		err = s.publish(ctx, stormBatch, jobs, published, len(jobs))
	}
	if err == nil {
		err = s.await(ctx, before+uint64(len(jobs)))
	}
	// Nobody comes to the traps that are left when no job is.
	quiet := time.AfterFunc(trapPatience, func() { cancel(errors.New("it did not happen: no worker came to its edge")) })
	defer quiet.Stop()
	s.running.Wait()
	return errors.Join(append(s.errs, err)...)
}

// trapPatience is longer than any fault takes once all jobs are done.
const trapPatience = 30 * time.Second

// stormShare is how many jobs are there when the n-th of so many faults begins: nine tenths, in equal parts. The rest
// follows the last.
func stormShare(n, faults, jobs int) int { return jobs * 9 * n / (10 * faults) }

// alone waits until no other fault of its sort is under way, until done is called; but not for long, since that one may
// wait for a job that only comes later.
func (s *storm) alone(ctx context.Context) (done func()) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	select {
	case s.one <- struct{}{}:
		return func() { <-s.one }
	case <-ctx.Done():
		return func() {}
	}
}

// report notes what became of a fault.
func (s *storm) report(f fault, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.errs = append(s.errs, fmt.Errorf("fault %d, %s: %w", f.Number, f.Kind, err))
		return
	}
	s.done[f.Kind]++
}

// awaitRecorded waits for so many results. A broker that is away is waited for.
func (s *storm) awaitRecorded(ctx context.Context, results uint64) {
	for ctx.Err() == nil {
		if state, err := s.state(ctx, "RESULTS"); err == nil && state.Msgs >= results {
			return
		}
		wait(ctx, 50*time.Millisecond)
	}
}

// inflict carries out one fault and returns when it is over.
func (s *storm) inflict(ctx context.Context, f fault) error {
	w := s.workers[f.Worker]
	log := s.log.With(slog.Int("fault", f.Number), slog.String("kind", string(f.Kind)), slog.Duration("for", f.For), slog.Int("after", f.After))
	log.Info("fault")
	defer log.Info("fault over")
	switch f.Kind {
	case killFetched:
		return s.trap(ctx, edgeFetched, f)
	case killStep:
		return s.trap(ctx, edgeStep, f)
	case killPut:
		return s.trap(ctx, edgePut, f)
	case killStored:
		return s.trap(ctx, edgeStored, f)
	case killRecorded:
		return s.trap(ctx, edgeRecorded, f)
	case killAck:
		return s.trap(ctx, edgeAck, f)
	case killAcked:
		return s.trap(ctx, edgeAcked, f)
	case freeze, killSaving, storeReset:
		return s.trap(ctx, f.Edge, f)
	case killDrain:
		l, err := s.alive(ctx, w)
		if err != nil {
			return err
		}
		l.send(syscall.SIGTERM)
		wait(ctx, f.For)
		l.send(os.Kill)
		<-l.exited
	case sigterm:
		if _, err := s.alive(ctx, w); err != nil {
			return err
		}
		return w.leave()
	case netStall:
		open := w.stall.close()
		defer open()
		wait(ctx, f.For)
	case netCut:
		for _, b := range w.brokers {
			b.reset()
		}
	case brokerKill:
		return s.outage(ctx, f, func() *server { return s.leader(ctx, f.Choice) })
	case storeKill:
		return s.outage(ctx, f, func() *server { return s.store })
	case storeBusy:
		s.mood.busy.Add(1)
		defer s.mood.busy.Add(-1)
		wait(ctx, f.For)
	case storeHole:
		s.mood.hole.Add(1)
		defer s.mood.hole.Add(-1)
		wait(ctx, f.For)
	case collectorAway:
		s.sink.SetMode([]otlpd.Mode{otlpd.Hang, otlpd.Respond(503, time.Second), otlpd.Close}[f.Choice%3])
		defer s.sink.SetMode(otlpd.Accept)
		wait(ctx, f.For)
	}
	return nil
}

// outage kills a server, at once or when a worker comes to an edge, and starts it again.
func (s *storm) outage(ctx context.Context, f fault, which func() *server) error {
	var victim *server
	var err error
	kill := func() {
		victim = which()
		err = victim.kill()
	}
	if f.Edge == "" {
		kill()
	} else if err := s.spring(ctx, s.edges.lay(f.Edge, f, kill)); err != nil {
		return err
	}
	return errors.Join(err, victim.revive(ctx, f.For))
}

// trap lays a trap for a worker and returns when it has sprung and is over.
func (s *storm) trap(ctx context.Context, at edge, f fault) error {
	return s.spring(ctx, s.edges.lay(at, f, nil))
}

// spring returns when a trap has sprung and is over.
func (s *storm) spring(ctx context.Context, t *trap) error {
	select {
	case <-t.sprung:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// alive is the life of a worker that runs, or the next one.
func (s *storm) alive(ctx context.Context, w *worker) (*life, error) {
	for {
		if l := w.current(); l != nil && l.running() {
			return l, nil
		}
		if wait(ctx, 10*time.Millisecond); ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
}

// leader is the broker, or the one of a cluster that leads a stream.
func (s *storm) leader(ctx context.Context, choice int) *server {
	stream := []string{"JOBS", "RESULTS", "KV_attempts"}[choice%3]
	for len(s.brokers) > 1 && ctx.Err() == nil {
		once, cancel := context.WithTimeout(ctx, 2*time.Second)
		info, err := s.js.Stream(once, stream)
		cancel()
		if err == nil && info.CachedInfo().Cluster != nil {
			for _, b := range s.brokers {
				if b.name == info.CachedInfo().Cluster.Leader {
					s.log.Info("the leader", slog.String("stream", stream), slog.String("server", b.name))
					return b
				}
			}
		}
		wait(ctx, 50*time.Millisecond) // an election
	}
	return s.brokers[choice%len(s.brokers)]
}
