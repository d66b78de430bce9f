package otel

import (
	"context"
	"errors"
	"time"

	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

const (
	signalTraces  = "traces"
	signalMetrics = "metrics"
	signalLogs    = "logs"
)

// delivery brings the batches of one signal to its collector: it retries,
// divides and counts. The exporters below return no errors, for the SDK could
// only pass them to a global handler.
type delivery struct {
	signal string
	sender *sender
	losses *losses
	queue  *queueStats // before it; nil for metrics, which wait nowhere
	stats  exporterStats
}

// deliver sends items. A batch that the collector finds too large goes in
// halves. weight is what one item counts for.
func deliver[T any](ctx context.Context, d *delivery, items []T, weight func(T) int, send func(context.Context, []T) error) {
	begin := time.Now()
	n := 0
	for _, x := range items {
		n += weight(x)
	}
	d.stats.begin(n)
	err := d.sender.do(ctx, func(ctx context.Context) error { return send(ctx, items) })
	failed, bad := errors.AsType[*exportError](err) // a sender returns no other kind
	switch {
	case !bad:
		if d.queue != nil {
			d.queue.left(len(items))
		}
		d.stats.end(ctx, n, n, "", time.Since(begin))
	case failed.reason == reasonTooLarge && len(items) > 1:
		d.stats.again(n)
		half := len(items) / 2
		deliver(ctx, d, items[:half], weight, send)
		deliver(ctx, d, items[half:], weight, send)
	default:
		lost := n
		if failed.items >= 0 {
			lost = min(n, failed.items)
		}
		d.losses.give(d.signal, failed.reason, lost, err, d.queue, len(items))
		d.stats.end(ctx, n, n-lost, failed.reason, time.Since(begin))
	}
}

func one[T any](T) int { return 1 }

// spanExporter makes its attempts with a spanClient.
type spanExporter struct {
	sdktrace.SpanExporter
	*delivery
}

// ExportSpans implements [sdktrace.SpanExporter].
func (e *spanExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	deliver(ctx, e.delivery, spans, one, e.SpanExporter.ExportSpans)
	return nil
}

// logExporter does the same for log records, with the SDK's exporter; the handler has cleaned their text.
type logExporter struct {
	sdklog.Exporter
	*delivery
}

// Export implements [sdklog.Exporter].
func (e *logExporter) Export(ctx context.Context, records []sdklog.Record) error {
	deliver(ctx, e.delivery, records, one, e.Exporter.Export)
	return nil
}

// metricExporter does the same for metrics, counted in data points: cumulative
// sums make up for a lost one with the next, deltas do not.
type metricExporter struct {
	metric.Exporter
	*delivery
}

// Export implements [metric.Exporter].
func (e *metricExporter) Export(ctx context.Context, rm *metricdata.ResourceMetrics) error {
	items := flatten(rm)
	if len(items) == 0 {
		return nil
	}
	deliver(ctx, e.delivery, items, dataPoints, func(ctx context.Context, some []scopedMetric) error {
		if len(some) == len(items) {
			return e.Exporter.Export(ctx, rm)
		}
		return e.Exporter.Export(ctx, gather(rm, some))
	})
	return nil
}

// scopedMetric is one metric and the place of its scope in the export.
type scopedMetric struct {
	scope  int
	metric metricdata.Metrics
}

func flatten(rm *metricdata.ResourceMetrics) []scopedMetric {
	var out []scopedMetric
	for i, sm := range rm.ScopeMetrics {
		for _, m := range sm.Metrics {
			out = append(out, scopedMetric{i, m})
		}
	}
	return out
}

// gather makes an export of some of rm's metrics, which are in rm's order.
func gather(rm *metricdata.ResourceMetrics, some []scopedMetric) *metricdata.ResourceMetrics {
	out := &metricdata.ResourceMetrics{Resource: rm.Resource}
	last := -1
	for _, x := range some {
		if x.scope != last {
			out.ScopeMetrics = append(out.ScopeMetrics, metricdata.ScopeMetrics{Scope: rm.ScopeMetrics[x.scope].Scope})
			last = x.scope
		}
		into := &out.ScopeMetrics[len(out.ScopeMetrics)-1]
		into.Metrics = append(into.Metrics, x.metric)
	}
	return out
}

// dataPoints counts those of a metric, of the kinds that this program's instruments make.
func dataPoints(x scopedMetric) int {
	switch d := x.metric.Data.(type) {
	case metricdata.Sum[int64]:
		return len(d.DataPoints)
	case metricdata.Sum[float64]:
		return len(d.DataPoints)
	case metricdata.Gauge[int64]:
		return len(d.DataPoints)
	case metricdata.Gauge[float64]:
		return len(d.DataPoints)
	case metricdata.Histogram[int64]:
		return len(d.DataPoints)
	case metricdata.Histogram[float64]:
		return len(d.DataPoints)
	case metricdata.ExponentialHistogram[int64]:
		return len(d.DataPoints)
	case metricdata.ExponentialHistogram[float64]:
		return len(d.DataPoints)
	default:
		return 1
	}
}
