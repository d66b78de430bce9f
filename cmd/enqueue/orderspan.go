package main

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/stipple-ai/stipple/internal/batch"
	"github.com/stipple-ai/stipple/internal/otel"
)

// tracing is what batch.Submit takes of the telemetry.
func tracing(t *otel.Telemetry) batch.Tracing {
	return batch.Tracing{
		Tracer: t.Tracer(), Inject: t.Propagator.Inject,
		Fail: func(span trace.Span, err error) { otel.Fail(span, err, "") },
	}
}

// orderSpan starts the span of an order that comes from the page, as enqueue has one of its own.
func orderSpan(t *otel.Telemetry) func(ctx context.Context, batch string, jobs int64) (context.Context, func(error)) {
	return func(ctx context.Context, batch string, jobs int64) (context.Context, func(error)) {
		ctx, span := t.Tracer().Start(ctx, otel.SpanEnqueue, trace.WithAttributes(
			attribute.String("batch.id", batch), attribute.Int64("batch.jobs", jobs)))
		return ctx, func(err error) {
			otel.Fail(span, err, "")
			span.End()
		}
	}
}
