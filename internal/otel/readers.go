package otel

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/otlptranslator"
	runtimemetrics "go.opentelemetry.io/contrib/instrumentation/runtime"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	promexporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/exporters/stdout/stdoutmetric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/exemplar"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
)

// buildMetrics makes the meter provider with its two readers: Prometheus
// pulls, and OTLP is pushed where an endpoint is set.
func (t *Telemetry) buildMetrics(ctx context.Context, o Options, res *resource.Resource) error {
	c := t.config
	registry := prometheus.NewRegistry()
	pull, err := promexporter.New(promexporter.WithRegisterer(registry), promexporter.WithoutScopeInfo(),
		promexporter.WithTranslationStrategy(otlptranslator.UnderscoreEscapingWithSuffixes))
	if err != nil {
		return err
	}
	opts := []sdkmetric.Option{sdkmetric.WithResource(res), sdkmetric.WithReader(pull), sdkmetric.WithExemplarFilter(exemplars(c.Exemplars))}
	every := []sdkmetric.PeriodicReaderOption{sdkmetric.WithInterval(c.MetricInterval), sdkmetric.WithTimeout(c.MetricTimeout)}
	if c.Metrics.Console {
		x, err := stdoutmetric.New(stdoutmetric.WithWriter(o.Console))
		if err != nil {
			t.withoutExporter(ctx, o, signalMetrics, err)
		} else {
			opts = append(opts, sdkmetric.WithReader(sdkmetric.NewPeriodicReader(x, every...)))
		}
	}
	var push *metricExporter
	if c.Metrics.URL != nil {
		if push, err = t.metricExporter(ctx, o); err != nil {
			t.withoutExporter(ctx, o, signalMetrics, err)
		} else {
			opts = append(opts, sdkmetric.WithReader(sdkmetric.NewPeriodicReader(push, every...)))
		}
	}
	provider := sdkmetric.NewMeterProvider(opts...)
	t.stops = append(t.stops, provider.Shutdown)
	t.meter = provider.Meter(scope)
	t.handler = promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
	if t.Metrics, err = NewMetrics(t.meter); err != nil {
		return err
	}
	if push != nil {
		err = observeExporter(t.meter, "metric_data_point", push.delivery)
	}
	return errors.Join(err, observeLosses(t.meter, t.losses), runtimemetrics.Start(runtimemetrics.WithMeterProvider(provider)))
}

// metricExporter makes the OTLP exporter of metrics.
func (t *Telemetry) metricExporter(ctx context.Context, o Options) (*metricExporter, error) {
	c := t.config
	attempt, err := otlpmetrichttp.New(ctx,
		otlpmetrichttp.WithEndpointURL(printableURL(c.Metrics.URL)),
		otlpmetrichttp.WithHeaders(c.Metrics.Headers),
		otlpmetrichttp.WithCompression(otlpmetrichttp.NoCompression), // the transport compresses
		otlpmetrichttp.WithTLSClientConfig(nil),
		otlpmetrichttp.WithRetry(otlpmetrichttp.RetryConfig{Enabled: false}),
		otlpmetrichttp.WithTemporalitySelector(temporality(c.Temporality)),
		otlpmetrichttp.WithAggregationSelector(aggregation(c.ExponentialHistograms)),
		otlpmetrichttp.WithHTTPClient(t.client(o, c.Metrics)))
	if err != nil {
		return nil, err
	}
	return &metricExporter{Exporter: attempt, delivery: t.delivery(signalMetrics, "otlp_http_metric_exporter", c.Metrics)}, nil
}

func exemplars(filter string) exemplar.Filter {
	switch filter {
	case exemplarsAlwaysOn:
		return exemplar.AlwaysOnFilter
	case exemplarsAlwaysOff:
		return exemplar.AlwaysOffFilter
	default: // trace_based; ParseConfig lets no other name through
		return exemplar.TraceBasedFilter
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
