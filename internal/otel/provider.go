package otel

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/otlptranslator"
	runtimemetrics "go.opentelemetry.io/contrib/instrumentation/runtime"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	promexporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/exporters/stdout/stdoutmetric"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// build makes the providers; on an error Shutdown ends what is there.
func (t *Telemetry) build(ctx context.Context, o Options) error {
	res, err := newResource(ctx, o, t.config.Resource)
	if err != nil {
		return err
	}
	if err := t.buildMetrics(ctx, o, res); err != nil {
		return err
	}
	if t.config.NoTracing {
		return nil
	}
	return t.buildTraces(ctx, o, res)
}

// newResource describes the process. The environment comes last and wins. The
// command line is left out on purpose: it may hold secrets.
func newResource(ctx context.Context, o Options, fromEnv []attribute.KeyValue) (*resource.Resource, error) {
	own := []attribute.KeyValue{
		attribute.String("service.name", o.ServiceName),
		attribute.String("service.instance.id", o.InstanceID),
	}
	if o.ServiceVersion != "" {
		own = append(own, attribute.String("service.version", o.ServiceVersion))
	}
	res, err := resource.New(ctx,
		resource.WithTelemetrySDK(), resource.WithHost(), resource.WithContainerID(),
		resource.WithProcessPID(), resource.WithProcessRuntimeName(), resource.WithProcessRuntimeVersion(),
		resource.WithAttributes(own...), resource.WithAttributes(fromEnv...))
	// A detector that finds nothing leaves its attributes out, and the rest serves.
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		return nil, fmt.Errorf("describing the process for telemetry: %w", err)
	}
	return res, nil
}

// client is an HTTP client for one signal's collector. Each attempt has its
// own timeout, and redirects are answers.
func (t *Telemetry) client(o Options, s Signal) *http.Client {
	base := o.Transport
	if base == nil {
		own := newTransport(s.TLS)
		t.idle = append(t.idle, own)
		base = own
	}
	return &http.Client{
		Transport:     &transport{base: base, url: s.URL},
		Timeout:       s.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (t *Telemetry) newSender() *sender {
	s := &sender{}
	t.senders = append(t.senders, s)
	return s
}

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
			return fmt.Errorf("making the console exporter of spans: %w", err)
		}
		opts = append(opts, sdktrace.WithSpanProcessor(keep(sdktrace.NewBatchSpanProcessor(x, batch...))))
	}
	if c.Traces.URL != nil {
		attempt, err := otlptracehttp.New(ctx,
			otlptracehttp.WithEndpointURL(printableURL(c.Traces.URL)),
			otlptracehttp.WithHeaders(c.Traces.Headers),
			otlptracehttp.WithCompression(traceCompression(c.Traces.Gzip)),
			otlptracehttp.WithEncoding(otlptracehttp.EncodingProtobuf),
			otlptracehttp.WithTLSClientConfig(nil), // the client has it; the SDK would refuse one read from the environment for http
			otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: false}),
			otlptracehttp.WithHTTPClient(t.client(o, c.Traces)))
		if err != nil {
			return fmt.Errorf("making the OTLP exporter of spans: %w", err)
		}
		pending := &atomic.Int64{}
		x := &spanExporter{SpanExporter: attempt, sender: t.newSender(), losses: t.losses, pending: pending}
		opts = append(opts, sdktrace.WithSpanProcessor(keep(&spanQueue{
			SpanProcessor: sdktrace.NewBatchSpanProcessor(x, batch...),
			limit:         int64(c.Batch.Queue), pending: pending, losses: t.losses,
		})))
	}
	provider := sdktrace.NewTracerProvider(opts...)
	t.stops = append(t.stops, provider.Shutdown)
	t.tracer = provider.Tracer(scope)
	return nil
}

// buildMetrics makes the meter provider with its two readers: Prometheus
// pulls, and OTLP is pushed where an endpoint is set.
func (t *Telemetry) buildMetrics(ctx context.Context, o Options, res *resource.Resource) error {
	c := t.config
	registry := prometheus.NewRegistry()
	pull, err := promexporter.New(promexporter.WithRegisterer(registry), promexporter.WithoutScopeInfo(),
		promexporter.WithTranslationStrategy(otlptranslator.UnderscoreEscapingWithSuffixes))
	if err != nil {
		return fmt.Errorf("making the Prometheus exporter: %w", err)
	}
	opts := []sdkmetric.Option{sdkmetric.WithResource(res), sdkmetric.WithReader(pull)}
	every := []sdkmetric.PeriodicReaderOption{sdkmetric.WithInterval(c.MetricInterval), sdkmetric.WithTimeout(c.MetricTimeout)}
	if c.Metrics.Console {
		x, err := stdoutmetric.New(stdoutmetric.WithWriter(o.Console))
		if err != nil {
			return fmt.Errorf("making the console exporter of metrics: %w", err)
		}
		opts = append(opts, sdkmetric.WithReader(sdkmetric.NewPeriodicReader(x, every...)))
	}
	if c.Metrics.URL != nil {
		attempt, err := otlpmetrichttp.New(ctx,
			otlpmetrichttp.WithEndpointURL(printableURL(c.Metrics.URL)),
			otlpmetrichttp.WithHeaders(c.Metrics.Headers),
			otlpmetrichttp.WithCompression(metricCompression(c.Metrics.Gzip)),
			otlpmetrichttp.WithTLSClientConfig(nil),
			otlpmetrichttp.WithRetry(otlpmetrichttp.RetryConfig{Enabled: false}),
			otlpmetrichttp.WithTemporalitySelector(temporality(c.Temporality)),
			otlpmetrichttp.WithAggregationSelector(aggregation(c.ExponentialHistograms)),
			otlpmetrichttp.WithHTTPClient(t.client(o, c.Metrics)))
		if err != nil {
			return fmt.Errorf("making the OTLP exporter of metrics: %w", err)
		}
		x := &metricExporter{Exporter: attempt, sender: t.newSender(), losses: t.losses}
		opts = append(opts, sdkmetric.WithReader(sdkmetric.NewPeriodicReader(x, every...)))
	}
	provider := sdkmetric.NewMeterProvider(opts...)
	t.stops = append(t.stops, provider.Shutdown)
	t.meter = provider.Meter(scope)
	t.handler = promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
	if t.Metrics, err = NewMetrics(t.meter); err != nil {
		return fmt.Errorf("making instruments: %w", err)
	}
	if err := observeLosses(t.meter, t.losses); err != nil {
		return fmt.Errorf("making instruments: %w", err)
	}
	if err := runtimemetrics.Start(runtimemetrics.WithMeterProvider(provider)); err != nil {
		return fmt.Errorf("observing the Go runtime: %w", err)
	}
	return nil
}

// observeLosses makes metrics of the losses, read when a reader collects.
func observeLosses(m metric.Meter, l *losses) error {
	failures, err1 := m.Int64ObservableCounter("worker.telemetry.export.failures", metric.WithUnit("{export}"),
		metric.WithDescription("Exports that failed for good, and drops."))
	dropped, err2 := m.Int64ObservableCounter("worker.telemetry.dropped", metric.WithUnit("{item}"),
		metric.WithDescription("Spans, and exports of metrics, that were lost."))
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	_, err := m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for _, c := range l.counts() {
			attrs := metric.WithAttributes(signalKey.String(c.signal), reasonKey.String(c.reason))
			o.ObserveInt64(failures, c.failures, attrs)
			o.ObserveInt64(dropped, c.items, attrs)
		}
		return nil
	}, failures, dropped)
	return err
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

// temporality is the standard's table for OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE.
func temporality(preference string) sdkmetric.TemporalitySelector {
	return func(kind sdkmetric.InstrumentKind) metricdata.Temporality {
		switch kind {
		case sdkmetric.InstrumentKindCounter, sdkmetric.InstrumentKindHistogram:
			if preference == temporalityDelta || preference == temporalityLowMemory {
				return metricdata.DeltaTemporality
			}
		case sdkmetric.InstrumentKindObservableCounter:
			if preference == temporalityDelta {
				return metricdata.DeltaTemporality
			}
		}
		return metricdata.CumulativeTemporality
	}
}

func aggregation(exponential bool) sdkmetric.AggregationSelector {
	return func(kind sdkmetric.InstrumentKind) sdkmetric.Aggregation {
		if exponential && kind == sdkmetric.InstrumentKindHistogram {
			return sdkmetric.AggregationBase2ExponentialHistogram{MaxSize: 160, MaxScale: 20}
		}
		return sdkmetric.DefaultAggregationSelector(kind)
	}
}

func traceCompression(gzip bool) otlptracehttp.Compression {
	if gzip {
		return otlptracehttp.GzipCompression
	}
	return otlptracehttp.NoCompression
}

func metricCompression(gzip bool) otlpmetrichttp.Compression {
	if gzip {
		return otlpmetrichttp.GzipCompression
	}
	return otlpmetrichttp.NoCompression
}
