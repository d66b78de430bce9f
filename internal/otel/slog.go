package otel

import (
	"context"
	"log/slog"
	"slices"

	"go.opentelemetry.io/otel/trace"
)

// Keys under which a log line names its span.
const (
	LogTraceID = "trace_id"
	LogSpanID  = "span_id"
)

// LogHandler returns a handler that adds trace_id and span_id of the context's
// span to each record logged with a context (InfoContext and its like), at the
// top level whatever groups are open, and takes signatures and credentials out
// of the URLs in it.
func LogHandler(h slog.Handler) slog.Handler {
	h = safeHandler{h}
	return &logHandler{inner: h, base: h}
}

type logHandler struct {
	inner slog.Handler // with everything applied
	base  slog.Handler // before the first group was opened
	// since is what was applied to base after that: it is applied again, behind the ids.
	since []func(slog.Handler) slog.Handler
}

// Enabled implements [slog.Handler].
func (h *logHandler) Enabled(ctx context.Context, l slog.Level) bool { return h.inner.Enabled(ctx, l) }

// Handle implements [slog.Handler].
func (h *logHandler) Handle(ctx context.Context, r slog.Record) error {
	sc := trace.SpanContextFromContext(ctx)
	if !sc.IsValid() {
		return h.inner.Handle(ctx, r)
	}
	ids := []slog.Attr{slog.String(LogTraceID, sc.TraceID().String()), slog.String(LogSpanID, sc.SpanID().String())}
	if len(h.since) == 0 {
		r = r.Clone()
		r.AddAttrs(ids...)
		return h.inner.Handle(ctx, r)
	}
	out := h.base.WithAttrs(ids)
	for _, apply := range h.since {
		out = apply(out)
	}
	return out.Handle(ctx, r)
}

// WithAttrs implements [slog.Handler].
func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	if len(h.since) == 0 {
		inner := h.inner.WithAttrs(attrs)
		return &logHandler{inner: inner, base: inner}
	}
	return h.with(func(x slog.Handler) slog.Handler { return x.WithAttrs(attrs) })
}

// WithGroup implements [slog.Handler].
func (h *logHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return h.with(func(x slog.Handler) slog.Handler { return x.WithGroup(name) })
}

func (h *logHandler) with(apply func(slog.Handler) slog.Handler) slog.Handler {
	return &logHandler{inner: apply(h.inner), base: h.base, since: append(slices.Clip(h.since), apply)}
}
