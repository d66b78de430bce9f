package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/stipple-ai/stipple/internal/batch"
	"github.com/stipple-ai/stipple/internal/buildinfo"
	"github.com/stipple-ai/stipple/internal/flagenv"
	"github.com/stipple-ai/stipple/internal/manual"
	"github.com/stipple-ai/stipple/internal/otel"
	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/terminal"
)

// Exit codes.
const (
	exitOK          = 0
	exitFailed      = 1   // something broke
	exitInput       = 2   // bad flags or rows, an unknown model; or a job that failed
	exitCancelled   = 3   // no job failed, and some were cancelled
	exitGone        = 4   // results are gone, and the counts come from elsewhere
	exitInterrupted = 130 // by a signal, as shells count it
)

// inputError is something the caller has to mend. Nothing was sent.
type inputError struct{ error }

func (e inputError) Unwrap() error { return e.error }

// input marks err, if it is one, as the caller's.
func input(err error) error {
	if err == nil {
		return nil
	}
	return inputError{err}
}

// What a batch that was waited for came to, where not every job succeeded.
var (
	errJobsFailed    = errors.New("jobs failed")
	errJobsCancelled = errors.New("jobs were cancelled")
	errGone          = errors.New("results are gone")
	errInterrupted   = errors.New("interrupted")
)

// exitCode is where all errors come home.
func exitCode(err error) int {
	_, mine := errors.AsType[inputError](err)
	_, setting := errors.AsType[*queue.ConfigError](err)
	_, row := errors.AsType[*batch.RowError](err)
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errGone):
		return exitGone
	case mine, setting, row, errors.Is(err, batch.ErrRowsDiffer), errors.Is(err, errJobsFailed):
		return exitInput
	case errors.Is(err, batch.ErrCancelled), errors.Is(err, errJobsCancelled):
		return exitCancelled
	case errors.Is(err, errInterrupted):
		return exitInterrupted
	}
	return exitFailed
}

// app is what the commands share: the process's surroundings.
type app struct {
	args   []string
	getenv func(string) string
	stdin  io.Reader
	stdout io.Writer
	stderr *console
	width  int            // of the terminal that standard output is; 0 if it is none
	style  terminal.Style // of standard output

	logLevel string
}

// run is the whole program: it returns what main makes the exit code from.
func run(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) error {
	console := newConsole(stderr)
	out := console.beside(stdout)
	a := &app{args: args, getenv: getenv, stdin: stdin, stdout: out, stderr: console, width: terminal.Width(stdout), style: terminal.StyleOf(stdout, getenv)}
	root := a.command()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(out)
	root.SetErr(a.stderr)
	return out.check(root.ExecuteContext(ctx))
}

// command is the root: it enqueues, and knows the other commands.
func (a *app) command() *cobra.Command {
	root := a.enqueueCommand()
	root.Version = buildinfo.Read().String()
	root.SilenceErrors, root.SilenceUsage = true, true
	root.Annotations = map[string]string{manual.Completes: completes}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return input(fmt.Errorf("%w (`%s -h` lists the flags)", err, cmd.CommandPath()))
	})
	root.AddCommand(a.waitCommand(), a.statusCommand(), a.watchCommand(), a.cancelCommand(), a.retryCommand(), a.dlqCommand(),
		a.pauseCommand(), a.resumeCommand(), a.pruneCommand(), a.repairCommand(), a.setupCommand())
	root.AddCommand(a.explainCommand(), a.verifyCommand(), a.gridCommand(), a.serveCommand())
	a.finish(root)
	a.completions().Complete(root)
	manual.Install(root, manual.Options{Getenv: a.getenv, Version: version(), Width: a.width, Invalid: input})
	return root
}

// finish gives a command and those below it what all have.
func (a *app) finish(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		a.finish(sub)
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&a.logLevel, "log-level", "warn", "debug, info, warn or error; the log goes to standard error")
	flagenv.Describe(cmd.Flags())
	begin := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := flagenv.Apply(cmd.Flags(), a.getenv); err != nil {
			return input(err)
		}
		return begin(cmd, args)
	}
}

// logger writes to standard error, around the progress bar.
func (a *app) logger() (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(a.logLevel)); err != nil {
		return nil, input(fmt.Errorf("LOG_LEVEL (--log-level) is %q: must be debug, info, warn or error", a.logLevel))
	}
	return slog.New(otel.LogHandler(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: level}))), nil
}

// version is that of the build, as telemetry tells it.
func version() string { return buildinfo.Read().Version }
