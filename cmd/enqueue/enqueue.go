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
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/stipple-ai/stipple/internal/batch"
	"github.com/stipple-ai/stipple/internal/otel"
	"github.com/stipple-ai/stipple/internal/queue"
)

const enqueueManual = `Enqueue makes a job of every prompt, or row of a file, with every combination of the values that the flags give,
and puts them into the queue. It prints the batch's id, how to resume it, and each job's id and trace id.

  enqueue "a red apple"
  enqueue "a red apple" "a blue boat" --seeds 1..8 --steps 10,20 --wait --out pictures
  enqueue --file prompts.txt --model tiny-emoji        # a prompt a line
  enqueue --file jobs.csv --batch monday               # columns are fields of a job, named by the header
  generate | enqueue --file - --input-format jsonl     # fields of a job, a JSON object a line
  enqueue --file prompts.txt --seeds 1..1000 --dry-run # counts and estimates, and sends nothing

Fields of a job, for CSV, JSON lines and YAML: prompt, negative_prompt, model, num_inference_steps, guidance_scale,
seed, width, height, scheduler, format, quality, deadline, id. A row's own value wins over a flag's.

Several values multiply: each row with each value of each flag. Values that go together, the first with the first
and so on, are named by --zip, as in --seeds 1..3 --steps 10,20,30 --zip seeds,steps. YAML has groups for both: what
stands in one group goes together, and the groups multiply. This makes 16 jobs of sd15 with 30 steps:

  model: sd15
  num_inference_steps: 30
  groups:
  - prompt: [a red fox, a brown hen]
    negative_prompt: [snow, rain]
  - seed: 1..8

A YAML file may also be a list of rows, and hold several documents with --- between them. Text, CSV and JSON lines
are streamed, however long they are; a YAML document is read as a whole, up to 16 MiB.

A batch is sent in chunks of 1000 jobs, each as a whole or not at all. After a crash or Ctrl-C the same command with
--batch goes on where it stopped; one with other rows is refused, and one for a batch that is complete does nothing.
A prompt that is the name of a command goes behind --, as in: enqueue -- wait

Each command has a manual, as in: enqueue retry -h

With --dry-run nothing is sent: it says how many rows, jobs, bytes and steps there are, and how long they take at the
pace that the workers of these models announce, if a broker answers within a second.

With --json it prints lines: {"type":"batch",…} with the id, {"type":"job",…} for each job that was sent, with its trace
id and the key of its picture, {"type":"enqueued",…}, and with --wait those of enqueue wait; with --dry-run one line:
  {"type":"estimate","rows","jobs","chunks","bytes","models","steps",
   "pace":{"workers","steps_per_second","seconds"},"first":{…}}

Every flag has an environment variable, named in brackets; the flag wins. Traces follow the standard OTEL_*
variables; with no endpoint set nothing is exported.

Exit codes: 0 done, 1 something broke, 2 bad input or any job failed, 3 any job was cancelled, 4 with --wait: results
are gone and the counts come from elsewhere (enqueue wait -h), 130 interrupted.`

// enqueueFlags are those of the command itself.
type enqueueFlags struct {
	broker    brokerFlags
	telemetry telemetryFlags
	store     downloadFlags
	jobs      jobFlags
	webhook   webhookFlag

	batch       string
	priority    string
	file        string
	inputFormat string
	wait        bool
	json        bool
	force       bool
	dryRun      bool
}

func (a *app) enqueueCommand() *cobra.Command {
	f := &enqueueFlags{}
	cmd := &cobra.Command{
		Use:   "enqueue [flags] [PROMPT…]",
		Short: "Put text-to-image jobs into the queue",
		Long:  enqueueManual,
		Args:  cobra.ArbitraryArgs,
	}
	fs := cmd.Flags()
	fs.StringVarP(&f.file, "file", "f", "", "rows to enqueue: a prompt a line, .csv, .jsonl or .yaml; - is standard input")
	fs.StringVar(&f.inputFormat, "input-format", "", "text, csv, jsonl or yaml; default by the file's extension")
	f.jobs.define(fs)
	fs.StringVar(&f.priority, "priority", queue.Normal, "high, normal or low")
	fs.StringVar(&f.batch, "batch", "", "id of the batch, [A-Za-z0-9_-]{1,64}, to resume one or to name a new one; default drawn")
	fs.BoolVar(&f.wait, "wait", false, "wait for the results, and show how far they are")
	fs.BoolVar(&f.json, "json", false, "print JSON lines: one batch, then jobs, results and a summary")
	fs.BoolVar(&f.dryRun, "dry-run", false, "check and count the input, ask the workers how fast they are, and send nothing")
	fs.BoolVar(&f.force, "force", false, "enqueue for a model that no worker has registered")
	for _, name := range []string{"file", "input-format", "priority", "batch", "wait", "json", "dry-run", "force"} {
		own(fs, name)
	}
	f.webhook.define(fs)
	f.store.define(fs)
	f.broker.define(fs)
	f.telemetry.define(fs)
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.enqueue(cmd.Context(), f, args) }
	return cmd
}

// enqueue checks everything that can be checked here, then connects, and sends.
func (a *app) enqueue(ctx context.Context, f *enqueueFlags, args []string) error {
	logger, err := a.logger()
	if err != nil {
		return err
	}
	if err := f.check(); err != nil {
		return err
	}
	plan, err := f.jobs.plan()
	if err != nil {
		return err
	}
	rows, closeRows, err := a.rows(ctx, args, f.file, f.inputFormat)
	if err != nil {
		return err
	}
	plan.Rows = stoppable(ctx, rows)
	err = a.send(ctx, f, plan, logger)
	return errors.Join(err, closeRows())
}

// check judges the flags that stand for themselves. It joins every problem, each naming its flag.
func (f *enqueueFlags) check() error {
	var errs []error
	if !slices.Contains(queue.Priorities(), f.priority) {
		errs = append(errs, fmt.Errorf("--priority is %q: must be one of %s", f.priority, strings.Join(queue.Priorities(), ", ")))
	}
	if f.batch == "" {
		f.batch = batch.NewID(time.Now())
	} else if err := batch.ValidateID(f.batch); err != nil {
		errs = append(errs, flagError("batch", err))
	}
	if f.store.out != "" {
		f.wait = true
	}
	errs = append(errs, f.webhook.check(), f.store.check(f.broker.config.Prefix))
	return input(errors.Join(errs...))
}

// send counts the jobs, puts them into the queue and waits for them if that is wished.
func (a *app) send(ctx context.Context, f *enqueueFlags, plan batch.Plan, logger *slog.Logger) error {
	census, err := plan.Count()
	if errors.Is(err, errInterrupted) {
		return err
	}
	if err != nil {
		return input(err)
	}
	if census.Jobs == 0 {
		return input(errors.New("nothing to enqueue: the input has no rows"))
	}
	if f.dryRun {
		return a.dryRun(ctx, f, census)
	}
	pictures, err := openDownloads(&f.store, f.batch, logger)
	if err != nil {
		return err
	}
	t, logger, flush, err := f.telemetry.start(ctx, a.getenv, logger)
	if err != nil {
		return errors.Join(err, pictures.close())
	}
	defer flush()
	c, closeClient, err := f.broker.connect(ctx, logger)
	if err != nil {
		return errors.Join(err, pictures.close())
	}
	out := a.printer(f.json, f.store.keys(f.broker.config.Prefix))
	err = a.submit(ctx, f, submission{plan: plan, census: census, t: t, client: c, out: out, logger: logger})
	if err == nil && f.wait {
		err = a.follow(ctx, waiting{client: c, batch: f.batch, store: f.store.storeFlags, pictures: pictures, out: out, logger: logger})
	}
	return errors.Join(err, pictures.close(), closeClient())
}

// submission is what submit works with.
type submission struct {
	plan    batch.Plan
	census  batch.Census
	t       *otel.Telemetry
	client  *queue.Client
	out     printer
	logger  *slog.Logger
	command string // that sends it; "" is enqueue itself
}

// submit puts the jobs into the queue, under the command's span.
func (a *app) submit(ctx context.Context, f *enqueueFlags, s submission) (err error) {
	ctx, span := s.t.Tracer().Start(ctx, otel.SpanEnqueue, trace.WithAttributes(
		attribute.String("batch.id", f.batch), attribute.Int64("batch.jobs", s.census.Jobs)))
	defer func() {
		otel.Fail(span, err, "")
		span.End()
	}()
	if err := prepare(ctx, s.client, s.logger); err != nil {
		return interrupted(ctx, err, "nothing was sent")
	}
	model, err := defaultModel(ctx, s.client, s.census.Models, f.force)
	if err != nil {
		return interrupted(ctx, err, "nothing was sent")
	}
	if s.plan.Defaults.Model == "" {
		s.plan.Defaults.Model = model
	}
	resume := commandAgain(a.args, s.command, f.batch, model)
	s.out.begin(heading{Batch: f.batch, Total: s.census.Jobs, Priority: f.priority, Resume: resume, TraceID: otel.TraceID(ctx)})
	if err := a.remindOfServe(ctx, s.client, &f.webhook); err != nil {
		return interrupted(ctx, err, "nothing was sent")
	}
	receipt, err := batch.Submit(ctx, s.client, batch.Submission{
		Batch: f.batch, Priority: f.priority, Plan: s.plan, Total: s.census.Jobs, Webhook: f.webhook.url,
		Tracing: tracing(s.t),
		OnJobs:  s.out.jobs,
		OnFull: func(wait time.Duration) {
			s.logger.WarnContext(ctx, "the queue is full: waiting for room", slog.Duration("wait", wait.Round(time.Millisecond)))
		},
	})
	switch {
	case errors.Is(err, batch.ErrTaken):
		return fmt.Errorf("%w; follow it with: enqueue wait %s", err, f.batch)
	case err != nil:
		return interrupted(ctx, err, "what was sent stays in the queue; go on with: "+resume)
	}
	s.out.submitted(receipt)
	return nil
}
