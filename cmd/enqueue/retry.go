package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/stipple-ai/stipple/internal/batch"
	"github.com/stipple-ai/stipple/internal/queue"
)

const retryManual = `Retry puts jobs of a batch back into the queue: those that failed, or those whose result says that they succeeded and
whose picture is no longer in the bucket. They keep their index and seed, so a picture is the one it was or would have
been; their new results take the place of the old ones.

  enqueue retry monday --failed
  enqueue retry monday --missing --file prompts.csv --seeds 1..8
  enqueue retry monday --failed --missing --file prompts.csv --seeds 1..8 --wait

A failed job lies in its dead letter, and comes from there. Of a job that succeeded nothing is kept but its result, and
a dead letter may have been purged: these jobs come from the rows once more. Give the prompts or the file and the flags
that the batch was enqueued with, the priority and the model among them (the line "resume" that enqueue printed has all
of them). They are checked against the hash that the batch's record holds, and other rows are refused.

It may be run again, after a crash or while jobs are still in the queue: each is drawn once. Jobs that ran out of time
and jobs that were cancelled are not retried. Counts as of enqueue status change when the new results come.

With --json it prints lines: {"type":"requeued",…} and {"type":"kept",…} as enqueue dlq requeue, and
  {"type":"retry","batch_id":…,"failed":…,"missing":…,"from_letters":…,"from_rows":…,"left":…}
then with --wait the lines of enqueue wait.

Exit codes: 0 done, or nothing to do, 1 something broke, 2 bad input, or some jobs could not be retried,
130 interrupted; with --wait those of enqueue wait.`

// retryFlags are those of "enqueue retry".
type retryFlags struct {
	broker    brokerFlags
	telemetry telemetryFlags
	store     storeFlags
	jobs      jobFlags

	failed      bool
	missing     bool
	file        string
	inputFormat string
	priority    string
	wait        bool
	json        bool
}

func (a *app) retryCommand() *cobra.Command {
	f := &retryFlags{}
	cmd := &cobra.Command{
		Use:   "retry [flags] BATCH [PROMPT…]",
		Short: "Put failed jobs, or those whose pictures are missing, back into the queue",
		Long:  retryManual,
		Args:  atLeastOne("the batch to retry"),
	}
	fs := cmd.Flags()
	fs.BoolVar(&f.failed, "failed", false, "jobs that failed")
	fs.BoolVar(&f.missing, "missing", false, "jobs that succeeded and whose picture is not in the bucket")
	fs.StringVarP(&f.file, "file", "f", "", "the rows that the batch was enqueued with; - is standard input")
	fs.StringVar(&f.inputFormat, "input-format", "", "text, csv, jsonl or yaml; default by the file's extension")
	f.jobs.define(fs)
	fs.StringVar(&f.priority, "priority", queue.Normal, "high, normal or low, as it was enqueued")
	fs.BoolVar(&f.wait, "wait", false, "wait for the results, and show how far they are")
	fs.BoolVar(&f.json, "json", false, "print JSON lines")
	for _, name := range []string{"failed", "missing", "file", "input-format", "priority", "wait", "json"} {
		own(fs, name)
	}
	f.store.define(fs)
	f.broker.define(fs)
	f.telemetry.define(fs)
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.retry(cmd.Context(), fs, f, args[0], args[1:]) }
	return cmd
}

func (f *retryFlags) check(id string) error {
	errs := []error{batch.ValidateID(id), f.store.check(f.broker.config.Prefix)}
	if !f.failed && !f.missing {
		errs = append(errs, errors.New("say which jobs: --failed, --missing, or both"))
	}
	if !slices.Contains(queue.Priorities(), f.priority) {
		errs = append(errs, fmt.Errorf("--priority is %q: must be one of %s", f.priority, strings.Join(queue.Priorities(), ", ")))
	}
	return errors.Join(errs...)
}

func (a *app) retry(ctx context.Context, fs *pflag.FlagSet, f *retryFlags, id string, prompts []string) error {
	hasRows := len(prompts) > 0 || f.file != ""
	if err := errors.Join(f.check(id), f.needless(fs, hasRows)); err != nil {
		return input(err)
	}
	var plan *batch.Plan // nil without rows
	done := func() error { return nil }
	if hasRows {
		p, err := f.jobs.plan()
		if err != nil {
			return err
		}
		rows, closeRows, err := a.rows(ctx, prompts, f.file, f.inputFormat)
		if err != nil {
			return err
		}
		p.Rows, plan, done = stoppable(ctx, rows), &p, closeRows
	}
	err := a.withBroker(ctx, &f.broker, func(ctx context.Context, c *queue.Client, logger *slog.Logger) error {
		r := retrying{app: a, flags: f, client: c, logger: logger, batch: id, plan: plan}
		err := interrupted(ctx, r.run(ctx), "run it again for what is left")
		if err != nil || !f.wait {
			return err
		}
		return a.follow(ctx, waiting{client: c, batch: id, store: f.store, out: a.printer(f.json, nil), logger: logger})
	})
	return errors.Join(err, done())
}

// needless refuses flags that mean nothing without rows: whoever gives them has forgotten the rows.
func (f *retryFlags) needless(fs *pflag.FlagSet, hasRows bool) error {
	if hasRows {
		return nil
	}
	for _, flag := range jobFlagTable() {
		if fs.Changed(flag.name) {
			return fmt.Errorf("--%s belongs to the rows of the batch: give them, too, as prompts or with --file", flag.name)
		}
	}
	return nil
}
