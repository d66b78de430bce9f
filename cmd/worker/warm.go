package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/stipple-ai/stipple/internal/flagenv"
	"github.com/stipple-ai/stipple/internal/infer/ort"
	"github.com/stipple-ai/stipple/internal/modelflags"
	"github.com/stipple-ai/stipple/internal/worker"
)

const warmManual = `Warm does what a worker does before it is ready, and ends: it downloads models that are URLs into the cache, checks them, loads them, and
draws one step in every row shape. With PROVIDER=tensorrt that builds the engines, which takes minutes and is kept for the next start of any worker
with the same model, card, driver and shapes. It connects to no queue and no store of pictures. Run it while an image is built, in an init
container, or before a machine takes traffic.

  worker warm --models hf://org/repo@revision
  worker warm --models hf://org/repo@revision --download
  worker warm --models sdxl=/models/sdxl --provider tensorrt --max-rows 16

With --json it prints a line for each model, in which what is not known is left out:
  {"type":"warmed","model","digest","dir","rows":[…],"provider","seconds"}

Exit codes: 0 warm, 1 something broke, 2 a setting, a library or a model that cannot work.`

// warmFlags are those of `worker warm`, by the names of the worker's.
type warmFlags struct {
	models, arena, rowShapes string
	logLevel, logFormat      string
	download, json           bool
	config                   worker.Config
	sources                  modelflags.Sources
	provider                 providerFlags
}

func (f *warmFlags) define(fs *pflag.FlagSet) {
	fs.StringVar(&f.models, "models", "", "pipelines, as a worker takes them: folders, hf://org/repo@revision, s3://bucket/prefix or https://")
	f.sources.Define(fs)
	fs.BoolVar(&f.download, "download", false, "download and check alone, load nothing: for machines without the worker's GPU")
	flagenv.Bind(fs, "download", "WARM_DOWNLOAD")
	fs.BoolVar(&f.json, "json", false, "print a JSON line for each model")
	flagenv.Bind(fs, "json", "WARM_JSON")
	defineRuntime(fs, &f.config.Runtime, &f.arena)
	f.provider.define(fs)
	fs.IntVar(&f.config.Runtime.Threads, "threads", 0, "threads of one call on the CPU")
	fs.IntVar(&f.config.MaxRows, "max-rows", 0, "most UNet rows in one call, as the worker will have it")
	fs.StringVar(&f.rowShapes, "row-shapes", "", "row counts that calls are padded to, as the worker will have them")
	fs.IntVar(&f.config.Lanes, "lanes", 0, "UNet calls at once, as the worker will have it")
	fs.StringVar(&f.logLevel, "log-level", "info", "debug, info, warn or error")
	fs.StringVar(&f.logFormat, "log-format", "text", "json or text; the log goes to standard error")
}

// warmCommand is `worker warm`. forget makes the next signal end the process, as it must while a provider compiles a model.
func warmCommand(forget func(), getenv func(string) string) *cobra.Command {
	f := &warmFlags{}
	cmd := &cobra.Command{
		Use:   "warm [flags]",
		Short: "Download, check and load models, and build what the provider keeps of them",
		Long:  warmManual,
		Args:  func(cmd *cobra.Command, args []string) error { return config(cobra.NoArgs(cmd, args)) },
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := flagenv.Apply(cmd.Flags(), getenv); err != nil {
				return config(err)
			}
			defer context.AfterFunc(cmd.Context(), forget)()
			return f.run(cmd)
		},
	}
	cmd.Flags().SortFlags = false
	f.define(cmd.Flags())
	flagenv.Describe(cmd.Flags())
	return cmd
}

// finish judges the flags.
func (f *warmFlags) finish() (c worker.Config, fellBack error, err error) {
	c = f.config
	var errs []error
	c.Models, err = worker.ParseModels(f.models)
	errs = append(errs, err)
	if c.RowShapes, err = parseInts(f.rowShapes); err != nil {
		errs = append(errs, fmt.Errorf("ROW_SHAPES (--row-shapes) is %q: must be whole numbers, comma-separated", f.rowShapes))
	}
	if c.Runtime.ArenaLimit, err = parseBytes(f.arena); err != nil {
		errs = append(errs, fmt.Errorf("ARENA_LIMIT (--arena-limit) is %q: %w", f.arena, err))
	}
	fellBack, err = f.provider.apply(&c.Runtime)
	if err = errors.Join(append(errs, err)...); err != nil {
		return c, nil, err
	}
	c, err = c.Normalize()
	return c, fellBack, err
}

func (f *warmFlags) run(cmd *cobra.Command) error {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	logger, err := (&settings{logLevel: f.logLevel, logFormat: f.logFormat}).logger(cmd.ErrOrStderr())
	if err != nil {
		return config(err)
	}
	c, fellBack, err := f.finish()
	if err != nil {
		return config(err)
	}
	if fellBack != nil {
		logger.Warn("the provider cannot work: the CPU is used", errorAttr(fellBack))
	}
	c.Logger, c.Runtime.Logger, c.Version = logger, logger, version()
	if !f.download {
		if err := ort.Check(c.Runtime); err != nil { // before a download that it would have no use for
			return config(err)
		}
	}
	if c.Models, err = f.sources.Fetch(ctx, c.Models, logger, cmd.ErrOrStderr()); err != nil {
		return interrupted(ctx, config(err))
	}
	if f.download {
		for _, m := range c.Models {
			begin := time.Now()
			digest, err := ort.Verify(ctx, m.Dir)
			if err != nil {
				return interrupted(ctx, config(fmt.Errorf("model %s: %w", m.Name, err)))
			}
			if err := f.tell(out, warmed{Model: m.Name, Digest: digest, Dir: m.Dir}, time.Since(begin)); err != nil {
				return err
			}
		}
		return nil
	}
	var told error
	err = worker.Warm(ctx, c, func(m worker.Warmed, took time.Duration) {
		told = errors.Join(told, f.tell(out, warmed{Model: m.Name, Digest: m.Digest, Rows: m.Rows, Provider: c.Runtime.Provider}, took))
	})
	return errors.Join(interrupted(ctx, err), told)
}

// interrupted is err, or that ctx has ended, which explains any.
func interrupted(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	return errors.New("interrupted: what was downloaded or built is kept for the next time")
}

// warmed is the line of a model.
type warmed struct {
	Type     string  `json:"type"` // warmed
	Model    string  `json:"model"`
	Digest   string  `json:"digest"`
	Dir      string  `json:"dir,omitempty"`      // of one that was downloaded and checked alone
	Rows     []int   `json:"rows,omitempty"`     // of one that was loaded: its row shapes
	Provider string  `json:"provider,omitempty"` // of the same
	Seconds  float64 `json:"seconds"`
}

// tell tells of a model that is ready.
func (f *warmFlags) tell(out io.Writer, m warmed, took time.Duration) error {
	if m.Type, m.Seconds = "warmed", took.Seconds(); f.json {
		return json.NewEncoder(out).Encode(m)
	}
	took = took.Round(time.Millisecond)
	if m.Dir != "" {
		fmt.Fprintf(out, "%s is whole: digest %.12s, in %s (checked in %v)\n", m.Model, m.Digest, m.Dir, took)
		return nil
	}
	fmt.Fprintf(out, "%s is warm: digest %.12s, rows %s, provider %s, %v\n", m.Model, m.Digest, joinInts(m.Rows), m.Provider, took)
	return nil
}
