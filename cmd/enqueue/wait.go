package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/stipple-ai/stipple/internal/batch"
	"github.com/stipple-ai/stipple/internal/ops"
	"github.com/stipple-ai/stipple/internal/queue"
)

const waitManual = `Wait shows how far a batch is until every job of it has a result, and downloads the pictures if it is told where to.
It may be begun, interrupted and begun again at any time, from any machine. Jobs that are retried are waited for, too.

  enqueue wait 20260102-150405-abcdefgh
  enqueue wait monday --out pictures
  enqueue wait monday --json

Results are kept for seven days. Once a batch is done, its record keeps the counts; of a batch whose results are gone
wait tells these, or, where nobody waited for it, how many pictures lie in the bucket (S3_BUCKET), and ends with 4.

With --json it prints a line for each result, {"type":"result",…} with the fields of the record, and one at the end:
  {"type":"summary","batch_id":…,"total":…,"succeeded":…,"failed":…,"cancelled":…,"expired":…,"unknown":…,
   "source":"results"|"record"|"bucket","seconds":…,"dir":…}

Exit codes: 0 every job succeeded, 1 something broke, 2 any job failed or ran out of time, 3 any was cancelled,
4 results are gone and the counts come from elsewhere, 130 interrupted.`

// waitFlags are those of `enqueue wait`.
type waitFlags struct {
	broker brokerFlags
	store  downloadFlags
	json   bool
}

func (a *app) waitCommand() *cobra.Command {
	f := &waitFlags{}
	cmd := &cobra.Command{
		Use:   "wait [flags] BATCH",
		Short: "Wait for the results of a batch, and download its pictures",
		Long:  waitManual,
		Args:  exactly(1, "the batch to wait for"),
	}
	fs := cmd.Flags()
	fs.BoolVar(&f.json, "json", false, "print JSON lines: results, then a summary")
	own(fs, "json")
	f.store.define(fs)
	f.broker.define(fs)
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.wait(cmd.Context(), f, args[0]) }
	return cmd
}

// exactly refuses any other number of arguments.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return input(fmt.Errorf("%s takes %s, and got %s (`%s -h` shows how)", cmd.CommandPath(), what, ops.Plural(len(args), "argument"), cmd.CommandPath()))
		}
		return nil
	}
}

// atMost refuses more arguments.
func atMost(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > n {
			return exactly(n, what)(cmd, args)
		}
		return nil
	}
}

func (a *app) wait(ctx context.Context, f *waitFlags, id string) error {
	logger, err := a.logger()
	if err != nil {
		return err
	}
	if err := batch.ValidateID(id); err != nil {
		return input(err)
	}
	if err := f.store.check(f.broker.config.Prefix); err != nil {
		return input(err)
	}
	pictures, err := openDownloads(&f.store, id, logger)
	if err != nil {
		return err
	}
	c, closeClient, err := f.broker.connect(ctx, logger)
	if err != nil {
		return errors.Join(err, pictures.close())
	}
	err = a.follow(ctx, waiting{client: c, batch: id, store: f.store.storeFlags, pictures: pictures, out: a.printer(f.json, nil), logger: logger})
	return errors.Join(err, pictures.close(), closeClient())
}

// waiting is what follow works with.
type waiting struct {
	client   *queue.Client
	batch    string
	store    storeFlags // checked
	pictures *downloads // nil downloads nothing
	out      printer
	logger   *slog.Logger
	again    string // how to go on after an interruption; "" is by enqueue wait
}

// follow waits for the results of a batch. It prints those that are no success, downloads the pictures of the
// others, and returns an error that tells how the batch ended.
func (a *app) follow(ctx context.Context, w waiting) (err error) {
	show := newProgress(a.stderr)
	defer show.end()
	begun := time.Now()
	var last batch.Update
	// What is downloaded is told by the goroutine that did it, after the picture; the rest is told here.
	told := w.pictures.start(func(r queue.Result, file string) { w.out.result(r, file) })
	for u, followErr := range batch.Follow(ctx, w.client, w.batch) {
		if err = followErr; err != nil {
			break
		}
		if last = u; u.Result != nil {
			if err = told.take(ctx, *u.Result); err != nil {
				break
			}
		}
		show.update(u)
	}
	err = errors.Join(err, told.wait())
	show.end()
	again := cmp.Or(w.again, "the jobs go on; go on waiting with: enqueue wait "+w.batch+w.pictures.flag())
	switch {
	case errors.Is(err, queue.ErrNoBatch):
		return input(fmt.Errorf("%w; is --queue-prefix right?", err))
	case err != nil:
		return interrupted(ctx, err, again)
	case !last.Done:
		return fmt.Errorf("%w; %s", errInterrupted, again)
	}
	o, err := w.outcome(ctx, last)
	if err != nil {
		return interrupted(ctx, err, again)
	}
	w.out.end(ending{Batch: w.batch, outcome: o, Elapsed: time.Since(begun), Dir: w.pictures.folder()})
	return o.verdict(w.batch)
}
