package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stipple-ai/stipple/internal/flagenv"
	"github.com/stipple-ai/stipple/internal/ops"
	"github.com/stipple-ai/stipple/internal/queue"
)

const dlqPurgeManual = `Purge deletes dead letters of batches, or all of them, for good. It asks first. Results stay: the jobs are told as
failed as before, but cannot be put back into the queue any more.

  enqueue dlq purge monday
  enqueue dlq purge --all --type invalid_job --yes

It needs the right to purge the stream of dead letters.

With --json it prints one line: {"type":"purged","deleted":…}

Exit codes: 0 done, 1 something broke or the question was answered with no, 2 bad flags, 130 interrupted.`

// purgeFlags are those of "enqueue dlq purge".
type purgeFlags struct {
	deadFlags
	all bool
	yes bool
}

func (a *app) dlqPurgeCommand() *cobra.Command {
	f := &purgeFlags{}
	cmd := &cobra.Command{Use: "purge [flags] BATCH…", Short: "Delete dead letters for good", Long: dlqPurgeManual}
	fs := cmd.Flags()
	f.define(fs)
	fs.BoolVar(&f.all, "all", false, "those of all batches")
	fs.BoolVar(&f.yes, "yes", false, "do not ask")
	flagenv.Bind(fs, "all", "DLQ_ALL")
	own(fs, "yes")
	f.finish(fs, "print the outcome as a JSON line")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.withBroker(cmd.Context(), &f.broker, func(ctx context.Context, c *queue.Client, _ *slog.Logger) error {
			return interrupted(ctx, a.dlqPurge(ctx, c, f, args), "run it again for what is left")
		}, f.check, func() error { return validIDs(args) }, func() error { return someOrAll(args, f.all) })
	}
	return cmd
}

func (a *app) dlqPurge(ctx context.Context, c *queue.Client, f *purgeFlags, batches []string) error {
	which := "all batches"
	if len(batches) > 0 {
		which = strings.Join(batches, ", ")
	} else {
		batches = []string{""}
	}
	if f.kind != "" {
		which += " of type " + f.kind
	}
	if f.since > 0 {
		which += fmt.Sprintf(" of the last %v", f.since)
	}
	if err := a.confirm(ctx, fmt.Sprintf("Delete the dead letters of %s for good?", which), f.yes); err != nil {
		return err
	}
	deleted := uint64(0)
	for _, id := range batches {
		n, err := c.PurgeDead(ctx, f.filter(id))
		deleted += n
		if err != nil {
			return fmt.Errorf("after %s: %w", ops.Plural(deleted, "letter"), err)
		}
	}
	if f.json {
		return writeLine(a.stdout, struct {
			Type    string `json:"type"` // purged
			Deleted uint64 `json:"deleted"`
		}{"purged", deleted})
	}
	fmt.Fprintf(a.stdout, "deleted %s\n", ops.Plural(deleted, "dead letter"))
	return nil
}
