package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/stipple-ai/stipple/internal/flagenv"
	"github.com/stipple-ai/stipple/internal/infer"
	"github.com/stipple-ai/stipple/internal/infer/ort"
	"github.com/stipple-ai/stipple/internal/infer/tune"
	"github.com/stipple-ai/stipple/internal/modelflags"
	"github.com/stipple-ai/stipple/internal/worker"
)

const benchManual = `Bench draws pictures with one model in several settings and says which LANES, MAX_ROWS and ROW_SHAPES make the most
of this machine. It connects to nothing. Give it a machine to itself, and the cores or the card that a worker will have.

  worker bench --model models/tiny-emoji
  worker bench --model /models/sdxl --provider cuda --width 1024 --height 1024 --rows 1,2,4,8,16

Settings are tried in turns, several rounds, and the figures are medians. A step is one call of the UNet with rows of
several pictures. "of bare" is the speed of the engine as a share of a bare loop's that makes the same calls, text
encoding and decoding included, on as many goroutines as there are lanes; on a GPU it may be above 1, since those two
run beside the UNet. Memory is what the process holds once the setting has been tried, pipelines for other numbers of
threads not counted; settings are tried from small to large at first, since the runtime gives no memory back.

A model that takes long to draw is tried sooner with few --steps: what changes is the share of text encoding and decoding.

With --json it prints one object, in which "best" is null where no setting works and "set" holds the worker's variables:
  {"model","model_digest","width","height","num_inference_steps","guidance_scale","scheduler","provider","device","cores",
   "onnxruntime","rounds","settings":[{"max_rows","row_shapes","lanes","threads","step_ms","rows_mean",
   "images_per_second","bare_images_per_second","efficiency","rounds_images_per_second","memory_bytes",
   "device_memory_bytes","error"}],"best":{…},"set":{…}}

Exit codes: 0 measured, 1 no setting works, or something broke, 2 a flag or a model that cannot work.`

// benchFlags are those of `worker bench`.
type benchFlags struct {
	models, arena string
	runtime       ort.Options

	request     infer.Request
	rows, lanes string

	rounds   int
	duration time.Duration
	images   int
	json     bool
	logLevel string
	visible  string // CUDA_VISIBLE_DEVICES
	sources  modelflags.Sources
	provider providerFlags
}

func (f *benchFlags) define(fs *pflag.FlagSet) {
	own := func(flag string) { flagenv.Bind(fs, flag, "BENCH_"+flagenv.Name(flag)) } // a worker's LANES is no list of lanes to try
	fs.StringVar(&f.models, "model", "", "the pipeline, as a worker takes it: a folder or a URL, or name=place")
	flagenv.Bind(fs, "model", "MODELS")
	f.sources.Define(fs)
	defineRuntime(fs, &f.runtime, &f.arena)
	f.provider.define(fs)
	fs.IntVar(&f.request.Width, "width", 0, "of the pictures, in pixels; default the model's own")
	fs.IntVar(&f.request.Height, "height", 0, "likewise")
	fs.IntVar(&f.request.Steps, "steps", 0, "num_inference_steps; default the model's own")
	fs.Float64Var(&f.request.Guidance, "guidance", 0, "guidance_scale, at most 1 for none; default the model's own")
	fs.StringVar(&f.request.Scheduler, "scheduler", "", "sampler; default the model's own")
	fs.StringVar(&f.rows, "rows", "", "values of MAX_ROWS to try, comma-separated; default 1,2,4 on a CPU, 1,2,4,8,16,32 on a GPU")
	fs.StringVar(&f.lanes, "lanes", "", "values of LANES to try; default one a core and half as many on a CPU, 1 on a GPU")
	fs.IntVar(&f.rounds, "rounds", 3, "rounds, each trying every setting")
	fs.DurationVar(&f.duration, "duration", 5*time.Second, "least time for a setting in a round, and the same again for the bare loop")
	fs.IntVar(&f.images, "images", 0, "least pictures for a setting in a round; at least as many as are drawn at once")
	fs.BoolVar(&f.json, "json", false, "print the outcome as JSON")
	for _, flag := range []string{"width", "height", "steps", "guidance", "scheduler", "rows", "lanes", "rounds", "duration", "images", "json"} {
		own(flag)
	}
	fs.StringVar(&f.logLevel, "log-level", "warn", "debug, info, warn or error; the log goes to standard error")
}

// benchCommand is `worker bench`. forget makes the next signal end the process, as it must while a provider compiles a model.
func benchCommand(forget func(), getenv func(string) string) *cobra.Command {
	f := &benchFlags{}
	cmd := &cobra.Command{
		Use:   "bench [flags]",
		Short: "Find the LANES, MAX_ROWS and ROW_SHAPES that are fastest on this machine",
		Long:  benchManual,
		Args:  func(cmd *cobra.Command, args []string) error { return config(cobra.NoArgs(cmd, args)) },
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := flagenv.Apply(cmd.Flags(), getenv); err != nil {
				return config(err)
			}
			f.visible = getenv("CUDA_VISIBLE_DEVICES")
			b, err := f.finish(cmd.ErrOrStderr())
			if err != nil {
				return config(err)
			}
			b.guided = cmd.Flags().Changed("guidance")
			defer context.AfterFunc(cmd.Context(), forget)()
			if err := ort.Check(b.runtime); err != nil { // before a download that it would have no use for
				return config(err)
			}
			models, err := f.sources.Fetch(cmd.Context(), []worker.ModelPath{b.model}, b.runtime.Logger, cmd.ErrOrStderr())
			if err != nil {
				return interrupted(cmd.Context(), config(err))
			}
			b.model = models[0]
			return b.run(cmd.Context(), cmd.OutOrStdout(), f.json)
		},
	}
	cmd.Flags().SortFlags = false
	f.define(cmd.Flags())
	flagenv.Describe(cmd.Flags())
	return cmd
}

// bench is what `worker bench` was told, judged.
type bench struct {
	model    worker.ModelPath
	settings []tune.Setting
	shapes   map[int][]int // by rows
	runtime  ort.Options
	tune     tune.Config   // without Load
	request  infer.Request // zero is for the model to say
	guided   bool          // request.Guidance is not
}

// finish judges what the flags say. It joins every problem, each naming its setting.
func (f *benchFlags) finish(stderr io.Writer) (*bench, error) {
	b := &bench{request: f.request, shapes: map[int][]int{}}
	f.runtime.Provider = cmp.Or(f.runtime.Provider, "cpu")
	fellBack, wrong := f.provider.apply(&f.runtime)
	b.runtime = f.runtime
	var errs []error
	add := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	logger, err := (&settings{logLevel: f.logLevel, logFormat: "text"}).logger(stderr)
	b.runtime.Logger = logger
	add(err)
	if fellBack != nil && logger != nil {
		logger.Warn("the provider cannot work: the CPU is used", errorAttr(fellBack))
	}
	add(wrong)
	models, err := worker.ParseModels(f.models)
	add(err)
	switch {
	case len(models) > 1:
		add(fmt.Errorf("MODELS (--model) names %d models: measure them one by one, each with its --model", len(models)))
	case len(models) == 1:
		b.model = models[0]
	}
	b.runtime.ArenaLimit, err = parseBytes(f.arena)
	if err != nil {
		add(fmt.Errorf("ARENA_LIMIT (--arena-limit) is %q: %w", f.arena, err))
	}
	for _, n := range []struct {
		flag         string
		value, least int
	}{
		{"--width", f.request.Width, 0}, {"--height", f.request.Height, 0}, {"--steps", f.request.Steps, 0}, {"--images", f.images, 0}, {"--rounds", f.rounds, 1},
		{"DEVICE (--device)", f.runtime.Device, 0}, {"TILE_SIZE (--tile-size)", f.runtime.TileSize, 0},
	} {
		if n.value < n.least {
			add(fmt.Errorf("%s is %d: must be at least %d", n.flag, n.value, n.least))
		}
	}
	if f.duration <= 0 {
		add(fmt.Errorf("--duration is %v: must be positive", f.duration))
	}
	add(b.choose(f, models))
	b.tune = tune.Config{
		Rounds: f.rounds, Duration: f.duration, Images: f.images, Logger: logger,
		Shapes: func(rows int) []int { return b.shapes[rows] },
		Memory: func(ctx context.Context) tune.Memory { return memory(ctx, b.gpu(), f.runtime.Device, f.visible) },
		OnTrial: func(round int, s tune.Setting, t tune.Trial) {
			fmt.Fprintf(stderr, "round %d of %d: rows %d, lanes %d: %.3g images/s, bare %.3g\n", round, f.rounds, s.Rows, s.Lanes, t.ImagesPerSecond, t.Bare)
		},
	}
	if b.gpu() {
		b.tune.Beside = 1 // as a worker has it
	}
	return b, errors.Join(errs...)
}

func (b *bench) gpu() bool { return b.runtime.Provider != "cpu" }

// choose lists the settings to try. Whatever a worker derives from rows and lanes, it is asked for.
func (b *bench) choose(f *benchFlags, models []worker.ModelPath) error {
	cores := runtime.GOMAXPROCS(0)
	rows, lanes := []int{1, 2, 4}, []int{cores, max(1, cores/2)}
	if b.gpu() {
		rows, lanes = []int{1, 2, 4, 8, 16, 32}, []int{1}
	}
	for _, list := range []struct {
		flag, value string
		into        *[]int
	}{{"--rows", f.rows, &rows}, {"--lanes", f.lanes, &lanes}} {
		if list.value == "" {
			continue
		}
		var err error
		if *list.into, err = parseInts(list.value); err != nil || len(*list.into) == 0 || slices.Min(*list.into) < 1 {
			return fmt.Errorf("%s is %q: must be whole numbers from 1 on, comma-separated", list.flag, list.value)
		}
	}
	if len(models) == 0 {
		return nil // told already
	}
	for _, l := range distinct(lanes) {
		for _, r := range distinct(rows) {
			c, err := worker.Config{Models: models, Runtime: f.runtime, MaxRows: r, Lanes: l}.Normalize()
			if err != nil {
				return err
			}
			b.settings = append(b.settings, tune.Setting{Rows: r, Lanes: l, Threads: c.Runtime.Threads})
			b.shapes[r] = c.RowShapes
			b.runtime.MaxRows = max(b.runtime.MaxRows, r)
		}
	}
	return nil
}

func distinct(v []int) []int { return slices.Compact(slices.Sorted(slices.Values(v))) }

// run loads the model, tries the settings, and prints what came of it.
func (b *bench) run(ctx context.Context, stdout io.Writer, asJSON bool) (err error) {
	rt, err := ort.Open(b.runtime)
	if err != nil {
		return config(err)
	}
	defer func() { err = errors.Join(err, rt.Close()) }()
	pipelines := map[int]*ort.Pipeline{}
	defer func() {
		for _, p := range pipelines {
			err = errors.Join(err, p.Close())
		}
	}()
	cfg := b.tune
	var request infer.Request
	var digest string
	cfg.Load = func(ctx context.Context, threads int) (tune.Model, error) {
		p, err := rt.WithThreads(threads).Load(ctx, b.model.Dir)
		if err != nil {
			return tune.Model{}, config(fmt.Errorf("model %s: %w", b.model.Name, err))
		}
		pipelines[threads] = p
		if request, err = b.complete(p); err != nil {
			return tune.Model{}, config(err)
		}
		digest = p.Digest()
		return tune.Model{Model: p, Request: request, Bare: func(width, height, rows int) (tune.Bare, error) { return p.Bare(width, height, rows) }}, nil
	}
	results, err := tune.Run(ctx, b.settings, cfg)
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted: %w", context.Cause(ctx))
	}
	if err != nil {
		return err
	}
	r := b.report(request, results)
	r.Digest, r.Runtime = digest, rt.Version()
	if asJSON {
		err = r.writeJSON(stdout)
	} else {
		err = r.writeTable(stdout)
	}
	if err == nil && r.Best == nil {
		err = errors.New("no setting works")
	}
	return err
}

// complete fills in what the flags leave to the model.
func (b *bench) complete(p *ort.Pipeline) (infer.Request, error) {
	r, info, own := b.request, p.Info(), p.Defaults()
	r.Prompt, r.NegativePrompt = "a photograph of an astronaut riding a horse, number", "blurry"
	r.Width, r.Height = cmp.Or(r.Width, info.Width), cmp.Or(r.Height, info.Height)
	r.Steps = cmp.Or(r.Steps, own.Steps, worker.DefaultSteps)
	switch {
	case b.guided:
	case own.Guidance != nil:
		r.Guidance = *own.Guidance
	default:
		r.Guidance = worker.DefaultGuidance
	}
	return r, infer.Validate(r, info, infer.Limits{MaxPixels: r.Width * r.Height})
}
