package main

import (
	"encoding/json"
	"fmt"

	"github.com/stipple-ai/stipple/internal/batch"
	"github.com/stipple-ai/stipple/internal/queue"
)

// estimate is what a batch would be.
type estimate struct {
	Type   string          `json:"type"` // estimate
	Rows   int64           `json:"rows"`
	Jobs   int64           `json:"jobs"`
	Chunks int64           `json:"chunks"` // of up to 1000 jobs, each published as a whole
	Bytes  int64           `json:"bytes"`  // of the jobs in the queue, after the first one
	Models []string        `json:"models"` // that rows and flags name
	First  json.RawMessage `json:"first"`  // job
}

// dryRun says what the input would make, and sends nothing.
func (a *app) dryRun(f *enqueueFlags, c batch.Census) error {
	j := c.Sample
	j.BatchID = f.batch
	named := j.Model != ""
	if !named {
		j.Model = "m" // any valid model; the real one is known to the broker
	}
	body, err := j.Encode()
	if err != nil {
		return input(err)
	}
	e := estimate{Type: "estimate", Rows: c.Rows, Jobs: c.Jobs, Chunks: (c.Jobs + queue.ChunkSize - 1) / queue.ChunkSize, Bytes: c.Jobs * int64(len(body)), Models: []string{}}
	for _, m := range c.Models {
		if m != "" {
			e.Models = append(e.Models, m)
		}
	}
	if !named {
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(body, &fields); err != nil {
			return err
		}
		delete(fields, "model")
		if body, err = json.Marshal(fields); err != nil {
			return err
		}
	}
	e.First = body
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
	fmt.Fprintf(a.stdout, "%s make %s in %s, about %s in the queue\nmodel  %s\nfirst  %s\nnothing was sent\n",
		count(e.Rows, "row"), count(e.Jobs, "job"), count(e.Chunks, "chunk"), size(e.Bytes), model, printable(string(body)))
	return nil
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
