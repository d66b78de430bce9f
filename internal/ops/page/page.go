// Package page fills what internal/web shows with a real queue and a real store. It follows both all the time, so that
// an answer never waits for what is known already, and goes on by itself when either was away.
//
//	RESULTS ──▶ follow ──┐
//	status.* ─▶ hear ────┤
//	polls ─────▶ poll ───┼─▶ facts ──▶ assemble, once a second ──▶ board ──▶ web
//	store ─────▶ look ───┘                    (one lock)           (one lock)
package page

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stipple-ai/stipple/internal/ops"
	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/upload"
	"github.com/stipple-ai/stipple/internal/web"
)

// Config is what the page shows.
type Config struct {
	Queue      queue.Config
	Store      upload.Config // Bucket "" is the one that each result names
	Schedulers []string      // that jobs may ask for
	Also       func() string // what else is wrong in this process, "" for nothing; nil knows nothing
	Logger     *slog.Logger  // nil drops everything
}

// System is a queue and a store, as the page shows them. Run keeps it going; the other methods may be called from
// several goroutines, before and after it, too.
type System struct {
	cfg    Config
	log    *slog.Logger
	client atomic.Pointer[queue.Client] // nil until the broker has answered once
	stores ops.Stores
	board  board
	facts  facts
	about  prompts
	pace   pace // less in tests
}

// New returns a system that knows nothing yet.
func New(c Config) *System {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	// Whoever looks at a page does not wait for long.
	c.Store.AttemptTimeout, c.Store.MaxAttempts, c.Store.MaxBackoff = storeTimeout, 2, 200*time.Millisecond
	c.Queue.Name, c.Queue.Logger = "stipple page", c.Logger
	now := time.Now()
	s := &System{cfg: c, log: c.Logger, stores: ops.Stores{Config: c.Store}, pace: usualPace()}
	s.facts.begin(now)
	s.board.begin(s.assemble(now))
	return s
}

// pace is how often a system looks.
type pace struct{ assemble, check, poll, strand, store time.Duration }

func usualPace() pace {
	return pace{assemble: time.Second, check: time.Second, poll: 2 * time.Second, strand: 30 * time.Second, store: 5 * time.Second}
}

// Times of looking.
const (
	storeTimeout = 5 * time.Second
	askTimeout   = 5 * time.Second // of one question to the broker
	againAfter   = 2 * time.Second // when something failed
	closeTimeout = 3 * time.Second
)

// Run connects to the broker, however long that takes, and follows what goes on until ctx ends. It owns every goroutine
// of the system, and returns when they are gone. Its error is a joined *queue.ConfigError, at once: what was told cannot
// work.
func (s *System) Run(ctx context.Context) error {
	var all sync.WaitGroup
	defer s.stores.Close()
	defer all.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	all.Go(func() { s.publish(ctx) })
	all.Go(func() { s.every(ctx, s.pace.store, s.lookAtStore) })
	c, err := s.connect(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil
	case err != nil:
		return err
	}
	s.client.Store(c)
	all.Go(func() { s.every(ctx, s.pace.check, s.checkBroker) })
	all.Go(func() { s.every(ctx, s.pace.poll, s.sparing(s.poll)) })
	all.Go(func() { s.every(ctx, s.pace.strand, s.sparing(s.lookForStranded)) })
	all.Go(func() { s.hear(ctx, c) })
	all.Go(func() { s.follow(ctx, c) })
	all.Wait()
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	if err := c.Close(closing); err != nil {
		s.log.DebugContext(ctx, "leaving a broker that is away", slog.Any("error", err))
	}
	return nil
}

// connect returns a client once the broker answers. What waiting does not mend, such as wrong
// credentials, is told and tried again: the file may be mended, too.
func (s *System) connect(ctx context.Context) (*queue.Client, error) {
	for {
		c, err := queue.Connect(ctx, s.cfg.Queue)
		if err == nil {
			return c, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if _, setting := errors.AsType[*queue.ConfigError](err); setting {
			return nil, err
		}
		s.facts.brokerRefused(err)
		if err := s.wait(ctx, againAfter); err != nil {
			return nil, context.Cause(ctx)
		}
	}
}

// every does something at once and then again and again, until ctx ends.
func (s *System) every(ctx context.Context, pause time.Duration, do func(context.Context)) {
	for {
		do(ctx)
		if s.wait(ctx, pause) != nil {
			return
		}
	}
}

// sparing lets something pause four times as long as it takes: what is slow on a large system does not keep it busy.
func (s *System) sparing(do func(context.Context)) func(context.Context) {
	return func(ctx context.Context) {
		begun := time.Now()
		do(ctx)
		if s.client.Load().Connected() { // else it was the broker's absence that took long
			_ = s.wait(ctx, min(4*time.Since(begun), time.Minute)) // whose error every sees, too
		}
	}
}

func (s *System) wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// broker returns the client; its error is for people.
func (s *System) broker() (*queue.Client, error) {
	c := s.client.Load()
	if c == nil || !c.Connected() {
		return nil, web.Errorf(503, "the broker at %s does not answer: start it, or correct NATS_URL (--nats-url); this page goes on by itself when it is back", s.servers())
	}
	return c, nil
}

// ask asks the broker something, for as long as a person waits.
func (s *System) ask(ctx context.Context, question func(context.Context, *queue.Client) error) error {
	c, err := s.broker()
	if err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	err = question(bounded, c)
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		return web.Errorf(504, "the broker at %s did not answer within %v: %w", s.servers(), askTimeout, err)
	}
	return err
}
