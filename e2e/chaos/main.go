// Chaos holds the promise "nothing lost, nothing twice" under fire: real brokers, a real store and several workers draw jobs while a seeded plan of faults kills, freezes and
// cuts them off. It prints one line of figures and ends with exit code 1 if anything was lost, doubled or wrong: docs/chaos.md.
//
//	make chaos CHAOS='--jobs 60 --faults 12 --seed 7'
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/pflag"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := command(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Exit codes.
const (
	exitGood   = 0
	exitBad    = 1 // something was lost, doubled or wrong, or the run came to no end
	exitConfig = 2
)

// options are the flags.
type options struct {
	jobs, faults, workers int
	seed                  uint64
	kinds                 []kind
	ackWait, limit        time.Duration
	cluster, keep         bool
	dir                   string

	bin, natsServer, store, storeServer, library, model string
}

// program is the path of a program that was built.
func (o options) program(name string) string { return filepath.Join(o.bin, name) }

// command is main without the process; it returns the exit code.
func command(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	o, err := parse(args, getenv, stdout)
	if errors.Is(err, pflag.ErrHelp) {
		return exitGood
	}
	if err != nil {
		fmt.Fprintln(stderr, "chaos:", err)
		return exitConfig
	}
	log, err := os.Create(filepath.Join(o.dir, "chaos.log"))
	if err != nil {
		fmt.Fprintln(stderr, "chaos:", err)
		return exitConfig
	}
	f, err := run(ctx, o, slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		fmt.Fprintln(stderr, "chaos:", err)
	} else {
		fmt.Fprintln(stdout, f.line(o))
	}
	err = errors.Join(err, log.Close())
	return o.finish(f, err, stderr)
}

// finish keeps the folder of a run that was not good, and says where it is.
func (o options) finish(f figures, err error, stderr io.Writer) int {
	for i, problem := range f.problems {
		if i == 20 {
			fmt.Fprintf(stderr, "chaos: and %d more\n", len(f.problems)-i)
			break
		}
		fmt.Fprintln(stderr, "chaos:", problem)
	}
	good := err == nil && f.good()
	if !good || o.keep {
		fmt.Fprintf(stderr, "chaos: the plan, data and the logs of all processes are kept in %s\n", o.dir)
	} else if err := os.RemoveAll(o.dir); err != nil {
		fmt.Fprintln(stderr, "chaos:", err)
	}
	if !good {
		return exitBad
	}
	return exitGood
}

// parse reads the flags; each has an environment variable behind it. It makes the folder of the run.
func parse(args []string, getenv func(string) string, stdout io.Writer) (o options, err error) {
	fs := pflag.NewFlagSet("chaos", pflag.ContinueOnError)
	fs.SortFlags = false
	fs.SetOutput(stdout)
	fs.IntVar(&o.jobs, "jobs", 1000, "jobs to draw, twice: undisturbed, and under the faults")
	fs.IntVar(&o.faults, "faults", 114, "faults; a multiple of the number of kinds has as many of each")
	fs.IntVar(&o.workers, "workers", 3, "workers")
	fs.Uint64Var(&o.seed, "seed", 1, "of jobs and plan: the same seed is the same plan")
	kinds := fs.String("kinds", "", "kinds of faults, between commas; default all: "+joined(allKinds()))
	fs.BoolVar(&o.cluster, "cluster", false, "three brokers, every stream on all of them, and their leaders are killed")
	fs.DurationVar(&o.ackWait, "ack-wait", 2*time.Second, "lease of a job")
	fs.DurationVar(&o.limit, "limit", 30*time.Minute, "longest time of the whole run; what is not done then is lost")
	fs.StringVar(&o.store, "store", "minio", "minio or versitygw")
	fs.StringVar(&o.dir, "dir", "", "folder for data and logs; default a temporary one")
	fs.BoolVar(&o.keep, "keep", false, "keep the folder of a good run, too")
	fs.StringVar(&o.bin, "bin", "bin", "folder of the programs worker and enqueue")
	fs.StringVar(&o.natsServer, "nats-server", "nats-server", "program of the broker")
	fs.StringVar(&o.storeServer, "store-server", "", "program of the store; default the name of --store")
	fs.StringVar(&o.library, "onnxruntime-lib", "", "ONNX Runtime's library")
	fs.StringVar(&o.model, "model", "testdata/pipelines/sd15", "folder of the golden pipeline")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("%q: flags alone are taken", fs.Arg(0))
	}
	if o.library == "" {
		o.library = getenv("ONNXRUNTIME_LIB")
	}
	if o.jobs < 1 || o.faults < 0 || o.workers < 1 || o.ackWait < time.Second {
		return o, errors.New("--jobs and --workers must be at least 1, --faults at least 0, --ack-wait at least 1s")
	}
	if o.kinds, err = parseKinds(*kinds); err != nil {
		return o, err
	}
	return o, o.places()
}

// places makes the paths absolute, since servers run in the folder of the run.
func (o *options) places() (err error) {
	if o.storeServer == "" {
		o.storeServer = o.store
	}
	if o.dir == "" {
		o.dir, err = os.MkdirTemp("", "stipple-chaos-")
	} else {
		err = os.MkdirAll(o.dir, 0o755)
	}
	if err != nil {
		return err
	}
	for _, path := range []*string{&o.bin, &o.model, &o.dir, &o.library} {
		if *path == "" {
			return errors.New("--onnxruntime-lib (ONNXRUNTIME_LIB): name the library; `make chaos` does")
		}
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	return nil
}
