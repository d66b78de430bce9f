// Dev runs everything stipple needs in one process, for trying it out: a broker, a store, a collector and a worker with the small model.
//
//	dev         keeps them running and prints what enqueue needs to know
//	dev demo    has 24 pictures drawn, writes them with their traces as a web page, and ends
//
// Every setting is a flag with an environment variable behind it: dev -h, dev demo -h. Nothing of this is linked into the worker.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/stipple-ai/stipple/internal/buildinfo"
	"github.com/stipple-ai/stipple/internal/flagenv"
	"github.com/stipple-ai/stipple/internal/manual"
	"github.com/stipple-ai/stipple/internal/terminal"
	"github.com/stipple-ai/stipple/internal/worker"
)

// process is what a command sees of the process it runs in.
type process struct {
	args   []string // without the program's name
	getenv func(string) string
	stdout io.Writer
	stderr io.Writer
	width  int // of the terminal that stderr is, in characters; 0 if it is none
}

func main() {
	ctx, forget := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, forget) // a second signal ends the process at once
	p := process{args: os.Args[1:], getenv: os.Getenv, stdout: os.Stdout, stderr: os.Stderr}
	if fd := int(os.Stderr.Fd()); term.IsTerminal(fd) && os.Getenv("TERM") != "dumb" {
		p.width = 80
		if w, _, err := term.GetSize(fd); err == nil {
			p.width = w
		}
	}
	os.Exit(run(ctx, p))
}

// forgetStores hides from the AWS SDK what environment and files say of other stores than the one here, such as a
// profile that does not exist or an endpoint for everything. Only models at s3:// may come from those.
func forgetStores() error {
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "AWS_") {
			if err := os.Unsetenv(name); err != nil {
				return err
			}
		}
	}
	return errors.Join(os.Setenv("AWS_CONFIG_FILE", os.DevNull), os.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull))
}

// Exit codes.
const (
	exitBroken      = 1   // it ran, and something broke
	exitConfig      = 2   // it was told something that cannot work; nothing was started
	exitInterrupted = 130 // a signal came before the demo was done
)

// errInterrupted says that a signal came before the demo was done.
var errInterrupted = errors.New("interrupted")

// run is main without the process: it returns the exit code.
func run(ctx context.Context, p process) int {
	cmd := program(p)
	cmd.SetArgs(p.args)
	cmd.SetOut(p.stdout)
	cmd.SetErr(p.stderr)
	err := cmd.ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errInterrupted):
		return exitInterrupted
	}
	fmt.Fprintf(p.stderr, "dev: %v\n", err) // stderr is the last place to say anything
	if _, told := errors.AsType[*worker.ConfigError](err); told {
		return exitConfig
	}
	return exitBroken
}

// program is `dev` with what is below it.
func program(p process) *cobra.Command {
	cmd := devCommand(p)
	cmd.Version = buildinfo.Read().String()
	cmd.AddCommand(demoCommand(p))
	completions().Complete(cmd)
	manual.Install(cmd, manual.Options{Getenv: p.getenv, Version: buildinfo.Read().Version, Width: terminal.Width(p.stdout), Invalid: configError})
	return cmd
}

// devCommand is `dev`.
func devCommand(p process) *cobra.Command {
	var c config
	cmd := command(p, &c, cobra.NoArgs, func(ctx context.Context, _ []string) error { return runDev(ctx, p, &c) })
	cmd.Use, cmd.Short, cmd.Long = "dev", "Run a broker, a store, a collector and a worker in one process", devManual
	fs := cmd.Flags()
	fs.StringVar(&c.data, "data", ".dev", "folder for the data of broker and store; pictures lie in it as plain files")
	flagenv.Bind(fs, "data", "DEV_DATA")
	fs.StringVar(&c.at.nats, "nats-addr", "127.0.0.1:4222", "address of the broker")
	fs.StringVar(&c.at.s3, "s3-addr", "127.0.0.1:9000", "address of the store")
	fs.StringVar(&c.at.otlp, "otlp-addr", "127.0.0.1:4318", "address of the collector")
	fs.StringVar(&c.http, "http-addr", "127.0.0.1:9090", "address of the worker's /healthz, /readyz and /metrics; empty for none")
	fs.StringVar(&c.page, "page-addr", "127.0.0.1:8081", "address of the page; it can submit and cancel where only this machine reaches it; empty for none")
	c.define(fs)
	flagenv.Describe(fs)
	return cmd
}

// demoCommand is `dev demo`.
func demoCommand(p process) *cobra.Command {
	var c config
	cmd := command(p, &c, cobra.ArbitraryArgs, func(ctx context.Context, prompts []string) error { return runDemo(ctx, p, &c, prompts) })
	cmd.Use, cmd.Short, cmd.Long = "demo [PROMPT…]", "Have pictures drawn, show them with their traces, and end", demoManual
	fs := cmd.Flags()
	fs.StringVarP(&c.out, "out", "o", "demo", "folder for the pictures, the contact sheet and the page; an earlier demo in it is replaced")
	flagenv.Bind(fs, "out", "DEMO_OUT")
	fs.BoolVar(&c.json, "json", false, "print the outcome as a JSON line")
	flagenv.Bind(fs, "json", "DEMO_JSON")
	c.define(fs)
	flagenv.Describe(fs)
	return cmd
}

// command is what both have in common. Whatever is wrong with flags and arguments is a ConfigError.
func command(p process, c *config, args cobra.PositionalArgs, start func(ctx context.Context, args []string) error) *cobra.Command {
	cmd := &cobra.Command{
		Args:          func(cmd *cobra.Command, given []string) error { return configError(args(cmd, given)) },
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, given []string) error {
			if err := flagenv.Apply(cmd.Flags(), p.getenv); err != nil {
				return configError(err)
			}
			if err := c.finish(p.stderr); err != nil {
				return configError(err)
			}
			return start(cmd.Context(), given)
		},
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return configError(fmt.Errorf("%w (%s -h lists the flags)", err, cmd.CommandPath()))
	})
	cmd.Flags().SortFlags = false
	return cmd
}

func configError(err error) error {
	if err == nil {
		return nil
	}
	return &worker.ConfigError{Err: err}
}

const (
	devManual = `Dev runs what stipple needs in one process: a broker (NATS JetStream), a store (S3), a collector (OTLP) that keeps
spans, a worker with the small model, and the page that shows all of it. It prints where the page is and what enqueue
has to be told, logs every picture with its trace, and runs until Ctrl-C; then the worker finishes what it holds and
everything stops. A second Ctrl-C ends it at once.

  dev --data /tmp/stipple --lanes 1
  dev --models models/tiny-emoji,sd15=/models/sd15
  dev --models hf://org/repo@revision

A model that is a URL is downloaded first, once, as a worker does it (docs/models.md).

Every flag has an environment variable, named in brackets; the flag wins. AWS_* variables are for models at s3:// alone:
the store of the pictures is its own.

Exit codes: 0 ended by a signal, 1 something broke, 2 bad flags, or no model.`

	demoManual = `Demo starts the same servers on free ports with their data in a temporary folder, has a picture drawn for each PROMPT
(24 of its own without any), writes the pictures as they were stored, a contact sheet and a web page with the trace of
each, stops everything, and ends.

  dev demo
  dev demo "a red apple on a blue background" --out apple

With --json it prints one line:
  {"type":"demo","pictures","failed","seconds","total_seconds","page","images"}

Every flag has an environment variable, named in brackets; the flag wins.

Exit codes: 0 all pictures were drawn, 1 something broke, or a job failed, 2 bad flags, or no model, 130 interrupted.`
)
