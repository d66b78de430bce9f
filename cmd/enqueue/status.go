package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/stipple-ai/stipple/internal/batch"
	"github.com/stipple-ai/stipple/internal/queue"
)

const statusManual = `Status tells what there is: the batches, the queue by priority and model, and the workers that are heard within 2.5 s.
With the id of a batch it tells of that one: how far it is, how fast, where its pictures lie, its trace, and why the
first of its jobs failed.

  enqueue status
  enqueue status --limit 0
  enqueue status monday
  enqueue status --json | jq '.queue[] | select(.waiting > 1000)'

A job is running when a worker holds it, and for as long as a retry of it is put off. Stranded jobs are in the queue
and unknown to the consumer that should deliver them, as after a crash of the broker; enqueue repair mends that.

With --json it prints one line. Without a batch:
  {"type":"status","batches":[{"batch_id","state","created","total","sent","waiting","done","summary":{…}}],"older":…,
   "queue":[{"priority","model","waiting","running","consumer","paused_until"}],
   "stranded":[{"priority","model","consumer","jobs","missing"}],
   "workers":[{"worker","state","models","slots","jobs","rows","steps_per_second",
   "provider","device","max_rows","lanes","started"}]}
With a batch:
  {"type":"batch_status","batch_id","state","created","trace_id","total","sent","waiting","succeeded","failed",
   "cancelled","expired","unknown","source","done","rate","seconds_left","bucket","prefix","failures":[{"id","status",
   "error":{"type","message"},"trace_id"}]}

Exit codes: 0 told, 1 something broke, 2 bad input; with a batch also: any job failed or ran out of time, 3 any was
cancelled, 4 its results are gone and the counts come from elsewhere (see enqueue wait -h), 130 interrupted.`

// statusFlags are those of "enqueue status".
type statusFlags struct {
	broker brokerFlags
	store  storeFlags
	limit  int
	json   bool
}

func (a *app) statusCommand() *cobra.Command {
	f := &statusFlags{}
	cmd := &cobra.Command{
		Use:   "status [flags] [BATCH]",
		Short: "Tell what batches, queue and workers do",
		Long:  statusManual,
		Args:  atMost(1, "at most one batch"),
	}
	fs := cmd.Flags()
	fs.IntVar(&f.limit, "limit", 10, "batches to list, those first that were begun last; 0 lists all")
	fs.BoolVar(&f.json, "json", false, "print one line of JSON")
	own(fs, "limit")
	own(fs, "json")
	f.store.define(fs)
	f.broker.define(fs)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.withBroker(cmd.Context(), &f.broker, func(ctx context.Context, c *queue.Client, logger *slog.Logger) error {
			if len(args) == 0 {
				return a.overview(ctx, c, f)
			}
			return a.batchStatus(ctx, waiting{client: c, batch: args[0], store: f.store, logger: logger}, f.json)
		}, func() error { return checkLimit(f.limit) }, func() error { return f.store.check(f.broker.config.Prefix) }, func() error { return validIDs(args) })
	}
	return cmd
}

func checkLimit(limit int) error {
	if limit < 0 {
		return fmt.Errorf("--limit is %d: must be 0 or more", limit)
	}
	return nil
}

// validIDs judges ids of batches.
func validIDs(ids []string) error {
	var errs []error
	for _, id := range ids {
		errs = append(errs, batch.ValidateID(id))
	}
	return errors.Join(errs...)
}

func (a *app) overview(ctx context.Context, c *queue.Client, f *statusFlags) error {
	var o overview
	if err := o.look(ctx, c, f.limit, countStored(c)); err != nil {
		return interrupted(ctx, err, "nothing was changed")
	}
	if f.json {
		return writeLine(a.stdout, o)
	}
	o.write(a.stdout, time.Now())
	return nil
}

func (a *app) batchStatus(ctx context.Context, w waiting, asJSON bool) error {
	b, err := w.readBatch(ctx)
	if errors.Is(err, queue.ErrNoBatch) {
		return input(fmt.Errorf("%w; is --queue-prefix right?", err))
	}
	if err != nil {
		return interrupted(ctx, err, "nothing was changed")
	}
	if asJSON {
		err = writeLine(a.stdout, b)
	} else {
		b.write(a.stdout, time.Now())
	}
	return errors.Join(err, b.outcome.verdict(w.batch))
}
