// Package tune finds how many rows a call and how many lanes draw fastest with a model on a machine. It drives the real engine, keeps it busy, and holds it against a
// bare loop of the same calls.
//
// Machines are noisy, so settings are tried in turns, several rounds in changing order, engine and bare loop one after the other, and medians are taken.
package tune

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/stipple-ai/stipple/internal/infer"
	"github.com/stipple-ai/stipple/internal/infer/schedule"
)

// Setting is what is tried.
type Setting struct {
	Rows    int // most UNet rows in one call
	Lanes   int // calls at once
	Threads int // of one call on a CPU
}

// Bare makes the calls of pictures and nothing else, for one goroutine.
type Bare interface {
	Encode(ctx context.Context) error
	Denoise(ctx context.Context) error
	Decode(ctx context.Context) error
	Close() error
}

// Model is a pipeline, loaded for a number of threads.
type Model struct {
	infer.Model
	Request infer.Request // of every picture but for its seed; the prompt gets a number, so that each is encoded
	Bare    func(width, height, rows int) (Bare, error)
}

// Memory is what the process and its device hold, in bytes; 0 is unknown.
type Memory struct{ Resident, Device int64 }

// Config says how settings are tried. Load and Shapes must be set.
type Config struct {
	// Load loads the model for so many threads a call; it is called once for each number. Who loads it closes it, after Run.
	Load   func(ctx context.Context, threads int) (Model, error)
	Shapes func(rows int) []int // the row counts that calls of at most so many rows are padded to

	Rounds   int                          // 0: 3
	Duration time.Duration                // least time of the engine in a round, and of the bare loop; 0: 5 s
	Images   int                          // least pictures of the engine in a round; at least as many as are drawn at once
	Beside   int                          // text encodings and VAE decodings at once beside the lanes, for a GPU
	Memory   func(context.Context) Memory // nil: unknown
	Logger   *slog.Logger                 // nil: slog.Default()

	OnTrial func(round int, s Setting, t Trial) // told of every trial; may be nil
}

// Trial is what one round of a setting came to.
type Trial struct {
	ImagesPerSecond float64       // of the engine
	Bare            float64       // images/s of the bare loop
	Call            time.Duration // mean of the engine's UNet calls
	RowsMean        float64       // rows that these had
}

// Efficiency is the share of the bare loop's speed that the engine keeps.
func (t Trial) Efficiency() float64 { return t.ImagesPerSecond / t.Bare }

// Result is what a setting came to.
type Result struct {
	Setting
	Shapes     []int
	Trials     []Trial
	Median     Trial   // of each figure for itself
	Efficiency float64 // median of the rounds' own
	Memory     Memory  // held after the first round
	Err        error   // why the setting cannot be used; trials then ended early
}

// Run tries every setting, and returns the results in the order of fewer to more rows in flight. A setting that fails does not stop the others; the error is ctx's, or the
// loading of the model's.
func Run(ctx context.Context, settings []Setting, cfg Config) ([]Result, error) {
	cfg.Rounds = cmp.Or(cfg.Rounds, 3)
	cfg.Duration = cmp.Or(cfg.Duration, 5*time.Second)
	if cfg.Memory == nil {
		cfg.Memory = func(context.Context) Memory { return Memory{} }
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	b := &bench{cfg: cfg, models: map[int]*loaded{}}
	err := b.run(ctx, slices.SortedFunc(slices.Values(settings), smaller))
	results := make([]Result, len(b.benches))
	for i, s := range b.benches {
		err = errors.Join(err, s.close())
		s.result.summarize()
		results[i] = s.result
	}
	return results, err
}

// smaller orders settings by the memory that they need: threads tell the pipelines apart, and a runtime gives no memory back.
func smaller(a, b Setting) int {
	return cmp.Or(cmp.Compare(a.Lanes, b.Lanes), cmp.Compare(a.Rows, b.Rows))
}

// bench is the state of Run.
type bench struct {
	cfg     Config
	models  map[int]*loaded // by threads
	benches []*stand
}

// loaded is a model and the memory that loading it took.
type loaded struct {
	Model
	memory Memory
}

func (b *bench) run(ctx context.Context, settings []Setting) error {
	for _, s := range settings {
		if b.models[s.Threads] == nil {
			if err := b.load(ctx, s.Threads); err != nil {
				return err
			}
		}
		one := &stand{cfg: b.cfg, model: b.models[s.Threads].Model, result: Result{Setting: s, Shapes: b.cfg.Shapes(s.Rows)}}
		b.benches = append(b.benches, one)
		if one.result.Err = one.prepare(ctx); one.result.Err == nil {
			one.result.Err = b.trial(ctx, one, 1)
		}
		one.result.Memory = b.held(ctx, s.Threads)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	for round := 2; round <= b.cfg.Rounds; round++ {
		slices.Reverse(settings) // what drifts, drifts against all alike
		for _, s := range settings {
			one := b.benches[slices.IndexFunc(b.benches, func(o *stand) bool { return o.result.Setting == s })]
			if one.result.Err == nil {
				one.result.Err = b.trial(ctx, one, round)
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
	return nil
}

func (b *bench) load(ctx context.Context, threads int) error {
	before := b.cfg.Memory(ctx)
	m, err := b.cfg.Load(ctx, threads)
	if err != nil {
		return err
	}
	after := b.cfg.Memory(ctx)
	b.models[threads] = &loaded{m, Memory{after.Resident - before.Resident, after.Device - before.Device}}
	return nil
}

// held is the memory held now, without the pipelines that were loaded for other numbers of threads.
func (b *bench) held(ctx context.Context, threads int) Memory {
	m := b.cfg.Memory(ctx)
	for n, other := range b.models {
		if n != threads {
			m.Resident = max(0, m.Resident-other.memory.Resident)
			m.Device = max(0, m.Device-other.memory.Device)
		}
	}
	return m
}

func (b *bench) trial(ctx context.Context, s *stand, round int) error {
	t, err := s.trial(ctx)
	if err != nil {
		return err
	}
	s.result.Trials = append(s.result.Trials, t)
	if b.cfg.OnTrial != nil {
		b.cfg.OnTrial(round, s.result.Setting, t)
	}
	return nil
}

func (r *Result) summarize() {
	figure := func(of func(Trial) float64) float64 {
		v := make([]float64, len(r.Trials))
		for i, t := range r.Trials {
			v[i] = of(t)
		}
		return median(v)
	}
	r.Median = Trial{
		ImagesPerSecond: figure(func(t Trial) float64 { return t.ImagesPerSecond }),
		Bare:            figure(func(t Trial) float64 { return t.Bare }),
		Call:            time.Duration(figure(func(t Trial) float64 { return float64(t.Call) })),
		RowsMean:        figure(func(t Trial) float64 { return t.RowsMean }),
	}
	r.Efficiency = figure(Trial.Efficiency)
}

// median of v, which it sorts; 0 of nothing.
func median(v []float64) float64 {
	n := len(v)
	if n == 0 {
		return 0
	}
	slices.Sort(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}

// alike is how much less than the best counts as equal: what rounds on a quiet machine differ by.
const alike = 0.02

// Best returns the result to use: the fastest, or the one with the fewest rows in flight of those that are as fast but for 2 %, which needs less memory and lets a job
// through sooner. It is nil where no setting works.
func Best(results []Result) *Result {
	fastest := 0.0
	for _, r := range results {
		if r.Err == nil {
			fastest = max(fastest, r.Median.ImagesPerSecond)
		}
	}
	var best *Result
	for i, r := range results {
		if r.Err != nil || r.Median.ImagesPerSecond < (1-alike)*fastest {
			continue
		}
		if best == nil || r.Rows*r.Lanes < best.Rows*best.Lanes {
			best = &results[i]
		}
	}
	return best
}

// work is what a picture asks of the runtime.
type work struct {
	rows  int // of a picture: two where it is guided
	calls int // of the model by the sampler, a row each
}

// workOf is the work of a request.
func workOf(r infer.Request, info infer.Info) (work, error) {
	sampler, err := schedule.New(r.Scheduler, info.Schedule, r.Steps)
	if err != nil {
		return work{}, fmt.Errorf("scheduler: %w", err)
	}
	w := work{rows: 1, calls: sampler.Len()}
	if r.Guidance > 1 && !info.GuidanceEmbedded {
		w.rows = 2
	}
	return w, nil
}
