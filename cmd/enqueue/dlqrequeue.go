package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/stipple-ai/stipple/internal/flagenv"
	"github.com/stipple-ai/stipple/internal/ops"
	"github.com/stipple-ai/stipple/internal/queue"
)

const dlqRequeueManual = `Requeue puts the jobs of dead letters back into the queue, with the priority, seed and trace they had, and deletes the
letters. Their results take the place of the failed ones. It may be run again after a crash: no job is drawn twice.

  enqueue dlq requeue monday
  enqueue dlq requeue monday/7 monday/12
  enqueue dlq requeue --all --type out_of_memory --since 24h

What cannot become a job again, because it cannot be read, and jobs that are cancelled stay where they are.

With --json it prints a line for each, {"type":"requeued","id":…,"batch_id":…,"index":…,"retry":…} or
{"type":"kept","id":…,"batch_id":…,"reason":…}, and {"type":"summary","requeued":…,"kept":…} at the end.

Exit codes: 0 done, 1 something broke, 2 bad flags, or some letters stay where they are, 130 interrupted.`

// requeueFlags are those of "enqueue dlq requeue".
type requeueFlags struct {
	deadFlags
	all bool
}

func (a *app) dlqRequeueCommand() *cobra.Command {
	f := &requeueFlags{}
	cmd := &cobra.Command{Use: "requeue [flags] BATCH|JOB…", Short: "Put the jobs of dead letters back into the queue", Long: dlqRequeueManual}
	fs := cmd.Flags()
	f.define(fs)
	fs.BoolVar(&f.all, "all", false, "those of all batches")
	flagenv.Bind(fs, "all", "DLQ_ALL")
	f.finish(fs, "print a JSON line for each, and a summary")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		targets, err := parseTargets(args)
		return a.withBroker(cmd.Context(), &f.broker, func(ctx context.Context, c *queue.Client, _ *slog.Logger) error {
			return interrupted(ctx, a.dlqRequeue(ctx, c, &f.deadFlags, targets), "run it again for what is left")
		}, f.check, func() error { return err }, func() error { return someOrAll(args, f.all) })
	}
	return cmd
}

// someOrAll refuses a command that names nothing, or everything and something.
func someOrAll(args []string, all bool) error {
	if all == (len(args) > 0) {
		return errors.New("name the batches or jobs that are meant, or say --all")
	}
	return nil
}

// Lines of output.
type (
	requeuedLine struct {
		Type    string `json:"type"` // requeued
		ID      string `json:"id"`
		BatchID string `json:"batch_id"`
		Index   int64  `json:"index"`
		Retry   int    `json:"retry"` // that it has now
	}
	keptLine struct {
		Type    string `json:"type"` // kept
		ID      string `json:"id"`
		BatchID string `json:"batch_id"`
		Reason  string `json:"reason"`
	}
	requeueSummary struct {
		Type     string `json:"type"` // summary
		Requeued int64  `json:"requeued"`
		Kept     int64  `json:"kept"`
	}
)

func (a *app) dlqRequeue(ctx context.Context, c *queue.Client, f *deadFlags, targets []target) error {
	r := requeuing{app: a, client: c, json: f.json, sum: requeueSummary{Type: "summary"}}
	for d, err := range f.letters(ctx, c, targets) {
		if err == nil {
			err = r.requeue(ctx, d)
		}
		if err != nil {
			return errors.Join(err, r.end())
		}
	}
	if err := r.end(); err != nil {
		return err
	}
	if r.sum.Kept > 0 {
		return fmt.Errorf("%s could not be put back: see above: %w", ops.Plural(r.sum.Kept, "job"), errJobsFailed)
	}
	return nil
}

// requeuing puts dead letters back and tells of it.
type requeuing struct {
	*app
	client *queue.Client
	json   bool
	sum    requeueSummary
}

// requeue puts back one. What cannot be put back is no error.
func (r *requeuing) requeue(ctx context.Context, d queue.DeadMessage) error {
	id, err := ops.Requeue(ctx, r.client, d)
	switch {
	case errors.Is(err, queue.ErrNotRequeued), errors.Is(err, queue.ErrJobCancelled):
		r.sum.Kept++
		if r.json {
			return writeLine(r.stdout, keptLine{"kept", nameOf(d), d.ID.Batch, err.Error()})
		}
		fmt.Fprintln(r.stdout, printable(err.Error()))
		return nil
	case err != nil:
		return err
	}
	r.sum.Requeued++
	if r.json {
		return writeLine(r.stdout, requeuedLine{"requeued", id.String(), id.Batch, id.Index, id.Retry})
	}
	return nil
}

// end tells how many there were.
func (r *requeuing) end() error {
	if r.json {
		return writeLine(r.stdout, r.sum)
	}
	fmt.Fprintf(r.stdout, "%s put back into the queue\n", wasOrWere(uint64(r.sum.Requeued), "job"))
	return nil
}
