package queue

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"
)

// SourceConfig says what a Source fetches. The zero value of a field is its default; Layout names the models.
type SourceConfig struct {
	Layout     Layout        // whose models are served, and how a consumer is made that went missing
	JobTimeout time.Duration // JOB_TIMEOUT: how long a delivery's lease is kept; default 1 h
	IdleMin    time.Duration // Wait's first sleep; default 100 ms
	IdleMax    time.Duration // and its longest; default 1 s

	// HandBackBy says when what a Fetch handed back, whose context has ended, must be through, besides that it takes
	// 2 s at most. It is asked when that begins; nil, and a zero time, set no bound.
	HandBackBy func() time.Time
}

// DefaultJobTimeout is the JobTimeout of a SourceConfig that sets none.
const DefaultJobTimeout = time.Hour

// lowFirst is how often a pick starts at low, so that a steady load of urgent jobs starves nobody.
const lowFirst = 8

// Source fetches jobs from the consumers of its models, the most urgent first. One goroutine uses it.
//
//	for {
//		jobs, err := source.Fetch(ctx, freeSlots())
//		...
//		if len(jobs) == 0 {
//			err = source.Wait(ctx)
//		}
//	}
type Source struct {
	client     *Client
	layout     Layout
	jobTimeout time.Duration
	handBackBy func() time.Time
	taps       [][]*tap // by priority, in the order of Priorities; then by model
	picks      int
	idle       backoff
}

// NewSource returns a source of jobs. It does not look whether the consumers are there; Fetch does.
func (c *Client) NewSource(cfg SourceConfig) (*Source, error) {
	layout, err := cfg.Layout.withDefaults()
	if err != nil {
		return nil, err
	}
	if len(layout.Models) == 0 {
		return nil, &ConfigError{"MODELS", errors.New("no model is named")}
	}
	s := &Source{client: c, layout: layout, jobTimeout: cfg.JobTimeout, handBackBy: cfg.HandBackBy, idle: backoff{min: cfg.IdleMin, max: cfg.IdleMax}}
	if s.jobTimeout == 0 {
		s.jobTimeout = DefaultJobTimeout
	}
	if s.idle.min == 0 {
		s.idle.min = 100 * time.Millisecond
	}
	if s.idle.max == 0 {
		s.idle.max = time.Second
	}
	for _, p := range Priorities() {
		var taps []*tap
		for _, m := range layout.Models {
			taps = append(taps, newTap(c, layout, p, m))
		}
		s.taps = append(s.taps, taps)
	}
	return s, nil
}

// Fetch returns the jobs that are waiting now, at most n of them: it asks for exactly as many as there are free
// slots, because a job that waits in a worker's memory waits for that worker alone. None is no error.
//
// A broker that is away or a consumer that is missing is no error either: the log says so, and consumers are
// made again where that is allowed. The error is ctx's when it has ended, and what arrived meanwhile has been
// handed back; or ErrClosed.
func (s *Source) Fetch(ctx context.Context, n int) ([]*Delivery, error) {
	if s.client.nc.IsClosed() {
		return nil, ErrClosed
	}
	var got []*Delivery
	if n > 0 && s.client.Connected() {
		for _, t := range s.order() {
			if len(got) == n || ctx.Err() != nil {
				break
			}
			got = append(got, t.pull(ctx, n-len(got), s.jobTimeout)...)
		}
	}
	if err := ctx.Err(); err != nil {
		s.handBack(got)
		return nil, err
	}
	if len(got) > 0 {
		s.idle.reset()
	}
	return got, nil
}

// Wait sleeps after a Fetch that found nothing: 100 ms, doubling up to 1 s until a Fetch finds something, with
// jitter. It returns ctx's error if that ends first.
func (s *Source) Wait(ctx context.Context) error { return sleep(ctx, s.idle.next()) }

// order is the order of one pick: priorities from high to low, every eighth time low first; within a priority
// the models take turns at being first.
func (s *Source) order() []*tap {
	s.picks++
	levels := slices.Clone(s.taps)
	fromLow := s.picks / lowFirst
	turn := s.picks - fromLow // the two kinds of picks count for themselves, so that both reach every model
	if s.picks%lowFirst == 0 {
		last := len(levels) - 1
		levels = append([][]*tap{levels[last]}, levels[:last]...)
		turn = fromLow
	}
	var order []*tap
	for _, taps := range levels {
		first := turn % len(taps)
		order = append(append(order, taps[first:]...), taps[:first]...)
	}
	return order
}

// handBack gives back deliveries that arrived too late to be returned: none of them was begun.
func (s *Source) handBack(late []*Delivery) {
	// The caller's context has ended; a short one of its own bounds this.
	by := time.Now().Add(ackTimeout)
	if s.handBackBy != nil {
		if limit := s.handBackBy(); !limit.IsZero() && limit.Before(by) {
			by = limit
		}
	}
	ctx, cancel := context.WithDeadline(context.Background(), by)
	defer cancel()
	for _, d := range late {
		if d.HasID {
			if err := s.client.HandedBack(ctx, d); err != nil {
				s.client.log.Warn("a start may be counted that was not made", slog.String("job", d.String()), slog.Any("error", err))
			}
		}
		if err := d.Nak(ctx, 0); err != nil {
			s.client.log.Warn("a job fetched too late comes back only after its lease", slog.String("job", d.String()), slog.Any("error", err))
		}
	}
}
