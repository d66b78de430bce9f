package otel

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/contrib/bridges/otelslog"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/stdout/stdoutlog"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/resource"
)

// buildLogs makes the logger provider, where log records leave by it at all,
// and the logger that writes to both.
func (t *Telemetry) buildLogs(ctx context.Context, o Options, res *resource.Resource) error {
	c := t.config
	if !c.Logs.Exported() {
		return nil
	}
	opts := []sdklog.LoggerProviderOption{
		sdklog.WithResource(res),
		sdklog.WithAttributeCountLimit(c.LogLimits.AttributeCount), sdklog.WithAttributeValueLengthLimit(c.LogLimits.AttributeValueLength),
	}
	batch := []sdklog.BatchProcessorOption{
		sdklog.WithExportInterval(c.LogBatch.Delay), sdklog.WithExportTimeout(c.LogBatch.Timeout),
		sdklog.WithMaxQueueSize(c.LogBatch.Queue), sdklog.WithExportMaxBatchSize(c.LogBatch.Size),
	}
	if c.Logs.Console {
		x, err := stdoutlog.New(stdoutlog.WithWriter(o.Console))
		if err != nil {
			t.withoutExporter(ctx, o, signalLogs, err)
		} else {
			opts = append(opts, sdklog.WithProcessor(sdklog.NewBatchProcessor(x, batch...)))
		}
	}
	if c.Logs.URL != nil {
		queue, err := t.logQueue(ctx, o, batch)
		if err != nil {
			t.withoutExporter(ctx, o, signalLogs, err)
		} else {
			opts = append(opts, sdklog.WithProcessor(queue))
			if err := observeQueue(t.meter, "log", "batching_log_processor", queue.queueStats); err != nil {
				return err
			}
		}
	}
	provider := sdklog.NewLoggerProvider(opts...)
	t.stops = append(t.stops, provider.Shutdown)
	t.logger = slog.New(&bothHandler{local: o.Logger.Handler(), remote: safeHandler{otelslog.NewHandler(scope, otelslog.WithLoggerProvider(provider))}})
	return nil
}

// logQueue makes the OTLP exporter of log records with what stands before it.
func (t *Telemetry) logQueue(ctx context.Context, o Options, batch []sdklog.BatchProcessorOption) (*logQueue, error) {
	s := t.config.Logs
	attempt, err := otlploghttp.New(ctx,
		otlploghttp.WithEndpointURL(printableURL(s.URL)),
		otlploghttp.WithHeaders(s.Headers),
		otlploghttp.WithCompression(otlploghttp.NoCompression), // the transport compresses
		otlploghttp.WithTLSClientConfig(nil),
		otlploghttp.WithRetry(otlploghttp.RetryConfig{Enabled: false}),
		otlploghttp.WithHTTPClient(t.client(o, s)))
	if err != nil {
		return nil, err
	}
	d := t.delivery(signalLogs, "otlp_http_log_exporter", s)
	stats := t.newQueue(d, t.config.LogBatch)
	x := &logExporter{Exporter: attempt, delivery: d}
	return &logQueue{Processor: sdklog.NewBatchProcessor(x, batch...), queueStats: stats, losses: t.losses}, observeExporter(t.meter, "log", d)
}

// bothHandler writes what the local handler takes to both. The ids of the span
// travel in the record's own fields remotely, so [LogHandler] belongs around the local one alone.
type bothHandler struct{ local, remote slog.Handler }

// Enabled implements [slog.Handler].
func (h *bothHandler) Enabled(ctx context.Context, l slog.Level) bool { return h.local.Enabled(ctx, l) }

// Handle implements [slog.Handler]. The error is the local handler's: the remote one has its own counting.
func (h *bothHandler) Handle(ctx context.Context, r slog.Record) error {
	if h.remote.Enabled(ctx, r.Level) {
		_ = h.remote.Handle(ctx, r.Clone())
	}
	return h.local.Handle(ctx, r)
}

// WithAttrs implements [slog.Handler].
func (h *bothHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &bothHandler{h.local.WithAttrs(attrs), h.remote.WithAttrs(attrs)}
}

// WithGroup implements [slog.Handler].
func (h *bothHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return &bothHandler{h.local.WithGroup(name), h.remote.WithGroup(name)}
}
