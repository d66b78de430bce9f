package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stipple-ai/stipple/internal/batch"
	"github.com/stipple-ai/stipple/internal/ops"
	"github.com/stipple-ai/stipple/internal/queue"
)

const cancelManual = `Cancel cancels batches, or jobs of a batch. What waits is not drawn, and what runs stops at its next step; other jobs
are not touched. It cannot be taken back: enqueue the rows again as a new batch.

  enqueue cancel monday
  enqueue cancel monday/7 monday/12

The jobs of a cancelled batch that wait are taken out of the queue at once and get no result: they count as cancelled.
Single jobs stay in the queue until a worker comes to them, and records them as cancelled. An enqueue that is still
sending the batch stops.

With --json it prints a line for each, {"type":"cancelled","batch_id":…,"purged":…} with the number of jobs that were
taken out of the queue, running ones among them, or {"type":"cancelled","batch_id":…,"index":…}.

Exit codes: 0 done, 1 something broke, 2 no such batch or job, 130 interrupted.`

// cancelFlags are those of "enqueue cancel".
type cancelFlags struct {
	broker brokerFlags
	json   bool
}

func (a *app) cancelCommand() *cobra.Command {
	f := &cancelFlags{}
	cmd := &cobra.Command{
		Use:   "cancel [flags] BATCH|JOB…",
		Short: "Cancel batches or jobs",
		Long:  cancelManual,
		Args:  atLeastOne("the batches or jobs to cancel"),
	}
	fs := cmd.Flags()
	fs.BoolVar(&f.json, "json", false, "print a JSON line for each")
	own(fs, "json")
	f.broker.define(fs)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		targets, err := parseTargets(args)
		return a.withBroker(cmd.Context(), &f.broker, func(ctx context.Context, c *queue.Client, _ *slog.Logger) error {
			var errs []error
			for _, t := range targets {
				errs = append(errs, interrupted(ctx, a.cancel(ctx, c, t, f.json), "cancel again what is left"))
			}
			return errors.Join(errs...)
		}, func() error { return err })
	}
	return cmd
}

// target is a batch, or a job of it.
type target struct {
	batch string
	index int64 // -1 for the whole batch
}

// parseTargets reads arguments such as monday and monday/7.
func parseTargets(args []string) ([]target, error) {
	var all []target
	var errs []error
	for _, arg := range args {
		id, digits, one := strings.Cut(arg, "/")
		t := target{id, -1}
		if one {
			n, err := strconv.ParseInt(digits, 10, 64)
			if err != nil || n < 0 || strconv.FormatInt(n, 10) != digits {
				errs = append(errs, fmt.Errorf("%q is no job: it is <batch>/<index>, such as monday/7", arg))
				continue
			}
			t.index = n
		}
		if err := batch.ValidateID(id); err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, t)
	}
	return all, errors.Join(errs...)
}

// cancelled is a line of output.
type cancelled struct {
	Type    string  `json:"type"` // cancelled
	BatchID string  `json:"batch_id"`
	Index   *int64  `json:"index,omitempty"`
	Purged  *uint64 `json:"purged,omitempty"`
}

func (a *app) cancel(ctx context.Context, c *queue.Client, t target, asJSON bool) error {
	purged, err := ops.Cancel(ctx, c, t.batch, t.index)
	if err != nil {
		return callers(err)
	}
	line := cancelled{Type: "cancelled", BatchID: t.batch}
	var text string
	if t.index >= 0 {
		line.Index = &t.index
		text = fmt.Sprintf("%s/%d is cancelled, unless it is done already", t.batch, t.index)
	} else {
		line.Purged = &purged
		text = fmt.Sprintf("%s is cancelled: %s taken out of the queue; those that run stop at their next step", t.batch, wasOrWere(purged, "job"))
	}
	if asJSON {
		return writeLine(a.stdout, line)
	}
	fmt.Fprintln(a.stdout, text)
	return nil
}

func wasOrWere(n uint64, noun string) string {
	if n == 1 {
		return "1 " + noun + " was"
	}
	return ops.Plural(n, noun) + " were"
}

// callers marks an error that the caller has to mend as such.
func callers(err error) error {
	if _, mine := errors.AsType[ops.InputError](err); mine {
		return input(err)
	}
	return err
}
