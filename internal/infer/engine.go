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
	probe  *Embedding // of the warm-up, for the call that tells a broken device; Warm sets it before Run reads it

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

// Run owns the denoising loop until ctx ends (nil) or the device is taken for broken (an error that is [ErrBroken]). When ctx ends it asks the native calls to stop,
// waits for them, and ends every sample with [ErrStopped].
func (e *Engine) Run(ctx context.Context) error {
	loop := &loop{Engine: e, back: make(chan *flight, e.lanes.Count())}
	defer close(e.stopped)
	return loop.run(ctx)
}
