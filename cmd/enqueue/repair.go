package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stipple-ai/stipple/internal/queue"
)

const repairManual = `Repair looks for stranded jobs, which are in the queue and unknown to the consumer that should deliver them, as after a
crash of the broker, and makes those consumers anew. It asks first: the jobs that these consumers' workers hold are
delivered again, so some pictures are drawn twice, though each is stored and recorded once. Pauses stay.

  enqueue repair
  enqueue repair --model sd15 --priority normal --force --yes   # whether jobs seem to be stranded or not

It needs the rights of whoever administers the broker.

With --json it prints a line for each consumer:
  {"type":"repaired","priority":…,"model":…,"consumer":…,"jobs":…,"missing":…}

Exit codes: 0 done, or nothing to do, 1 something broke or the question was answered with no, 2 bad flags,
130 interrupted.`

// repairFlags are those of "enqueue repair".
type repairFlags struct {
	broker   brokerFlags
	models   string
	priority string
	force    bool
	yes      bool
	json     bool
}

func (a *app) repairCommand() *cobra.Command {
	f := &repairFlags{}
	cmd := &cobra.Command{
		Use:   "repair [flags]",
		Short: "Make the consumers anew that have lost jobs",
		Long:  repairManual,
		Args:  exactly(0, "flags alone"),
	}
	fs := cmd.Flags()
	fs.StringVar(&f.models, "model", "", "models to look at, between commas; default all that workers have registered")
	fs.StringVar(&f.priority, "priority", "", "priorities to look at, between commas; default all")
	fs.BoolVar(&f.force, "force", false, "make all these consumers anew, also without stranded jobs")
	fs.BoolVar(&f.yes, "yes", false, "do not ask")
	fs.BoolVar(&f.json, "json", false, "print a JSON line for each consumer")
	for _, name := range []string{"model", "priority", "force", "yes", "json"} {
		own(fs, name)
	}
	f.broker.define(fs)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return a.withBroker(cmd.Context(), &f.broker, func(ctx context.Context, c *queue.Client, _ *slog.Logger) error {
			return interrupted(ctx, a.repair(ctx, c, f), "what stands above was done")
		}, (&pauseFlags{priority: f.priority}).check)
	}
	return cmd
}

// repaired is a line of output.
type repaired struct {
	Type string `json:"type"` // repaired
	queue.Stranding
}

func (a *app) repair(ctx context.Context, c *queue.Client, f *repairFlags) error {
	layout, sick, err := f.look(ctx, c)
	if err != nil {
		return err
	}
	if len(sick) == 0 {
		if !f.json {
			fmt.Fprintln(a.stdout, "no job is stranded")
		}
		return nil
	}
	for _, s := range sick {
		fmt.Fprintf(a.stderr, "%s: %s stranded\n", s.Consumer, isOrAre(s.Jobs, "job"))
	}
	if err := a.confirm(ctx, fmt.Sprintf("Make %s anew? Jobs that workers hold by then are drawn twice.", many(sick)), f.yes); err != nil {
		return err
	}
	for _, s := range sick {
		if err := c.Repair(ctx, layout, s.Priority, s.Model); err != nil {
			return err
		}
		if !f.json {
			fmt.Fprintf(a.stdout, "made %s anew\n", s.Consumer)
		} else if err := writeLine(a.stdout, repaired{"repaired", s}); err != nil {
			return err
		}
	}
	return nil
}

func many(sick []queue.Stranding) string {
	if len(sick) == 1 {
		return "it"
	}
	return fmt.Sprintf("these %d consumers", len(sick))
}

// look finds the consumers to make anew.
func (f *repairFlags) look(ctx context.Context, c *queue.Client) (queue.Layout, []queue.Stranding, error) {
	registered, err := c.ListModels(ctx)
	if err != nil {
		return queue.Layout{}, nil, err
	}
	layout := layoutOf(registered)
	if named := list(f.models); len(named) > 0 {
		for _, name := range named {
			if !slices.Contains(layout.Models, name) {
				return layout, nil, input(fmt.Errorf("--model: no worker has registered %q; these are: %s", name, strings.Join(layout.Models, ", ")))
			}
		}
		layout.Models = named
	}
	if len(layout.Models) == 0 {
		return layout, nil, input(errors.New("no worker has registered a model yet, so there are no consumers to look at"))
	}
	stranded, err := c.Stranded(ctx, layout)
	if err != nil {
		return layout, nil, err
	}
	var sick []queue.Stranding
	for _, m := range layout.Models {
		for _, p := range queue.Priorities() {
			if wanted := list(f.priority); len(wanted) > 0 && !slices.Contains(wanted, p) {
				continue
			}
			i := slices.IndexFunc(stranded, func(s queue.Stranding) bool { return s.Model == m && s.Priority == p })
			switch {
			case i >= 0:
				sick = append(sick, stranded[i])
			case f.force:
				sick = append(sick, queue.Stranding{Priority: p, Model: m, Consumer: queue.ConsumerName(p, m)})
			}
		}
	}
	return layout, sick, nil
}
