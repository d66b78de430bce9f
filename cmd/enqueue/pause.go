package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stipple-ai/stipple/internal/flagenv"
	"github.com/stipple-ai/stipple/internal/queue"
)

const pauseManual = `Pause keeps jobs from being fetched: all of them, or those of some models and priorities. Jobs that run go on to their
end, and jobs can be enqueued as before. It holds until resume, or for a time. Workers stay up; enqueue status shows
what is paused.

  enqueue pause
  enqueue pause --priority low --for 8h
  enqueue pause --model sd15,tiny-emoji

It needs the right to change consumers.

With --json it prints one line:
  {"type":"paused","consumers":[…],"until":…}

Exit codes: 0 done, 1 something broke, 2 bad flags, or no consumer that is meant, 130 interrupted.`

const resumeManual = `Resume ends what pause began: for all jobs, or for those of some models and priorities. Workers notice within seconds.

  enqueue resume
  enqueue resume --priority low

It needs the right to change consumers.

With --json it prints one line:
  {"type":"resumed","consumers":[…]}

Exit codes: 0 done, 1 something broke, 2 bad flags, or no consumer that is meant, 130 interrupted.`

// pauseFlags are those of "enqueue pause" and "enqueue resume".
type pauseFlags struct {
	broker   brokerFlags
	models   string
	priority string
	length   time.Duration
	json     bool
}

func (a *app) pauseCommand() *cobra.Command {
	f := &pauseFlags{}
	return a.pausing(f, &cobra.Command{Use: "pause [flags]", Short: "Keep jobs from being fetched", Long: pauseManual}, true)
}

func (a *app) resumeCommand() *cobra.Command {
	f := &pauseFlags{}
	return a.pausing(f, &cobra.Command{Use: "resume [flags]", Short: "End a pause", Long: resumeManual}, false)
}

func (a *app) pausing(f *pauseFlags, cmd *cobra.Command, pause bool) *cobra.Command {
	cmd.Args = exactly(0, "flags alone")
	fs := cmd.Flags()
	fs.StringVar(&f.models, "model", "", "models that are meant, between commas; default all")
	fs.StringVar(&f.priority, "priority", "", "priorities that are meant, between commas; default all")
	own(fs, "model")
	own(fs, "priority")
	if pause {
		fs.DurationVar(&f.length, "for", 0, "how long, such as 8h; default until resume")
		flagenv.Bind(fs, "for", "PAUSE_FOR")
	}
	fs.BoolVar(&f.json, "json", false, "print one line of JSON")
	own(fs, "json")
	f.broker.define(fs)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return a.withBroker(cmd.Context(), &f.broker, func(ctx context.Context, c *queue.Client, _ *slog.Logger) error {
			if pause {
				return a.pause(ctx, c, f)
			}
			return a.resume(ctx, c, f)
		}, f.check)
	}
	return cmd
}

func (f *pauseFlags) check() error {
	var errs []error
	for _, p := range list(f.priority) {
		if !slices.Contains(queue.Priorities(), p) {
			errs = append(errs, fmt.Errorf("--priority is %q: must be some of %s", p, strings.Join(queue.Priorities(), ", ")))
		}
	}
	if f.length < 0 {
		errs = append(errs, fmt.Errorf("--for is %v: must not be negative", f.length))
	}
	return errors.Join(errs...)
}

// list splits a comma-separated flag.
func list(text string) []string {
	var all []string
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			all = append(all, item)
		}
	}
	return all
}

func (f *pauseFlags) scope() queue.Scope {
	return queue.Scope{Models: list(f.models), Priorities: list(f.priority)}
}

// paused is the line of either command.
type paused struct {
	Type      string    `json:"type"` // paused or resumed
	Consumers []string  `json:"consumers"`
	Until     time.Time `json:"until,omitzero"` // left out where it holds until resume
}

func (a *app) pause(ctx context.Context, c *queue.Client, f *pauseFlags) error {
	p := paused{Type: "paused"}
	if f.length > 0 {
		p.Until = time.Now().Add(f.length).UTC().Truncate(time.Second)
	}
	var err error
	p.Consumers, err = c.Pause(ctx, f.scope(), p.Until)
	end := "until: enqueue resume"
	if !p.Until.IsZero() {
		end = "until " + p.Until.Format(time.DateTime) + " UTC"
	}
	return a.told(ctx, f, p, end, err)
}

func (a *app) resume(ctx context.Context, c *queue.Client, f *pauseFlags) error {
	done, err := c.Resume(ctx, f.scope())
	return a.told(ctx, f, paused{Type: "resumed", Consumers: done}, "", err)
}

// told tells what was done, also before an error.
func (a *app) told(ctx context.Context, f *pauseFlags, p paused, end string, err error) error {
	switch {
	case len(p.Consumers) == 0 && err == nil:
		return input(errors.New("there is no consumer of these models and priorities: no worker has served them yet (enqueue status lists those there are)"))
	case len(p.Consumers) == 0:
	case f.json:
		err = errors.Join(err, writeLine(a.stdout, p))
	default:
		fmt.Fprintln(a.stdout, strings.TrimSpace(fmt.Sprintf("%s %s %s", p.Type, strings.Join(p.Consumers, ", "), end)))
	}
	return interrupted(ctx, err, "what stands above was done")
}
