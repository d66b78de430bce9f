package otel

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"maps"
	"testing"
	"testing/slogtest"

	"github.com/google/go-cmp/cmp"
)

func TestLogHandler(t *testing.T) {
	with := Propagator{}.Extract(t.Context(), map[string][]string{"traceparent": {parent}}, nil)
	ids := map[string]any{"msg": "m", "trace_id": traceHex, "span_id": spanHex}
	plus := func(more map[string]any) map[string]any {
		out := map[string]any{}
		for _, m := range []map[string]any{ids, more} {
			maps.Copy(out, m)
		}
		return out
	}
	tests := []struct {
		name string
		log  func(*slog.Logger)
		want map[string]any
	}{
		{"span", func(l *slog.Logger) { l.InfoContext(with, "m", "k", "v") }, plus(map[string]any{"k": "v"})},
		{"no span", func(l *slog.Logger) { l.InfoContext(t.Context(), "m") }, map[string]any{"msg": "m"}},
		{"no context", func(l *slog.Logger) { l.Info("m") }, map[string]any{"msg": "m"}},
		{"attributes", func(l *slog.Logger) { l.With("a", "b").InfoContext(with, "m") }, plus(map[string]any{"a": "b"})},
		{"group: ids stay on top", func(l *slog.Logger) {
			l.With("a", "b").WithGroup("g").With("c", "d").InfoContext(with, "m", "k", "v")
		}, plus(map[string]any{"a": "b", "g": map[string]any{"c": "d", "k": "v"}})},
		{"siblings do not mix", func(l *slog.Logger) {
			g := l.WithGroup("g")
			g.With("x", "1") // must not reach the next
			g.With("y", "2").InfoContext(with, "m")
		}, plus(map[string]any{"g": map[string]any{"y": "2"}})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var buf bytes.Buffer
			opts := &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
				if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
					return slog.Attr{}
				}
				return a
			}}
			tt.log(slog.New(LogHandler(slog.NewJSONHandler(&buf, opts))))
			var got map[string]any
			if err := json.Unmarshal(buf.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("line (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLogHandlerKeepsTheContract(t *testing.T) {
	var buf bytes.Buffer
	slogtest.Run(t, func(*testing.T) slog.Handler {
		buf.Reset()
		return LogHandler(slog.NewJSONHandler(&buf, nil))
	}, func(t *testing.T) map[string]any {
		var got map[string]any
		if err := json.Unmarshal(buf.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		return got
	})
}
