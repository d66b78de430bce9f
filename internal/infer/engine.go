package infer

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// Config sets an engine up. The zero value is one row a call with modest caches.
type Config struct {
	MaxRows   int   // most UNet rows in one call; 0 means 1
	RowShapes []int // the row counts that calls are padded to; nil means no padding. The largest must hold MaxRows
	Limits    Limits

	EmbeddingCache int64 // bytes of text embeddings kept for prompts met again; 0 means 64 MiB
	Encoders       int   // text encodings at once beside the lanes, for a GPU; 0 lets each take a lane, so that a CPU runs no more calls than lanes
	Decoders       int   // VAE decodings likewise

	// OnCall, if set, is told of every call that succeeded. Run calls it: it must not block.
	OnCall func(rows, pad int, d time.Duration)
	Logger *slog.Logger // nil means slog.Default()
}

// Engine draws pictures with one model. Call [Engine.Run] once, and [Engine.Generate] from as many goroutines as there are jobs.
type Engine struct {
	model  Model
	info   Info
	lanes  *Lanes
	cfg    Config
	texts  *embeddings
	decode room

	door    chan *sample  // Generate → Run: the sample is Run's until done
	leave   chan *sample  // Generate → Run: its caller has gone
	stopped chan struct{} // closed by Run when it ends
	state   chan chan Load
}

// Load is a moment of an engine, for status reports.
type Load struct {
	Samples, Rows int   // held by Run; rows in lanes
	Calls         int64 // calls done since the start
}

// New returns an engine for model on lanes. Errors name the setting to mend.
func New(model Model, lanes *Lanes, cfg Config) (*Engine, error) {
	if cfg.MaxRows == 0 {
		cfg.MaxRows = 1
	}
	cfg.RowShapes = slices.Sorted(slices.Values(cfg.RowShapes))
	if cfg.MaxRows < 1 {
		return nil, fmt.Errorf("max rows is %d: must be at least 1", cfg.MaxRows)
	}
	if n := len(cfg.RowShapes); n > 0 && (cfg.RowShapes[0] < 1 || cfg.RowShapes[n-1] < cfg.MaxRows) {
		return nil, fmt.Errorf("row shapes %v: must be positive, and the largest must hold max rows (%d)", cfg.RowShapes, cfg.MaxRows)
	}
	if cfg.EmbeddingCache == 0 {
		cfg.EmbeddingCache = 64 << 20
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return &Engine{
		model: model, info: model.Info(), lanes: lanes, cfg: cfg,
		texts:  newEmbeddings(model, cfg.EmbeddingCache, roomFor(cfg.Encoders, lanes)),
		decode: roomFor(cfg.Decoders, lanes),
		door:   make(chan *sample), leave: make(chan *sample),
		stopped: make(chan struct{}), state: make(chan chan Load),
	}, nil
}

// Info returns the model's.
func (e *Engine) Info() Info { return e.info }

// Validate checks a request against the engine's model and limits.
func (e *Engine) Validate(r Request) error { return Validate(r, e.info, e.cfg.Limits) }

// Load asks Run for its load; it is zero once Run has ended.
func (e *Engine) Load(ctx context.Context) Load {
	reply := make(chan Load, 1)
	select {
	case e.state <- reply:
		return <-reply
	case <-e.stopped:
	case <-ctx.Done():
	}
	return Load{}
}

// Run owns the denoising loop until ctx ends (nil) or the device is taken for broken ([ErrBroken]). When ctx ends it asks the native calls to stop,
// waits for them, and ends every sample with [ErrStopped].
func (e *Engine) Run(ctx context.Context) error {
	loop := &loop{Engine: e, back: make(chan *flight, e.lanes.Count())}
	defer close(e.stopped)
	return loop.run(ctx)
}

// loop is the state of Run; only its goroutine touches it.
type loop struct {
	*Engine
	samples  []*sample
	seq      uint64
	flying   int
	calls    int64
	failures int          // samples that failed alone since the last call that succeeded
	back     chan *flight // lanes → Run
}

func (l *loop) run(ctx context.Context) (err error) {
	defer func() { l.abandon(err) }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // before abandon: a broken device must not keep other lanes busy
	for {
		var free <-chan *lane
		if slices.ContainsFunc(l.samples, (*sample).ready) {
			free = l.lanes.free
		}
		select {
		case s := <-l.door:
			l.join(s)
		case s := <-l.leave:
			s.leaving = true
			l.endIfLeaving(s)
		case f := <-l.back:
			l.land(f)
			if l.failures >= 2 {
				return ErrBroken
			}
		case lane := <-free:
			l.fly(ctx, lane)
		case reply := <-l.state:
			reply <- l.load()
		case <-ctx.Done():
			return nil
		}
	}
}

func (l *loop) load() Load {
	load := Load{Samples: len(l.samples), Calls: l.calls}
	for _, s := range l.samples {
		load.Rows += s.riding
	}
	return load
}

func (l *loop) join(s *sample) {
	l.seq++
	s.seq = l.seq
	l.samples = append(l.samples, s)
}

// fly sends the next rows into a lane.
func (l *loop) fly(ctx context.Context, lane *lane) {
	rows := pick(l.samples, l.cfg.MaxRows, l.info.OneSample)
	now := time.Now()
	f := &flight{
		lane: lane, rows: rows,
		call: Call{Size: rows[0].sample.size, Rows: board(l.samples, rows, now), Pad: pad(len(rows), l.cfg.RowShapes)},
	}
	l.flying++
	lane.work <- func() { f.fly(ctx, l.model, l.back) }
}

// land takes a call back: rows, then the steps of the samples that are whole again, then the lane.
func (l *loop) land(f *flight) {
	l.flying--
	failed := f.err != nil
	if failed {
		l.cfg.Logger.Warn("a UNet call failed", slog.Int("rows", len(f.rows)), slog.Any("error", f.err))
	} else {
		l.calls++
		l.failures = 0
		if l.cfg.OnCall != nil {
			l.cfg.OnCall(len(f.rows), f.call.Pad, f.duration)
		}
	}
	for _, r := range f.rows {
		r.sample.giveBack(r, len(f.rows), failed)
	}
	if s := f.rows[0].sample; failed && len(f.rows) == 1 {
		l.fail(s, classed("model_error", f.err))
	} else {
		for i, r := range f.rows {
			if i == 0 || f.rows[i-1].sample != r.sample { // the rows of a sample stand together
				l.settle(r.sample)
			}
		}
	}
	l.lanes.free <- f.lane
}

// fail ends a sample whose row failed alone. A sample counts once, whatever its other row does.
func (l *loop) fail(s *sample, err error) {
	if s.failure == nil {
		s.failure, s.leaving = err, true
		l.failures++
	}
	l.endIfLeaving(s)
}

// settle moves a sample on after rows of it came back.
func (l *loop) settle(s *sample) {
	if s.riding > 0 || l.endIfLeaving(s) {
		return
	}
	if s.back == len(s.rows) {
		finished, err := s.advance()
		if finished || err != nil {
			l.end(s, err)
			return
		}
	}
	s.settleTime(time.Now())
}

func (l *loop) endIfLeaving(s *sample) bool {
	if !s.leaving || s.riding > 0 {
		return false
	}
	l.end(s, context.Canceled)
	return true
}

// end gives the sample back to its Generate; no row of it is riding.
func (l *loop) end(s *sample, err error) {
	i := slices.Index(l.samples, s)
	if i < 0 {
		return // its caller left just as it ended
	}
	l.samples = slices.Delete(l.samples, i, i+1)
	if s.failure != nil {
		err = s.failure
	}
	if s.begun {
		s.settleTime(time.Now())
	} else {
		s.wait += time.Since(s.since)
	}
	s.done <- err
}

// abandon waits for the lanes and ends every sample.
func (l *loop) abandon(err error) {
	for ; l.flying > 0; l.flying-- {
		f := <-l.back
		for _, r := range f.rows {
			r.sample.riding--
		}
		l.lanes.free <- f.lane
	}
	if err == nil {
		err = ErrStopped
	} else {
		err = &Error{Type: ErrStopped.Type, Err: err}
	}
	for _, s := range slices.Clone(l.samples) {
		l.end(s, err)
	}
}
