package otel

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
)

// build makes the providers; on an error Shutdown ends what is there. Metrics
// come first, for the others have some of their own.
func (t *Telemetry) build(ctx context.Context, o Options) error {
	res := newResource(ctx, o, t.config.Resource)
	if err := t.buildMetrics(ctx, o, res); err != nil {
		return fmt.Errorf("setting up metrics: %w", err)
	}
	if !t.config.NoTracing {
		if err := t.buildTraces(ctx, o, res); err != nil {
			return fmt.Errorf("setting up traces: %w", err)
		}
	}
	if err := t.buildLogs(ctx, o, res); err != nil {
		return fmt.Errorf("setting up logs: %w", err)
	}
	return nil
}

// newResource describes the process, by further detectors too. The environment comes last and wins. The
// command line is left out on purpose: it may hold secrets.
func newResource(ctx context.Context, o Options, fromEnv []attribute.KeyValue, more ...resource.Detector) *resource.Resource {
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
		resource.WithDetectors(more...), resource.WithAttributes(own...), resource.WithAttributes(fromEnv...))
	if err != nil { // a detector that fails, as where /proc is not to be read, leaves its attributes out, and the rest serves
		o.Logger.LogAttrs(ctx, slog.LevelWarn, "telemetry describes the process in part", slog.Any("error", err))
	}
	return res
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
		Transport:     &transport{base: base, url: s.URL, gzip: s.Gzip},
		Timeout:       s.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// delivery makes the way of one signal; kind is its exporter's type by the conventions.
func (t *Telemetry) delivery(signal, kind string, s Signal) *delivery {
	d := &delivery{signal: signal, sender: &sender{}, losses: t.losses}
	d.stats.attrs = exporterAttrs(kind, s.URL)
	t.senders = append(t.senders, d.sender)
	return d
}

// newQueue makes the queue before an exporter.
func (t *Telemetry) newQueue(d *delivery, b Batch) *queueStats {
	d.queue = &queueStats{signal: d.signal, limit: int64(b.Queue)}
	t.queues = append(t.queues, d.queue)
	return d.queue
}

// withoutExporter says that a signal is not exported: an exporter that cannot be made costs no job.
func (t *Telemetry) withoutExporter(ctx context.Context, o Options, signal string, err error) {
	o.Logger.LogAttrs(ctx, slog.LevelWarn, "telemetry configuration", slog.String("signal", signal),
		slog.String("problem", "not exported: "+t.losses.redact(err)))
}
