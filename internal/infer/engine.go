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

	// CallTimeout is how long one call may take, be it of the UNet, a text encoder or the VAE, before the device is taken for hung ([ErrHung]); 0 means for ever.
	CallTimeout time.Duration

	// OnBroken, if set, is told why the device is taken for broken, before Run ends: Run may have to wait for calls on other lanes first, and those may hang, too.
	// Run calls it, at most once: it must not block.
	OnBroken func(err error)
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
	dog    watchdog
	probe  *Embedding // of the warm-up, for the call that tells a broken device; Warm sets it before Run reads it

	door    chan *sample  // Generate → Run: the sample is Run's until done
	leave   chan *sample  // Generate → Run: its caller has gone
	doubts  chan struct{} // Generate → Run: a text encoder or the VAE failed
	stopped chan struct{} // closed by Run: nothing more is let in
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
	dog := newWatchdog(cfg.CallTimeout)
	return &Engine{
		model: model, info: model.Info(), lanes: lanes, cfg: cfg, dog: dog,
		texts:  newEmbeddings(model, cfg.EmbeddingCache, dog.over(roomFor(cfg.Encoders, lanes), "a text encoding")),
		decode: dog.over(roomFor(cfg.Decoders, lanes), "a VAE decoding"),
		door:   make(chan *sample), leave: make(chan *sample), doubts: make(chan struct{}, 1),
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

// Run owns the denoising loop until ctx ends (nil) or the device is taken for broken (an error that is [ErrBroken]). It ends every sample: when ctx ends with
// [ErrStopped], when the device is broken with an error of type interrupted. Samples with no row in a lane end at once; Run asks the native calls to stop and waits
// for them to return, and with them their samples. Where one of them does not return within CallTimeout ([ErrHung]), Run waits for none: its samples end with an
// error of type timeout, the others as above, and the calls keep their lanes and what they were handed. A Generate whose own text encoder or VAE hangs never returns; those that wait for
// a lane do.
func (e *Engine) Run(ctx context.Context) error {
	fits := fits{maxRows: e.cfg.MaxRows, shapes: e.cfg.RowShapes, sizes: map[Size]*fit{}, logger: e.cfg.Logger}
	loop := &loop{Engine: e, fits: fits, back: make(chan *flight, e.lanes.Count())}
	return loop.run(ctx)
}
