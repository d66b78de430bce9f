package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/stipple-ai/stipple/internal/batch"
	"github.com/stipple-ai/stipple/internal/gallery"
	"github.com/stipple-ai/stipple/internal/queue"
)

const gridManual = `Grid draws a picture for every combination of the values of up to three fields, and makes of them labelled contact
sheets and a page to look at: x goes along the columns, y along the rows, and each value of z has a sheet of its own.

  enqueue grid "a red apple" --x seed=1..4 --y guidance_scale=2,5,9 --z scheduler=euler,ddim --out apple
  enqueue grid --x seed=1..4 --y prompt=@prompts.txt --model tiny-emoji
  enqueue grid --x 'prompt=a fox,"a hen, brown"' --y model=sd15,turbo --steps 4
  enqueue grid "a fox" --x size=512x512,512x768 --y steps=5,10,20 --links presigned

An axis is a field of a job, or the name of the flag that gives it, and its values: a list, in which integers may be
ranges such as 1..8 or 10..50..10; of prompts, those with commas stand in quotes, and "" is a quote within; or @FILE,
a value a line. All other fields are flags with a single value, as in enqueue itself.

The grid is one batch, in the order of its sheets. The command that goes on with it is printed first: after a crash or
Ctrl-C it draws what is not drawn yet, fetches no picture that is there, and writes sheets and page anew.

Sheets (grid-01-….png) and page (grid.html) go into the folder of --out, with the pictures, and are uploaded beside
these, under the prefix of the batch. The page runs no script; its pictures are links, relative or presigned (for
--link-expires; whoever has the page can read them until then), or small ones inside it (embedded). A picture that is
missing is shown with the reason. Sheets that would be larger than 16384 pixels are cut; a grid has 10000 pictures at
most.

With --json it prints lines: those of enqueue --wait --json, and one at the end:
  {"type":"grid","batch_id":…,"x":{"field","values"},"y":…,"z":…,"sheets":[{"z","file","key","url"}],"page":{…}}

Exit codes: 0 every job succeeded, 1 something broke, 2 bad input or any job failed, 3 any job was cancelled, 4 results
are gone and cells without them empty, 130 interrupted.`

// Bounds of a grid.
const (
	maxGridCells     = 10_000
	maxGridEmbedded  = 1000 // with pictures inside the page, which browsers read as a whole
	defaultGridCell  = 256  // pixels
	defaultLinksLife = 24 * time.Hour
	maxLinksLife     = 7 * 24 * time.Hour // of a presigned URL
)

// What the page's pictures are.
const (
	linksRelative  = "relative"
	linksPresigned = "presigned"
	linksEmbedded  = "embedded"
)

// gridFlags are those of "enqueue grid". Of those of enqueue it has what concerns jobs, broker and store.
type gridFlags struct {
	enqueueFlags

	axes     [3]string // x, y, z, as they were given
	noUpload bool
	links    string
	expires  time.Duration
	cell     int
}

func (a *app) gridCommand() *cobra.Command {
	f := &gridFlags{}
	cmd := &cobra.Command{
		Use:   "grid [flags] [PROMPT]",
		Short: "Draw a grid of values as contact sheets and a page",
		Long:  gridManual,
		Args:  atMost(1, "at most one prompt; several are an axis, as in --y prompt=@prompts.txt"),
	}
	fs := cmd.Flags()
	for i, name := range []string{"x", "y", "z"} {
		usage := []string{"field and values along the columns, such as seed=1..4", "the same along the rows", "the same, a sheet for each value"}[i]
		fs.StringVar(&f.axes[i], name, "", usage)
		own(fs, name)
	}
	f.jobs.define(fs)
	fs.Lookup("zip").Hidden = true // nothing has several values but the axes
	fs.StringVar(&f.priority, "priority", queue.Normal, "high, normal or low")
	fs.StringVar(&f.batch, "batch", "", "id of the batch, [A-Za-z0-9_-]{1,64}, to resume one or to name a new one; default drawn")
	fs.BoolVar(&f.json, "json", false, "print JSON lines: one batch, then jobs, results, a summary and the grid")
	fs.BoolVar(&f.dryRun, "dry-run", false, "check and count the grid, ask the workers how fast they are, and send nothing")
	fs.BoolVar(&f.force, "force", false, "enqueue for a model that no worker has registered")
	fs.StringVar(&f.store.out, "out", "", "folder for sheets, page and pictures; one that an earlier run filled is gone on with")
	fs.BoolVar(&f.noUpload, "no-upload", false, "do not upload sheets and page; takes --out")
	fs.StringVar(&f.links, "links", linksRelative, "the page's pictures: relative or presigned links, or embedded")
	fs.DurationVar(&f.expires, "link-expires", defaultLinksLife, "life of presigned links, at most 168h")
	fs.IntVar(&f.cell, "cell", defaultGridCell, "longer side of a picture on a sheet, 48 to 1024 pixels")
	f.webhook.define(fs)
	for _, name := range []string{"priority", "batch", "json", "dry-run", "force", "out", "no-upload", "links", "link-expires", "cell"} {
		own(fs, name)
	}
	f.store.storeFlags.define(fs)
	f.broker.define(fs)
	f.telemetry.define(fs)
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.grid(cmd.Context(), f, args) }
	return cmd
}

// check judges the flags that stand for themselves.
func (f *gridFlags) check() error {
	errs := []error{f.enqueueFlags.check(), f.store.storeFlags.check(f.broker.config.Prefix)}
	if !slices.Contains([]string{linksRelative, linksPresigned, linksEmbedded}, f.links) {
		errs = append(errs, fmt.Errorf("--links is %q: must be %s, %s or %s", f.links, linksRelative, linksPresigned, linksEmbedded))
	}
	if f.expires < time.Second || f.expires > maxLinksLife {
		errs = append(errs, fmt.Errorf("--link-expires is %v: must be from 1s to %v", f.expires, maxLinksLife))
	}
	if f.cell < gallery.MinCell || f.cell > gallery.MaxCell {
		errs = append(errs, fmt.Errorf("--cell is %d: must be from %d to %d pixels", f.cell, gallery.MinCell, gallery.MaxCell))
	}
	if f.noUpload && f.store.out == "" {
		errs = append(errs, errors.New("--no-upload without --out leaves nothing behind; name a folder"))
	}
	return input(errors.Join(errs...))
}

// grid checks everything that can be checked here, then sends the jobs, follows them and draws what came of them.
func (a *app) grid(ctx context.Context, f *gridFlags, args []string) error {
	logger, err := a.logger()
	if err != nil {
		return err
	}
	if err := f.check(); err != nil {
		return err
	}
	axes, err := parseGridAxes(f.axes)
	if err != nil {
		return input(err)
	}
	plan, err := f.gridPlan(axes, args)
	if err != nil {
		return input(err)
	}
	census, err := plan.Count()
	if err != nil {
		return input(err)
	}
	if f.links == linksEmbedded && census.Jobs > maxGridEmbedded {
		return input(fmt.Errorf("--links embedded: %d pictures are too many for one page, which takes %d; leave them beside it", census.Jobs, maxGridEmbedded))
	}
	if f.dryRun {
		return a.dryRun(ctx, &f.enqueueFlags, census)
	}
	cells, err := newGridCells(axes, plan, f)
	if err != nil {
		return err
	}
	return errors.Join(a.drawGrid(ctx, f, cells, submission{plan: plan, census: census, logger: logger}), cells.close())
}

// gridPlan is the plan of the grid: z goes slowest and x fastest.
func (f *gridFlags) gridPlan(axes gridAxes, prompts []string) (batch.Plan, error) {
	rows := batch.Args(prompts...)
	switch axes.has("prompt") {
	case true:
		if len(prompts) > 0 {
			return batch.Plan{}, errors.New("a prompt is given beside an axis of prompts; give it in one place")
		}
		rows = func(yield func(batch.Row, error) bool) { yield(batch.Row{Source: "grid", Line: 1}, nil) }
	case false:
		if len(prompts) == 0 {
			return batch.Plan{}, errors.New("what shall be drawn? give a prompt, or an axis of prompts such as --y prompt=@prompts.txt")
		}
	}
	plan, err := f.jobs.plan()
	if err != nil {
		return plan, err
	}
	plan.Rows = rows
	if len(plan.Groups) > 0 {
		return plan, errors.New("a flag has several values; what a grid varies are its axes, --x, --y and --z")
	}
	for _, i := range []int{2, 1, 0} {
		if axes[i].group == nil {
			continue
		}
		if err := plan.AddGroup(axes[i].group); err != nil {
			return plan, fmt.Errorf("--%s: %w", axes[i].flag, err)
		}
	}
	return plan, nil
}

// drawGrid sends the jobs, follows them and draws.
func (a *app) drawGrid(ctx context.Context, f *gridFlags, cells *gridCells, s submission) error {
	folder := f.store
	keep := folder.out != ""
	if !keep {
		dir, err := os.MkdirTemp("", "stipple-grid-")
		if err != nil {
			return fmt.Errorf("making a folder for pictures on their way: %w", err)
		}
		defer func() {
			if err := os.RemoveAll(dir); err != nil {
				s.logger.WarnContext(ctx, "a folder of pictures is left behind", slog.Any("error", err))
			}
		}()
		folder.out = dir
	}
	pictures, err := openDownloads(&folder, f.batch, s.logger)
	if err != nil {
		return err
	}
	t, logger, flush, err := f.telemetry.start(ctx, a.getenv, s.logger)
	if err != nil {
		return errors.Join(err, pictures.close())
	}
	defer flush()
	s.logger = logger
	c, closeClient, err := f.broker.connect(ctx, s.logger)
	if err != nil {
		return errors.Join(err, pictures.close())
	}
	out := gridPrinter{printer: a.printer(f.json, f.store.keys(f.broker.config.Prefix)), cells: cells, keep: keep}
	s.t, s.client, s.out, s.command = t, c, out, "grid"
	begun := time.Now()
	err = a.submit(ctx, &f.enqueueFlags, s)
	if err == nil {
		err = a.follow(ctx, waiting{
			client: c, batch: f.batch, store: f.store.storeFlags, pictures: pictures, out: out, logger: s.logger,
			again: "the jobs go on; go on with the grid by: " + commandAgain(a.args, "grid", f.batch, ""),
		})
		if ended(err) {
			if !cells.resumed {
				cells.took = time.Since(begun)
			}
			if drawErr := a.writeGrid(ctx, f, cells, pictures, keep); drawErr != nil {
				err = notDrawn(drawErr, err)
			}
		}
	}
	return errors.Join(err, pictures.close(), closeClient())
}

// ended reports whether a batch was followed to its end, however it ended.
func ended(err error) bool {
	return err == nil || errors.Is(err, errJobsFailed) || errors.Is(err, errJobsCancelled) || errors.Is(err, errGone) || errors.Is(err, errNotDownloaded)
}

// notDrawn is the error of a grid that was not drawn. How its batch ended is told beside it, and is not its exit code.
func notDrawn(err, verdict error) error {
	if verdict == nil {
		return err
	}
	return fmt.Errorf("%w (and %s)", err, verdict.Error())
}
