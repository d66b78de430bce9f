// The worker pulls text-to-image jobs from NATS JetStream, draws them with ONNX Runtime, and puts the pictures into S3-compatible storage.
//
//	MODELS=models/tiny-emoji S3_BUCKET=images AWS_ENDPOINT_URL=http://127.0.0.1:9000 worker
//
// Every setting is a flag with an environment variable behind it: worker -h. `worker bench` finds the fastest settings for a machine, `worker doctor` what is wrong with the ones it has. On SIGTERM or SIGINT it stops fetching, finishes or hands back what it holds, flushes its
// spans and is gone within --drain-timeout plus --flush-timeout plus half a second; a second signal ends it at once.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/stipple-ai/stipple/internal/flagenv"
	"github.com/stipple-ai/stipple/internal/infer/ort"
	"github.com/stipple-ai/stipple/internal/manual"
	"github.com/stipple-ai/stipple/internal/otel"
	"github.com/stipple-ai/stipple/internal/terminal"
	"github.com/stipple-ai/stipple/internal/worker"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, stop, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Exit codes.
const (
	exitBroken = 1 // it ran, and something broke
	exitConfig = 2 // it was told something that cannot work; nothing was connected
)

// run is main without the process: it returns the exit code. forget makes the next signal end the process.
func run(ctx context.Context, forget func(), args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	code := 0
	cmd := root(func(s *settings) error {
		logger, err := s.logger(stderr)
		if err != nil {
			return &worker.ConfigError{Err: err}
		}
		cfg, err := s.finish()
		if err != nil {
			return &worker.ConfigError{Err: err}
		}
		cfg.Logger, cfg.Getenv, cfg.Version = logger, getenv, version()
		defer context.AfterFunc(ctx, forget)()
		if s.fellBack != nil {
			logger.Warn("the provider cannot work: the CPU is used", errorAttr(s.fellBack))
		}
		if err := ort.Check(cfg.Runtime); err != nil { // before a download that it would have no use for
			return &worker.ConfigError{Err: err}
		}
		if cfg.Models, err = s.sources.Fetch(ctx, cfg.Models, logger, stderr); err != nil {
			if ctx.Err() != nil {
				return nil // told to leave; what was downloaded is there for the next start
			}
			return &worker.ConfigError{Err: err}
		}
		leaving, leave := context.WithCancel(ctx) // also when it was no signal that made it leave
		defer leave()
		cfg.OnLeave = leave
		defer watchdog(leaving, cfg.DrainTimeout+cfg.FlushTimeout, func() {
			logger.Error("not gone in time: ending the process; what it held is delivered again when the leases run out")
			os.Exit(exitBroken)
		})()
		return worker.Run(ctx, cfg)
	}, forget, getenv, terminal.Width(stdout))
	cmd.SetArgs(args)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	if err := cmd.ExecuteContext(ctx); err != nil {
		fmt.Fprintf(stderr, "worker: %v\n", err) // stderr is the last place to say anything
		code = exitBroken
		if _, bad := errors.AsType[*worker.ConfigError](err); bad {
			code = exitConfig
		}
	}
	return code
}

// root is the program: command, the commands below it, and their manuals for a terminal of a width.
func root(start func(*settings) error, forget func(), getenv func(string) string, width int) *cobra.Command {
	cmd := command(start, getenv)
	cmd.AddCommand(benchCommand(forget, getenv), warmCommand(forget, getenv), doctorCommand(forget, getenv), cacheCommand(getenv))
	completions().Complete(cmd)
	manual.Install(cmd, manual.Options{Getenv: getenv, Version: version(), Width: width, Invalid: config})
	return cmd
}

// command is the flags and what to do with them. Whatever is wrong with them is a ConfigError.
func command(start func(*settings) error, getenv func(string) string) *cobra.Command {
	var s *settings
	var tellVersion bool
	cmd := &cobra.Command{
		Use:           "worker",
		Short:         "Draw text-to-image jobs from a queue into a bucket",
		Long:          workerManual,
		Args:          func(cmd *cobra.Command, args []string) error { return config(cobra.NoArgs(cmd, args)) },
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if tellVersion { // first: it works with whatever the other settings are
				fmt.Fprintf(cmd.OutOrStdout(), "worker version %s\n", fullVersion(cmp.Or(s.config.Runtime.Library, getenv("ONNXRUNTIME_LIB"))))
				return nil
			}
			if err := flagenv.Apply(cmd.Flags(), getenv); err != nil {
				return config(err)
			}
			s.config.HTTPOptional = !cmd.Flags().Changed("http-addr")
			return start(s)
		},
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return config(fmt.Errorf("%w (%s -h lists the flags)", err, cmd.CommandPath()))
	})
	cmd.Flags().SortFlags = false
	s = define(cmd.Flags())
	cmd.Flags().BoolVarP(&tellVersion, "version", "v", false, "tell the version, commit, Go and ONNX Runtime, and end")
	flagenv.Describe(cmd.Flags())
	return cmd
}

func config(err error) error {
	if err == nil {
		return nil
	}
	return &worker.ConfigError{Err: err}
}

// watchdog ends the process when a leave takes longer than limit and half a second: a native call that never returns must not keep a pod. The returned function
// calls it off.
func watchdog(leaving context.Context, limit time.Duration, end func()) (stop func()) {
	done := make(chan struct{})
	go func() { // ends with the worker, or the process
		select {
		case <-done:
			return
		case <-leaving.Done():
		}
		select {
		case <-done:
		case <-time.After(limit + 500*time.Millisecond):
			end()
		}
	}()
	return func() { close(done) }
}

func errorAttr(err error) slog.Attr { return slog.Any("error", err) }

func (s *settings) logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(s.logLevel)); err != nil {
		return nil, fmt.Errorf("LOG_LEVEL (--log-level) is %q: must be debug, info, warn or error", s.logLevel)
	}
	o := &slog.HandlerOptions{Level: level}
	switch s.logFormat {
	case "json":
		return slog.New(otel.LogHandler(slog.NewJSONHandler(w, o))), nil
	case "text":
		return slog.New(otel.LogHandler(slog.NewTextHandler(w, o))), nil
	default:
		return nil, fmt.Errorf("LOG_FORMAT (--log-format) is %q: must be json or text", s.logFormat)
	}
}

const workerManual = `The worker pulls text-to-image jobs from NATS JetStream, draws them with ONNX Runtime, puts the pictures into
S3-compatible storage, and acknowledges last: nothing is lost and nothing is drawn twice, whatever is killed meanwhile.

  worker bench --model models/tiny-emoji      # finds the LANES, MAX_ROWS and ROW_SHAPES that are fastest on this machine
  worker warm --models hf://org/repo          # downloads and checks a model, and loads it once
  worker doctor                               # says what is wrong with broker, bucket, model or telemetry, and the mend
  MODELS=models/tiny-emoji S3_BUCKET=images AWS_ENDPOINT_URL=http://127.0.0.1:9000 worker

Every flag has an environment variable, named in brackets; the flag wins. Traces, metrics and logs follow the standard
OTEL_* variables: with no endpoint set nothing is exported. TRACE_PROPAGATION is parent (default), link or ignore;
TRACE_KEEP_ERRORS=true exports the spans of failed jobs whatever the sampler says.

On SIGTERM it stops fetching, finishes or hands back what it holds, flushes its spans and is gone within
--drain-timeout plus --flush-timeout plus half a second. A second signal ends it at once. A job that is handed back in
the middle leaves a checkpoint in the bucket, and the next worker goes on at that step.

Exit codes: 0 left as it was told to, 1 something broke, 2 a setting or a model folder that cannot work.`
