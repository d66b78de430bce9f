package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/stipple-ai/stipple/internal/queue"
)

const watchManual = `Watch keeps telling what status tells: on a terminal it redraws a page every few seconds, with the last pictures below;
elsewhere it prints a line for each batch that has changed and for each picture as it lands. It ends with Ctrl-C.

With the id of a batch it is as wait, with a line for each picture, and ends with the batch.

  enqueue watch
  enqueue watch monday
  enqueue watch --json | jq -r 'select(.type == "result" and .status == "failed") | .id'

With --json it prints lines: {"type":"result",…} for each result that comes, with the fields of the record, and
without a batch {"type":"status",…} every few seconds, as status does; with a batch a summary at the end, as wait.

Exit codes: 0 told until Ctrl-C; with a batch those of enqueue wait; 1 something broke, 2 bad flags.`

// watchFlags are those of "enqueue watch".
type watchFlags struct {
	broker brokerFlags
	store  storeFlags
	limit  int
	json   bool
}

func (a *app) watchCommand() *cobra.Command {
	f := &watchFlags{}
	cmd := &cobra.Command{
		Use:   "watch [flags] [BATCH]",
		Short: "Keep telling what status tells, and what lands",
		Long:  watchManual,
		Args:  atMost(1, "at most one batch"),
	}
	fs := cmd.Flags()
	fs.IntVar(&f.limit, "limit", 10, "batches to list, those first that were begun last; 0 lists all")
	fs.BoolVar(&f.json, "json", false, "print JSON lines: results as they come, and the status")
	own(fs, "limit")
	own(fs, "json")
	f.store.define(fs)
	f.broker.define(fs)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.withBroker(cmd.Context(), &f.broker, func(ctx context.Context, c *queue.Client, logger *slog.Logger) error {
			if len(args) == 0 {
				return a.watchAll(ctx, c, f)
			}
			out := a.printer(f.json, nil)
			if text, ok := out.(*textPrinter); ok {
				text.each = true
			}
			return a.follow(ctx, waiting{client: c, batch: args[0], store: f.store, out: out, logger: logger})
		}, func() error { return checkLimit(f.limit) }, func() error { return f.store.check(f.broker.config.Prefix) }, func() error { return validIDs(args) })
	}
	return cmd
}

// watchAll shows the overview until ctx ends.
func (a *app) watchAll(ctx context.Context, c *queue.Client, f *watchFlags) (err error) {
	show := &watchPage{app: a, json: f.json, told: map[string]string{}}
	live := newLiveResults(ctx, c, show.landed)
	defer live.stop()
	for {
		var o overview
		err := o.look(ctx, c, f.limit, live.count)
		switch {
		case ctx.Err() != nil:
			return nil // Ctrl-C is how it ends
		case err != nil:
			return err
		}
		if err := live.failure(); err != nil {
			return err
		}
		if err := show.page(o, live); err != nil {
			return err
		}
	}
}

// watchPage is what a watch shows. Its methods are called by two goroutines: that of the watch, and landed by that
// of the results; what they write to takes care of itself.
type watchPage struct {
	*app
	json bool
	told map[string]string // by batch, what was said of it last; page's alone
}

// landed tells of a result that has just come.
func (w *watchPage) landed(r queue.Result) {
	switch {
	case w.json:
		// Standard output remembers what went wrong.
		_ = writeLine(w.stdout, resultLine{"result", r, ""})
	case w.width == 0:
		fmt.Fprintln(w.stdout, landed(r))
	}
}

// page shows the overview: as a page on a terminal, else what has changed.
func (w *watchPage) page(o overview, live *liveResults) error {
	now := time.Now()
	switch {
	case w.json:
		return writeLine(w.stdout, o)
	case w.width == 0:
		for _, b := range o.Batches {
			if line := b.line(); w.told[b.BatchID] != line {
				w.told[b.BatchID] = line
				fmt.Fprintln(w.stdout, line)
			}
		}
		return nil
	}
	w.redraw(func(page *pageWriter) {
		o.write(page, now)
		fmt.Fprintln(page)
		live.write(page, w.width, w.style)
	})
	return nil
}

// line is a batch in one line.
func (b batchOverview) line() string {
	s := fmt.Sprintf("%s %s: %d of %d done", b.BatchID, b.State, b.Done, b.Total)
	if b.Summary != nil {
		s += " (" + b.Summary.String() + ")"
	}
	return printable(fmt.Sprintf("%s, %d in the queue", s, b.Waiting))
}
