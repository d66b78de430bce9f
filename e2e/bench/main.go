// Bench measures whole workers beside each other: one of ours, and as many Python workers as there are cores, in
// turns within one run, on the same broker, bucket, jobs and cores. Machines are noisy, so only the ratios carry over.
//
//	go run ./e2e/bench --peer DIR --python DIR/venv/bin/python --model models/tiny-emoji --steps 20 --images 40
//
// DIR holds a worker.py that reads NATS_URL, NATS_STREAM, NATS_SUBJECT, NATS_CONSUMER, MODEL_DIR, PRELOAD, S3_BUCKET and ORT_THREADS. Without --peer only ours is measured.
//
// With --telemetry ours is measured beside itself: exporting nothing, exporting to a collector, and to one that accepts connections and never answers.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"github.com/stipple-ai/stipple/internal/local/natsd"
	"github.com/stipple-ai/stipple/internal/local/s3d"
)

type options struct {
	worker, peer, python, model string
	steps, images, rounds       int
	peers                       int
	guidance                    float64
	telemetry                   bool
	stderr                      io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// command reads the flags and measures; what the workers say goes to stderr.
func command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o := options{stderr: stderr}
	fs := pflag.NewFlagSet("bench", pflag.ContinueOnError)
	fs.StringVar(&o.worker, "worker", "bin/worker", "our worker")
	fs.StringVar(&o.peer, "peer", "", "folder of the Python worker")
	fs.StringVar(&o.python, "python", "python3", "its interpreter, with its requirements installed")
	fs.StringVar(&o.model, "model", "models/tiny-emoji", "pipeline folder")
	fs.IntVar(&o.steps, "steps", 20, "num_inference_steps")
	fs.Float64Var(&o.guidance, "guidance-scale", 5, "guidance_scale")
	fs.IntVar(&o.images, "images", 40, "images a round")
	fs.IntVar(&o.rounds, "rounds", 3, "rounds of each")
	fs.IntVar(&o.peers, "peers", runtime.NumCPU(), "Python workers")
	fs.BoolVar(&o.telemetry, "telemetry", false, "measure ours with and without telemetry")
	if err := fs.Parse(args); err != nil {
		return err
	}
	for _, path := range []*string{&o.worker, &o.model, &o.peer} { // the store changes the working directory
		if *path == "" {
			continue
		}
		abs, err := filepath.Abs(*path)
		if err != nil {
			return err
		}
		*path = abs
	}
	return run(ctx, o, stdout)
}

func run(ctx context.Context, o options, stdout io.Writer) (err error) {
	broker, err := natsd.Start(natsd.Options{Port: -1})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, broker.Stop()) }()
	store, err := s3d.Start(s3d.Options{AccessKey: "bench", SecretKey: "bench-secret", Buckets: []string{bucket}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Stop()) }()
	env := append(os.Environ(), "NATS_URL="+broker.URL(), "AWS_ENDPOINT_URL="+store.Endpoint(), "AWS_ACCESS_KEY_ID=bench", "AWS_SECRET_ACCESS_KEY=bench-secret",
		"AWS_REGION=us-east-1", "S3_BUCKET="+bucket, "ORT_DISABLE_TELEMETRY=1")
	q, err := open(ctx, broker.URL())
	if err != nil {
		return err
	}
	defer q.nc.Close()

	rivals := []rival{{name: "stipple, 1 worker", start: func() kind { return ourWorker(ctx, o, env) }}}
	if o.telemetry {
		collectors, failed := startCollectors()
		if failed != nil {
			return failed
		}
		defer func() { err = errors.Join(err, collectors.stop()) }()
		for _, c := range collectors {
			rivals = append(rivals, rival{name: c.name, start: func() kind { return ourWorker(ctx, o, append(slices.Clone(env), c.env()...)) }})
		}
	}
	if o.peer != "" {
		rivals = append(rivals, rival{name: fmt.Sprintf("Python, %d workers", o.peers), start: func() kind { return peerWorkers(ctx, o, env) }})
	}
	for round := range o.rounds {
		for i := range rivals {
			r := &rivals[(round+i)%len(rivals)] // nobody is always the first
			f, err := q.measure(ctx, o, r.start(), fmt.Sprintf("round-%d-%d", round, i))
			if err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			r.rounds = append(r.rounds, f)
		}
	}
	return report(stdout, o, rivals)
}

// rival is one of those that take turns; the others are compared with the first.
type rival struct {
	name   string
	start  func() kind
	rounds []figures
}

// figures are what one round of one kind of worker showed.
type figures struct {
	rate  float64       // images a second, from the first to the last
	first time.Duration // from the start of the process to the first image acknowledged
	cpu   time.Duration // of the cores, an image, of all its processes: tells more than the rate where other programs run
	rss   int64         // peak resident bytes, of all its processes
}

// report prints medians and their ratios.
func report(stdout io.Writer, o options, rivals []rival) error {
	w := tabwriter.NewWriter(stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "%s, %d steps, %d images, %d rounds, %d cores\timages/s\tCPU an image\tfirst image\tpeak RSS\n", filepath.Base(o.model), o.steps, o.images, o.rounds, runtime.NumCPU())
	a := median(rivals[0].rounds)
	for i, r := range rivals {
		b := median(r.rounds)
		fmt.Fprintf(w, "%s\t%.2f\t%.1f ms\t%.2f s\t%d MiB\n", r.name, b.rate, ms(b.cpu), b.first.Seconds(), b.rss>>20)
		if i > 0 {
			fmt.Fprintf(w, "  the first ÷ this\t%.2f\t%.2f\t%.2f\t%.2f\n", a.rate/b.rate, a.cpu.Seconds()/b.cpu.Seconds(), a.first.Seconds()/b.first.Seconds(), float64(a.rss)/float64(b.rss))
		}
	}
	return w.Flush()
}

func ms(d time.Duration) float64 { return 1000 * d.Seconds() }

// median takes each figure's own.
func median(all []figures) figures {
	pick := func(of func(figures) float64) float64 {
		v := make([]float64, len(all))
		for i, f := range all {
			v[i] = of(f)
		}
		slices.Sort(v)
		return v[len(v)/2]
	}
	return figures{
		rate:  pick(func(f figures) float64 { return f.rate }),
		cpu:   time.Duration(pick(func(f figures) float64 { return float64(f.cpu) })),
		first: time.Duration(pick(func(f figures) float64 { return float64(f.first) })),
		rss:   int64(pick(func(f figures) float64 { return float64(f.rss) })),
	}
}
