package main

import (
	"context"
	"strings"
	"time"

	"github.com/stipple-ai/stipple/internal/batch"
	"github.com/stipple-ai/stipple/internal/ops"
	"github.com/stipple-ai/stipple/internal/queue"
)

// batchStatus is all that can be told of one batch. Its JSON is that of `enqueue status BATCH --json`.
type batchStatus struct {
	Type    string    `json:"type"` // batch_status
	BatchID string    `json:"batch_id"`
	State   string    `json:"state"`
	Created time.Time `json:"created,omitzero"`
	TraceID string    `json:"trace_id,omitempty"` // of the enqueue that began it
	Total   int64     `json:"total"`
	Sent    int64     `json:"sent"`    // jobs that were published
	Waiting int64     `json:"waiting"` // in the queue, those that run included
	queue.Summary
	Unknown int64  `json:"unknown"` // jobs of which nothing is known any more
	Source  source `json:"source"`  // of the counts
	Done    bool   `json:"done"`    // nothing more will come

	Rate        float64       `json:"rate"`                   // results a second, over the last minute
	SecondsLeft float64       `json:"seconds_left,omitempty"` // at that rate
	Bucket      string        `json:"bucket,omitempty"`       // where the pictures lie
	Prefix      string        `json:"prefix"`                 // what their keys begin with
	Failures    []failureLine `json:"failures"`               // the first few, as they were recorded
	outcome     outcome
}

// failureLine is a job that came to a bad end.
type failureLine struct {
	ID      string             `json:"id"`
	Status  string             `json:"status"`
	Error   *queue.ResultError `json:"error,omitempty"`
	TraceID string             `json:"trace_id,omitempty"`
}

// shownFailures bounds the failures that are told.
const shownFailures = 5

// readBatch gathers the status of a batch: one pass over its results.
func (w waiting) readBatch(ctx context.Context) (batchStatus, error) {
	b := batchStatus{Type: "batch_status", BatchID: w.batch, Failures: []failureLine{}, Prefix: w.store.config.Prefix + w.batch + "/", Bucket: w.store.config.Bucket}
	record, err := w.client.GetBatch(ctx, w.batch)
	if err != nil {
		return b, err
	}
	b.State, b.Created, b.TraceID, b.Total, b.Sent = record.State, record.Created, record.TraceID, record.Total, record.Cursor
	// The queue first: what leaves it has its result by then.
	if b.Waiting, err = w.client.WaitingJobs(ctx, w.batch); err != nil {
		return b, err
	}
	_, settled, err := w.client.Settled(ctx, w.batch)
	if err != nil {
		return b, err
	}
	var tally queue.Tally
	var times ops.Rate
	for r, err := range w.client.ReadResults(ctx, w.batch) {
		if err != nil {
			return b, err
		}
		tally.Add(r.Result)
		times.Add(r.Stored)
		b.note(r.Result)
	}
	last := batch.Update{Summary: tally.Summary(), Total: b.Total, State: b.State, Kept: record.Summary}
	missing := max(b.Total-last.Summary.Total(), 0)
	switch {
	case b.State == queue.BatchCancelled:
		last.Summary.Cancelled += missing
		b.Done = settled
	case settled && (missing == 0 || b.State == queue.BatchCommitted):
		b.Done, last.Gone = true, missing
	}
	b.outcome = outcome{Total: b.Total, Summary: last.Summary, Source: fromResults}
	if b.Done && b.State != queue.BatchCancelled { // of which some may still run
		if b.outcome, err = w.outcome(ctx, last); err != nil {
			return b, err
		}
	} else if b.Rate = times.PerSecond(time.Now()); b.Rate > 0 {
		b.SecondsLeft = float64(missing) / b.Rate
	}
	b.Summary, b.Source, b.Unknown = b.outcome.Summary, b.outcome.Source, b.outcome.Unknown
	return b, nil
}

// note keeps what a result tells beside its status.
func (b *batchStatus) note(r queue.Result) {
	if r.Image != nil && r.Image.Key != "" {
		b.Bucket = r.Image.Bucket
		if i := strings.LastIndexByte(r.Image.Key, '/'); i >= 0 {
			b.Prefix = r.Image.Key[:i+1]
		}
	}
	if (r.Status == queue.Failed || r.Status == queue.Expired) && len(b.Failures) < shownFailures {
		b.Failures = append(b.Failures, failureLine{r.Identity().String(), r.Status, r.Error, r.TraceID})
	}
}
