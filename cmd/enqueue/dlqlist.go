package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/stipple-ai/stipple/internal/queue"
)

const dlqListManual = `List lists dead letters, the oldest first: those of all batches, or of some batches and jobs.

  enqueue dlq list
  enqueue dlq list monday tuesday --type bad_image
  enqueue dlq list --since 24h --limit 0
  enqueue dlq list --json | jq -r .error.type | sort | uniq -c

A job with #2 behind it failed in its second retry; without, in its first try.

With --json it prints a line for each, of all there are:
  {"type":"dead_letter","id","batch_id","index","retry","error":{"type","message"},"attempts","trace_id","subject",
   "published","died","sequence"}

Exit codes: 0 done, 1 something broke, 2 bad flags, 130 interrupted.`

func (a *app) dlqListCommand() *cobra.Command {
	f := &deadFlags{}
	limit := 50
	cmd := &cobra.Command{Use: "list [flags] [BATCH|JOB…]", Short: "List dead letters", Long: dlqListManual}
	fs := cmd.Flags()
	f.define(fs)
	fs.IntVar(&limit, "limit", limit, "most letters to list without --json; 0 lists all")
	own(fs, "limit")
	f.finish(fs, "print a JSON line for each")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		targets, err := parseTargets(args)
		return a.withBroker(cmd.Context(), &f.broker, func(ctx context.Context, c *queue.Client, _ *slog.Logger) error {
			return interrupted(ctx, a.dlqList(ctx, c, f, targets, limit), "nothing was changed")
		}, f.check, func() error { return checkLimit(limit) }, func() error { return err })
	}
	return cmd
}

func (a *app) dlqList(ctx context.Context, c *queue.Client, f *deadFlags, targets []target, limit int) error {
	t, more, now := newTable("JOB", "TYPE", "ATTEMPTS", "DIED", "TRACE", "REASON"), 0, time.Now()
	for d, err := range f.letters(ctx, c, targets) {
		switch {
		case err != nil:
			return err
		case f.json:
			if err := writeLine(a.stdout, lineOf(d)); err != nil {
				return err
			}
		case limit > 0 && len(t.rows) == limit:
			more++
		default:
			t.add(nameOf(d), d.Type, d.Attempts, ago(d.Stored, now), d.TraceID, d.Message)
		}
	}
	if f.json {
		return nil
	}
	if len(t.rows) == 0 {
		fmt.Fprintln(a.stdout, "no dead letters")
	}
	t.write(a.stdout)
	if more > 0 {
		fmt.Fprintf(a.stdout, "… and %d that died later (--limit 0 lists all)\n", more)
	}
	return nil
}
