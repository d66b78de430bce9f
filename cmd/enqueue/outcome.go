package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/stipple-ai/stipple/internal/batch"
	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/upload"
)

// source is where the counts of a batch come from.
type source string

const (
	fromResults source = "results" // every job has one
	fromRecord  source = "record"  // of the batch, where they were written when it was done
	fromBucket  source = "bucket"  // the pictures that lie there
)

// outcome is what became of the jobs of a batch that is done.
type outcome struct {
	Total   int64
	Summary queue.Summary
	Source  source
	Gone    int64 // results that were kept long enough
	Unknown int64 // jobs of which nothing is known any more; they failed, or their pictures were deleted
}

// String says how many there are of each, and where from.
func (o outcome) String() string {
	s := o.Summary.String()
	if o.Unknown > 0 {
		s += fmt.Sprintf(", %d unknown", o.Unknown)
	}
	switch o.Source {
	case fromRecord:
		s += " (by the batch's record)"
	case fromBucket:
		s += " (by the pictures in the bucket)"
	case fromResults:
	}
	return s
}

// verdict is the error that stands for the exit code of a batch that is done.
func (o outcome) verdict(id string) error {
	switch bad := o.Summary.Failed + o.Summary.Expired; {
	case o.Source != fromResults:
		return fmt.Errorf("batch %s: %d of %d %w: they are kept for seven days; the counts come from %s", id, o.Gone, o.Total, errGone, o.Source.describe())
	case bad > 0:
		return fmt.Errorf("batch %s: %d of %d %w", id, bad, o.Total, errJobsFailed)
	case o.Summary.Cancelled > 0:
		return fmt.Errorf("batch %s: %d of %d %w", id, o.Summary.Cancelled, o.Total, errJobsCancelled)
	}
	return nil
}

func (s source) describe() string {
	if s == fromRecord {
		return "the batch's record"
	}
	return "the pictures in the bucket"
}

// outcome makes of the last update what became of the jobs, and writes it into the batch's record.
func (w waiting) outcome(ctx context.Context, last batch.Update) (outcome, error) {
	o := outcome{Total: last.Total, Summary: last.Summary, Source: fromResults, Gone: last.Gone}
	switch {
	case last.Gone == 0:
		if err := batch.KeepSummary(ctx, w.client, w.batch, &o.Summary); err != nil {
			w.logger.WarnContext(ctx, "the counts were not written into the batch's record", slog.Any("error", err))
		}
	case last.Kept != nil && last.Kept.Total() >= last.Total:
		o.Summary, o.Source = *last.Kept, fromRecord
	default:
		o.Source = fromBucket
		pictures, err := w.store.countPictures(ctx, w.batch)
		if err != nil {
			return o, fmt.Errorf("%d of %d results of batch %s are gone, and counting its pictures instead failed: %w", last.Gone, last.Total, w.batch, err)
		}
		// Pictures of jobs that have a result are counted by that already.
		o.Summary.Succeeded = max(o.Summary.Succeeded, pictures)
		o.Unknown = max(o.Total-o.Summary.Total(), 0)
	}
	return o, nil
}

// countPictures counts the jobs of a batch whose picture lies in the bucket.
func (f storeFlags) countPictures(ctx context.Context, id string) (int64, error) {
	if f.config.Bucket == "" {
		return 0, errors.New("S3_BUCKET (--s3-bucket) is not set, and no result names the bucket")
	}
	store, err := upload.Open(ctx, f.config, nil)
	if err != nil {
		return 0, err
	}
	defer store.Close()
	count, last := int64(0), int64(-1)
	for o, err := range store.List(ctx, upload.BatchPrefix(f.config.Prefix, id)) {
		if err != nil {
			return 0, err
		}
		// Keys come in order, so those of one job are neighbours.
		if k, ok := upload.ParseKey(f.config.Prefix, o.Key); ok && k.Batch == id && k.Index != last {
			last = k.Index
			count++
		}
	}
	return count, nil
}
