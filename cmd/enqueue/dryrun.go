package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/stipple-ai/stipple/internal/batch"
	"github.com/stipple-ai/stipple/internal/ops"
	"github.com/stipple-ai/stipple/internal/queue"
)

// estimate is what a batch would be.
type estimate struct {
	Type   string          `json:"type"` // estimate
	Rows   int64           `json:"rows"`
	Jobs   int64           `json:"jobs"`
	Chunks int64           `json:"chunks"` // of up to 1000 jobs, each published as a whole
	Bytes  int64           `json:"bytes"`  // of the jobs in the queue
	Models []string        `json:"models"` // that rows and flags name
	Steps  int64           `json:"steps"`  // of all pictures; 0 where a model's default is not known
	Pace   *paceEstimate   `json:"pace,omitempty"`
	First  json.RawMessage `json:"first"` // job
}

// paceEstimate is how long a batch would take, by what the workers say of themselves.
type paceEstimate struct {
	Workers        int     `json:"workers"` // that serve these models and were heard
	StepsPerSecond float64 `json:"steps_per_second"`
	Seconds        float64 `json:"seconds,omitempty"` // left out where nobody draws now, or steps are not known
}

// dryRun says what the input would make, and sends nothing.
func (a *app) dryRun(ctx context.Context, f *enqueueFlags, c batch.Census) error {
	e, err := f.estimate(c)
	if err != nil {
		return err
	}
	why, err := f.addPace(ctx, c, &e)
	if err != nil {
		return err
	}
	if f.json {
		line, err := json.Marshal(e)
		if err != nil {
			return err
		}
		fmt.Fprintf(a.stdout, "%s\n", line)
		return nil
	}
	model := "the only one that workers have registered"
	if len(e.Models) > 0 {
		model = fmt.Sprint(e.Models)
	}
	fmt.Fprintf(a.stdout, "%s make %s in %s, about %s in the queue\nmodel  %s\n",
		ops.Plural(e.Rows, "row"), ops.Plural(e.Jobs, "job"), ops.Plural(e.Chunks, "chunk"), size(e.Bytes), model)
	if e.Steps > 0 {
		fmt.Fprintf(a.stdout, "steps  %d, %.4g a picture\n", e.Steps, float64(e.Steps)/float64(e.Jobs))
	}
	if e.Pace != nil && e.Pace.Seconds > 0 {
		fmt.Fprintf(a.stdout, "time   about %v at what %s now (%.4g steps a second)\n",
			roughly(time.Duration(min(e.Pace.Seconds, maxSeconds)*float64(time.Second))), does(e.Pace.Workers), e.Pace.StepsPerSecond)
	} else {
		fmt.Fprintf(a.stdout, "time   not known: %s\n", why)
	}
	fmt.Fprintf(a.stdout, "first  %s\nnothing was sent\n", printable(string(e.First)))
	return nil
}

// maxSeconds keeps a time within what a time.Duration holds.
const maxSeconds = 9e9

func does(workers int) string {
	if workers == 1 {
		return "1 worker does"
	}
	return fmt.Sprintf("%d workers do", workers)
}

// estimate is what the input alone tells.
func (f *enqueueFlags) estimate(c batch.Census) (estimate, error) {
	j := c.Sample
	j.BatchID = f.batch
	named := j.Model != ""
	if !named {
		j.Model = "m" // any valid model; the real one is known to the broker
	}
	body, err := j.Encode()
	if err != nil {
		return estimate{}, input(err)
	}
	e := estimate{Type: "estimate", Rows: c.Rows, Jobs: c.Jobs, Chunks: (c.Jobs + queue.ChunkSize - 1) / queue.ChunkSize, Models: []string{}}
	e.Bytes = c.Text + c.Jobs*int64(len(body)-len(queue.Or(j.Prompt, ""))-len(queue.Or(j.NegativePrompt, "")))
	e.Models = append(e.Models, slices.DeleteFunc(slices.Clone(c.Models), func(m string) bool { return m == "" })...)
	if !named {
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(body, &fields); err != nil {
			return estimate{}, err
		}
		delete(fields, "model")
		if body, err = json.Marshal(fields); err != nil {
			return estimate{}, err
		}
	}
	e.First = body
	e.Steps = steps(c.Work, nil)
	return e, nil
}

// steps are those of all jobs, 0 where a job leaves them to a model that is not known.
func steps(work []batch.Work, models []queue.Model) int64 {
	total := int64(0)
	for _, w := range work {
		n := w.Steps
		if n == 0 {
			i := slices.IndexFunc(models, func(m queue.Model) bool { return m.Name == w.Model || w.Model == "" && len(models) == 1 })
			if i < 0 || models[i].Defaults.NumInferenceSteps == 0 {
				return 0
			}
			n = models[i].Defaults.NumInferenceSteps
		}
		total += int64(n) * w.Jobs
	}
	return total
}

// brokerPatience is how long a dry run waits for a broker, which it can do without.
const brokerPatience = time.Second

// addPace adds what broker and workers know: the models' own steps, and how many the workers take in a second. Why
// says what keeps the time from being known.
func (f *enqueueFlags) addPace(ctx context.Context, c batch.Census, e *estimate) (why string, err error) {
	short, cancel := context.WithTimeout(ctx, brokerPatience)
	defer cancel()
	client, closeClient, err := f.broker.connect(short, slog.New(slog.DiscardHandler))
	_, setting := errors.AsType[*queue.ConfigError](err)
	switch {
	case ctx.Err() != nil:
		return "", errInterrupted
	case setting:
		return "", err
	case err != nil:
		return "the broker does not answer", nil
	}
	defer func() { err = errors.Join(err, closeClient()) }()
	asking, cancelAsking := context.WithTimeout(ctx, brokerPatience)
	defer cancelAsking()
	models, err := client.ListModels(asking)
	switch {
	case ctx.Err() != nil:
		return "", errInterrupted
	case err != nil && asking.Err() != nil:
		return "the broker does not answer", nil
	case err != nil:
		return "no worker has registered a model", nil
	}
	named := e.Models
	if slices.Contains(c.Models, "") && len(models) == 1 {
		named = append(slices.Clone(named), models[0].Name)
	}
	workers, err := ops.HearWorkers(ctx, client)
	if err != nil || ctx.Err() != nil {
		return "", interrupted(ctx, err, "nothing was sent")
	}
	workers = ops.Serving(workers, named)
	e.Steps = steps(c.Work, models)
	e.Pace = &paceEstimate{Workers: len(workers), StepsPerSecond: pace(workers)}
	switch {
	case len(workers) == 0:
		return fmt.Sprintf("no worker of these models was heard within %v", ops.HearFor), nil
	case e.Pace.StepsPerSecond == 0:
		return fmt.Sprintf("%s is heard, and none is drawing", ops.Plural(len(workers), "worker")), nil
	case e.Steps == 0:
		return "the steps of a model are not known", nil
	}
	e.Pace.Seconds = float64(e.Steps) / e.Pace.StepsPerSecond
	return "", nil
}

// size is a number of bytes for people.
func size(n int64) string {
	switch {
	case n < 10_000:
		return fmt.Sprintf("%d bytes", n)
	case n < 10_000_000:
		return fmt.Sprintf("%d kB", n/1000)
	}
	return fmt.Sprintf("%d MB", n/1_000_000)
}
