package otel

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// What telemetry says of itself, under the conventions' names (otel.sdk.*). The
// SDK has such metrics of its own behind OTEL_GO_X_OBSERVABILITY; they need the
// global meter provider, and know neither this package's queues nor its retries.

// Attributes of them.
const (
	componentName = attribute.Key("otel.component.name")
	componentType = attribute.Key("otel.component.type")
)

// exporterStats counts what one exporter does. Items are spans, log records or data points.
type exporterStats struct {
	inflight, exported atomic.Int64
	// duration is nil until there is an instrument: the exporter of metrics is there before.
	duration atomic.Pointer[metric.Float64Histogram]
	attrs    []attribute.KeyValue // name, type, server.address, server.port
}

func (s *exporterStats) begin(n int) { s.inflight.Add(int64(n)) }

// again takes back a begin whose items are sent in another form.
func (s *exporterStats) again(n int) { s.inflight.Add(int64(-n)) }

// end notes that of n items ok were exported; reason is "" or why not all of them were.
func (s *exporterStats) end(ctx context.Context, n, ok int, reason string, d time.Duration) {
	s.inflight.Add(int64(-n))
	s.exported.Add(int64(ok))
	if h := s.duration.Load(); h != nil {
		(*h).Record(ctx, d.Seconds(), with(append([]attribute.KeyValue{optional(ErrorType, reason)}, s.attrs...)...))
	}
}

// component are the attributes of a part of the SDK, of which there is one of each type.
func component(kind string) []attribute.KeyValue {
	return []attribute.KeyValue{componentName.String(kind + "/0"), componentType.String(kind)}
}

// exporterAttrs are the attributes of an exporter.
func exporterAttrs(kind string, u *url.URL) []attribute.KeyValue {
	attrs := append(component(kind), ServerAddress.String(u.Hostname()))
	port := map[string]int{"http": 80, "https": 443}[u.Scheme]
	if n, err := strconv.Atoi(u.Port()); err == nil { // "" where the address has none
		port = n
	}
	return append(attrs, ServerPort.Int(port))
}

// observeLosses makes metrics of the losses.
func observeLosses(m metric.Meter, l *losses) error {
	i := &instruments{meter: m}
	failures := i.counter("worker.telemetry.export.failures", "{export}", "Exports that failed for good, and drops.")
	dropped := i.counter("worker.telemetry.dropped", "{item}", "Spans, log records and metric data points that were lost.")
	return i.observe(func(_ context.Context, o metric.Observer) error {
		for _, c := range l.counts() {
			attrs := metric.WithAttributes(signalKey.String(c.signal), reasonKey.String(c.reason))
			o.ObserveInt64(failures, c.failures, attrs)
			o.ObserveInt64(dropped, c.items, attrs)
		}
		return nil
	})
}

// observeExporter makes metrics of one signal's exporter; noun is span, log or metric_data_point.
func observeExporter(m metric.Meter, noun string, d *delivery) error {
	duration, err := m.Float64Histogram("otel.sdk.exporter.operation.duration", metric.WithUnit("s"),
		metric.WithDescription("Time of exporting one batch, retries included."), metric.WithExplicitBucketBoundaries(secondsShort...))
	if err != nil {
		return err
	}
	d.stats.duration.Store(&duration)
	i := &instruments{meter: m}
	unit := "{" + map[string]string{"span": "span", "log": "log_record", "metric_data_point": "data_point"}[noun] + "}"
	inflight := i.upDown("otel.sdk.exporter."+noun+".inflight", unit, "Items being exported.")
	exported := i.counter("otel.sdk.exporter."+noun+".exported", unit, "Items whose export has ended, by error.")
	attrs := with(slices.Clone(d.stats.attrs)...) // with sorts what it gets, and the exporter of metrics may be at work
	return i.observe(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(inflight, d.stats.inflight.Load(), attrs)
		o.ObserveInt64(exported, d.stats.exported.Load(), attrs)
		for _, c := range d.losses.counts() {
			if c.signal == d.signal && c.reason != reasonQueueFull && c.items > 0 {
				o.ObserveInt64(exported, c.items, with(append([]attribute.KeyValue{ErrorType.String(c.reason)}, d.stats.attrs...)...))
			}
		}
		return nil
	})
}

// observeQueue makes metrics of the queue before an exporter; noun is span or log.
func observeQueue(m metric.Meter, noun, kind string, q *queueStats) error {
	i := &instruments{meter: m}
	unit := "{" + map[string]string{"span": "span", "log": "log_record"}[noun] + "}"
	prefix := "otel.sdk.processor." + noun
	size := i.upDown(prefix+".queue.size", unit, "Items waiting, or being exported.")
	capacity := i.upDown(prefix+".queue.capacity", unit, "Most items that may wait.")
	processed := i.counter(prefix+".processed", unit, "Items taken, and with an error those refused.")
	attrs := with(component(kind)...)
	full := with(append(component(kind), ErrorType.String(reasonQueueFull))...)
	return i.observe(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(size, q.size.Load(), attrs)
		o.ObserveInt64(capacity, q.limit, attrs)
		o.ObserveInt64(processed, q.processed.Load(), attrs)
		o.ObserveInt64(processed, q.refused.Load(), full)
		return nil
	})
}

// observeSpans makes metrics of the spans that are made to be exported.
func observeSpans(m metric.Meter, q *spanQueue) error {
	i := &instruments{meter: m}
	started := i.counter("otel.sdk.span.started", "{span}", "Sampled spans that were started.")
	live := i.upDown("otel.sdk.span.live", "{span}", "Sampled spans that have not ended.")
	attrs := with(attribute.String("otel.span.sampling_result", "RECORD_AND_SAMPLE"))
	return i.observe(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(started, q.started.Load(), attrs)
		o.ObserveInt64(live, q.live.Load(), attrs)
		return nil
	})
}
