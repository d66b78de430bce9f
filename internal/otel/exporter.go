package otel

import (
	"context"
	"errors"
	"sync/atomic"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/protobuf/proto"
)

const (
	signalTraces  = "traces"
	signalMetrics = "metrics"
)

// spanQueue stands before the SDK's batch processor, whose own queue drops in
// silence: here a span that finds no room is counted. pending are the spans
// accepted and not yet exported or lost, the batch under way included.
type spanQueue struct {
	sdktrace.SpanProcessor
	limit   int64
	pending *atomic.Int64
	losses  *losses
}

// OnEnd implements [sdktrace.SpanProcessor].
func (q *spanQueue) OnEnd(s sdktrace.ReadOnlySpan) {
	if !s.SpanContext().IsSampled() {
		return
	}
	if q.pending.Add(1) > q.limit {
		q.pending.Add(-1)
		q.losses.add(signalTraces, reasonQueueFull, 1, nil)
		return
	}
	q.SpanProcessor.OnEnd(s)
}

// spanExporter sends batches through a sender and counts what is lost. It
// returns no errors: the batch processor could only pass them to a global handler.
type spanExporter struct {
	sdktrace.SpanExporter // makes one attempt
	sender                *sender
	losses                *losses
	pending               *atomic.Int64
}

// ExportSpans implements [sdktrace.SpanExporter].
func (e *spanExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	e.export(ctx, spans, false)
	e.pending.Add(int64(-len(spans)))
	return nil
}

func (e *spanExporter) export(ctx context.Context, spans []sdktrace.ReadOnlySpan, clean bool) {
	err := e.sender.do(ctx, func(ctx context.Context) error { return e.SpanExporter.ExportSpans(ctx, spans) })
	failed, ok := errors.AsType[*exportError](err)
	switch {
	case !ok: // no error: a sender returns no other kind
	case errors.Is(err, proto.Error) && !clean:
		// One byte that is no UTF-8, in one attribute of one span: the SDK does not look, and protobuf refuses the batch.
		e.export(ctx, cleanSpans(spans), true)
	case failed.reason == reasonTooLarge && len(spans) > 1:
		e.export(ctx, spans[:len(spans)/2], clean)
		e.export(ctx, spans[len(spans)/2:], clean)
	case failed.items >= 0:
		e.losses.add(signalTraces, failed.reason, failed.items, err)
	default:
		e.losses.add(signalTraces, failed.reason, len(spans), err)
	}
}

// metricExporter does the same for metrics, where a loss is one export:
// cumulative sums make up for it with the next, deltas do not.
type metricExporter struct {
	metric.Exporter
	sender *sender
	losses *losses
}

// Export implements [metric.Exporter].
func (e *metricExporter) Export(ctx context.Context, rm *metricdata.ResourceMetrics) error {
	err := e.sender.do(ctx, func(ctx context.Context) error { return e.Exporter.Export(ctx, rm) })
	if failed, ok := errors.AsType[*exportError](err); ok {
		e.losses.add(signalMetrics, failed.reason, 1, err)
	}
	return nil
}
