package otel

import (
	"context"
	"log/slog"
	"regexp"
	"strings"
)

// What of a URL may be secret: the query, where signatures live, and credentials before the host.
var (
	urlQuery    = regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://[^\s"'?]+)\?[^\s"']*`)
	urlUserinfo = regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://)[^\s"/?]+@`)
)

// redactText is a text in valid UTF-8 (one bad byte and an exporter loses the
// whole batch), without what is secret in the URLs in it.
func redactText(s string) string {
	s = cleanText(s)
	if !strings.Contains(s, "://") {
		return s
	}
	return urlUserinfo.ReplaceAllString(urlQuery.ReplaceAllString(s, "$1?[redacted]"), "$1[redacted]@")
}

// safeText is text fit for an attribute: redacted, and not endless.
func safeText(s string) string {
	s = redactText(s)
	if len(s) <= maxMessage {
		return s
	}
	if r := []rune(s); len(r) > maxMessage {
		return string(r[:maxMessage]) + "…"
	}
	return s
}

// safeHandler redacts the texts of log records. Errors become their texts.
type safeHandler struct{ slog.Handler }

// Handle implements [slog.Handler].
func (h safeHandler) Handle(ctx context.Context, r slog.Record) error {
	out := slog.NewRecord(r.Time, r.Level, redactText(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		out.AddAttrs(safeAttr(a))
		return true
	})
	return h.Handler.Handle(ctx, out)
}

// WithAttrs implements [slog.Handler].
func (h safeHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return safeHandler{h.Handler.WithAttrs(safeAttrs(attrs))}
}

// WithGroup implements [slog.Handler].
func (h safeHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return safeHandler{h.Handler.WithGroup(name)}
}

func safeAttrs(attrs []slog.Attr) []slog.Attr {
	out := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		out[i] = safeAttr(a)
	}
	return out
}

func safeAttr(a slog.Attr) slog.Attr {
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindString:
		v = slog.StringValue(redactText(v.String()))
	case slog.KindGroup:
		v = slog.GroupValue(safeAttrs(v.Group())...)
	case slog.KindAny:
		if err, ok := v.Any().(error); ok {
			v = slog.StringValue(redactText(err.Error()))
		}
	}
	return slog.Attr{Key: a.Key, Value: v}
}
