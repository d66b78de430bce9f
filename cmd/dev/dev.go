package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stipple-ai/stipple/internal/queue"
)

// runDev is `dev`: it runs until ctx ends, which is no error.
func runDev(ctx context.Context, p process, c *config) (err error) {
	release, err := lockDir(c.data)
	if err != nil {
		return configError(err)
	}
	defer func() { err = errors.Join(err, release()) }()
	switch err := c.fetch(ctx, p.stderr); {
	case errors.Is(err, errInterrupted):
		return nil
	case err != nil:
		return err
	}
	s, err := startServices(c.data, c.at, c.log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()

	client, err := s.connect(ctx, "stipple dev", c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close(context.WithoutCancel(ctx))) }()
	shown, err := showPage(ctx, s, c, c.page)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, shown.leave()) }()
	earlier, err := lastResult(ctx, s.nats.URL(), client.Names().ResultsStream())
	if err != nil {
		return err
	}

	w, alive := startWorker(ctx, c.workerConfig(s))
	watched := watch(alive, p, c, s, client, earlier, shown.url)
	fmt.Fprintln(p.stderr, "stopping")
	switch broken := w.leave(); {
	case broken != nil:
		return broken // why the watching ended
	case ctx.Err() != nil:
		return nil
	}
	return watched
}

// watch says what enqueue has to be told once the worker is ready, and then logs every picture, until ctx ends.
func watch(ctx context.Context, p process, c *config, s *services, client *queue.Client, earlier uint64, url string) error {
	for _, m := range c.served {
		fmt.Fprintf(p.stderr, "loading %s\n", m.Name)
		if _, err := awaitModel(ctx, client, m.Name); err != nil {
			return err
		}
	}
	hint(p.stdout, s, c, url)
	log := slog.New(slog.NewTextHandler(p.stderr, nil))
	for r, err := range client.FollowResults(ctx, "*", earlier) {
		if err != nil {
			return err
		}
		logResult(ctx, log, c.data, r.Result)
	}
	return context.Cause(ctx)
}

// lastResult is the sequence of the last result that earlier runs have left in the stream, 0 for none.
func lastResult(ctx context.Context, url, stream string) (uint64, error) {
	nc, err := nats.Connect(url)
	if err != nil {
		return 0, fmt.Errorf("connecting to the broker: %w", err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return 0, fmt.Errorf("connecting to the broker: %w", err)
	}
	results, err := js.Stream(ctx, stream)
	if err != nil {
		return 0, fmt.Errorf("looking at stream %s: %w", stream, err)
	}
	return results.CachedInfo().State.LastSeq, nil
}

// hint writes what to type in another terminal.
func hint(w io.Writer, s *services, c *config, url string) {
	fmt.Fprintln(w, "\n# Ready. In another terminal:")
	for _, v := range s.environment() {
		fmt.Fprintf(w, "export %s=%s\n", v.name, v.value)
	}
	fmt.Fprintf(w, `bin/enqueue --wait --out pictures "a red apple on a blue background"
bin/enqueue --wait --seeds 1..8 "a fox on a teal background"

# Pictures lie in %s, by batch. Ctrl-C ends everything; what is in the queue stays there.

`, filepath.Join(c.data, "s3", bucket))
	if url != "" {
		fmt.Fprintf(w, "# Or watch all of it, and ask for pictures, in a browser: %s\n\n", url)
	}
}

// logResult logs what became of a job.
func logResult(ctx context.Context, log *slog.Logger, data string, r queue.Result) {
	attrs := []slog.Attr{slog.String("status", r.Status), slog.String("id", r.Identity().String()), slog.String("trace_id", r.TraceID)}
	level := slog.LevelInfo
	if r.Image != nil && r.Timings != nil {
		attrs = append(attrs,
			slog.Duration("took", time.Duration(r.Timings.Total).Round(time.Millisecond)),
			slog.Duration("queued", time.Duration(r.Timings.Queue).Round(time.Millisecond)),
			slog.String("file", filepath.Join(data, "s3", r.Image.Bucket, filepath.FromSlash(r.Image.Key))))
	}
	if r.Error != nil {
		level = slog.LevelError
		attrs = append(attrs, slog.String("error.type", r.Error.Type), slog.String("error", r.Error.Message))
	}
	log.LogAttrs(ctx, level, "job", attrs...)
}
