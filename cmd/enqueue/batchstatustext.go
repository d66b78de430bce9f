package main

import (
	"fmt"
	"io"
	"time"

	"github.com/stipple-ai/stipple/internal/ops"
	"github.com/stipple-ai/stipple/internal/queue"
)

// write writes the status of a batch for people.
func (b *batchStatus) write(w io.Writer, now time.Time) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-8s %s\n", name, fmt.Sprintf(format, args...))
	}
	state := b.State
	if b.State == queue.BatchEnqueuing {
		state = fmt.Sprintf("%s, %d of %d sent", b.State, b.Sent, b.Total)
	}
	line("batch", "%s  %s, %s", b.BatchID, state, ops.Plural(b.Total, "job"))
	if !b.Created.IsZero() {
		line("begun", "%s (%s UTC)", ago(b.Created, now), b.Created.UTC().Format(time.DateTime))
	}
	line("done", "%d of %d: %s", b.Summary.Total(), b.Total, b.outcome)
	if !b.Done {
		line("queue", "%s or running", isOrAre(b.Waiting, "job")+" waiting")
		switch {
		case b.Rate == 0:
			line("rate", "no result in the last minute")
		case b.SecondsLeft > 0:
			line("rate", "%.3g a second in the last minute, about %v left", b.Rate, roughly(time.Duration(min(b.SecondsLeft, maxSeconds)*float64(time.Second))))
		default:
			line("rate", "%.3g a second in the last minute", b.Rate)
		}
	}
	if b.Bucket != "" {
		line("images", "s3://%s/%s", printable(b.Bucket), printable(b.Prefix))
	}
	if b.TraceID != "" {
		line("trace", "%s", b.TraceID)
	}
	if len(b.Failures) == 0 {
		return
	}
	fmt.Fprintln(w)
	t := newTable("JOB", "STATUS", "TRACE", "REASON")
	for _, f := range b.Failures {
		reason := "its deadline had passed"
		if f.Error != nil {
			reason = f.Error.Type + ": " + f.Error.Message
		}
		t.add(f.ID, f.Status, f.TraceID, reason)
	}
	t.write(w)
	if more := b.Failed + b.Expired - int64(len(b.Failures)); more > 0 {
		fmt.Fprintf(w, "… and %d more (enqueue dlq list %s)\n", more, b.BatchID)
	}
}
