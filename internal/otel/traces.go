package otel

import (
	"cmp"
	"context"
	"errors"

	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// buildTraces makes the tracer provider. Without an exporter spans are made
// all the same: results and log lines have trace ids, and what is published carries them.
func (t *Telemetry) buildTraces(ctx context.Context, o Options, res *resource.Resource) error {
	c := t.config
	keep := func(p sdktrace.SpanProcessor) sdktrace.SpanProcessor { return p }
	sampler := newSampler(c.Sampler, c.Ratio)
	if c.KeepErrors && c.Traces.Exported() {
		keep = func(p sdktrace.SpanProcessor) sdktrace.SpanProcessor { return newKeepErrors(p) }
		sampler = sdktrace.AlwaysRecord(sampler)
	}
	opts := []sdktrace.TracerProviderOption{
		sdktrace.WithResource(res), sdktrace.WithSampler(sampler), sdktrace.WithRawSpanLimits(c.Limits),
	}
	batch := []sdktrace.BatchSpanProcessorOption{
		sdktrace.WithBatchTimeout(c.Batch.Delay), sdktrace.WithExportTimeout(c.Batch.Timeout),
		sdktrace.WithMaxQueueSize(c.Batch.Queue), sdktrace.WithMaxExportBatchSize(c.Batch.Size),
	}
	if c.Traces.Console {
		x, err := stdouttrace.New(stdouttrace.WithWriter(o.Console))
		if err != nil {
			t.withoutExporter(ctx, o, signalTraces, err)
		} else {
			opts = append(opts, sdktrace.WithSpanProcessor(keep(sdktrace.NewBatchSpanProcessor(x, batch...))))
		}
	}
	if c.Traces.URL != nil {
		queue, err := t.spanQueue(o, batch)
		opts = append(opts, sdktrace.WithSpanProcessor(keep(queue)))
		if err := errors.Join(err, observeSpans(t.meter, queue), observeQueue(t.meter, "span", "batching_span_processor", queue.queueStats)); err != nil {
			return err
		}
	}
	provider := sdktrace.NewTracerProvider(opts...)
	t.stops = append(t.stops, provider.Shutdown)
	t.tracer = provider.Tracer(scope)
	return nil
}

// spanQueue makes the OTLP exporter of spans with what stands before it.
func (t *Telemetry) spanQueue(o Options, batch []sdktrace.BatchSpanProcessorOption) (*spanQueue, error) {
	s := t.config.Traces
	d := t.delivery(signalTraces, "otlp_http_span_exporter", s)
	stats := t.newQueue(d, t.config.Batch)
	q := &spanQueue{
		SpanProcessor: sdktrace.NewBatchSpanProcessor(&spanExporter{SpanExporter: newSpanClient(t.client(o, s), s, cmp.Or(o.ServiceVersion, "devel")), delivery: d}, batch...),
		queueStats:    stats, losses: t.losses,
	}
	return q, observeExporter(t.meter, "span", d)
}

func newSampler(name string, ratio float64) sdktrace.Sampler {
	switch name {
	case samplerAlwaysOn:
		return sdktrace.AlwaysSample()
	case samplerAlwaysOff:
		return sdktrace.NeverSample()
	case samplerRatio:
		return sdktrace.TraceIDRatioBased(ratio)
	case samplerParentBasedOff:
		return sdktrace.ParentBased(sdktrace.NeverSample())
	case samplerParentBasedRatio:
		return sdktrace.ParentBased(sdktrace.TraceIDRatioBased(ratio))
	default: // parentbased_always_on; ParseConfig lets no other name through
		return sdktrace.ParentBased(sdktrace.AlwaysSample())
	}
}
