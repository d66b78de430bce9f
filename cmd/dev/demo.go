package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/stipple-ai/stipple/internal/batch"
	"github.com/stipple-ai/stipple/internal/gallery"
	"github.com/stipple-ai/stipple/internal/ops"
)

// runDemo is `dev demo`.
func runDemo(ctx context.Context, p process, c *config, prompts []string) error {
	began := time.Now()
	if err := checkOut(c.out); err != nil {
		return configError(err)
	}
	plan := demoPlan(c.served[0].Name, prompts)
	census, err := plan.Count()
	if err != nil {
		return configError(err)
	}
	if err := c.fetch(ctx, p.stderr); err != nil {
		return err
	}
	show := &progress{out: p.stderr, width: p.width}
	page, err := drawDemo(ctx, c, plan, census.Jobs, show)
	show.end()
	if ctx.Err() != nil {
		return errors.Join(errInterrupted, err)
	}
	if err != nil {
		return err
	}
	if err := writeOutput(c.out, page); err != nil {
		return err
	}
	return reportDemo(p.stdout, c, page, time.Since(began))
}

// demoPlan is a job for each prompt, or for each of the demo's own.
func demoPlan(model string, prompts []string) batch.Plan {
	plan := batch.Plan{Rows: batch.Args(prompts...)}
	if len(prompts) == 0 {
		plan.Rows = demoRows()
	}
	plan.Defaults.Model = model
	return plan
}

// drawDemo starts everything, has the plan's jobs drawn, and stops everything again.
func drawDemo(ctx context.Context, c *config, plan batch.Plan, jobs int64, show *progress) (page gallery.Page, err error) {
	dir, err := os.MkdirTemp("", "stipple-demo-")
	if err != nil {
		return page, fmt.Errorf("making a folder for the servers' data: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	show.note("starting a broker, a store, a collector and a worker")
	s, err := startServices(dir, addresses{"127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"}, c.log)
	if err != nil {
		return page, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()

	client, err := s.connect(ctx, "stipple demo", c)
	if err != nil {
		return page, err
	}
	defer func() { err = errors.Join(err, client.Close(context.WithoutCancel(ctx))) }()

	w, alive := startWorker(ctx, c.workerConfig(s))
	o, err := order(alive, client, s, c, plan, jobs, show)
	if broken := w.leave(); broken != nil {
		return page, broken // why there was no picture
	}
	if err != nil {
		return page, err
	}
	// Now that the worker has left, its last spans are here.
	return o.page(tracesOf(s.otlp.Spans())), nil
}

// reportDemo says where everything is. The error tells of jobs that failed.
func reportDemo(w io.Writer, c *config, page gallery.Page, took time.Duration) error {
	var failed []string
	for _, p := range page.Pictures {
		if p.Failed() {
			failed = append(failed, fmt.Sprintf("%s: %s", p.ID, p.Error))
		}
	}
	drawn := len(page.Pictures) - len(failed)
	if c.json {
		report := demoReport{
			Type: "demo", Pictures: drawn, Failed: len(failed), Seconds: page.Took.Seconds(), TotalSeconds: took.Seconds(),
			Page: filepath.Join(c.outAs, pageFile), Images: filepath.Join(c.outAs, imagesDir),
		}
		if err := json.NewEncoder(w).Encode(report); err != nil {
			return fmt.Errorf("writing the report: %w", err)
		}
		return demoFailure(failed, len(page.Pictures))
	}
	fmt.Fprintf(w, "%s in %s, %.1f images/s; with starting and stopping everything %s\n\n", ops.Plural(drawn, "picture"),
		gallery.FormatDuration(page.Took), float64(drawn)/page.Took.Seconds(), gallery.FormatDuration(took))
	fmt.Fprintf(w, "  %s   each picture, its prompt and where its time went; open it in a browser\n", filepath.Join(c.outAs, pageFile))
	if drawn > 0 {
		fmt.Fprintf(w, "  %s\n  %s\n", filepath.Join(c.outAs, sheetFile), filepath.Join(c.outAs, imagesDir)+string(filepath.Separator))
	}
	return demoFailure(failed, len(page.Pictures))
}

// demoFailure tells of jobs that failed.
func demoFailure(failed []string, of int) error {
	if len(failed) == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d jobs failed, the first: %s", len(failed), of, failed[0])
}

// demoReport is the line of `dev demo --json`.
type demoReport struct {
	Type         string  `json:"type"` // demo
	Pictures     int     `json:"pictures"`
	Failed       int     `json:"failed"`
	Seconds      float64 `json:"seconds"`       // from the first job to the last picture
	TotalSeconds float64 `json:"total_seconds"` // with starting and stopping everything
	Page         string  `json:"page"`
	Images       string  `json:"images"` // a folder
}
