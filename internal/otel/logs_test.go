package otel

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/slogtest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stipple-ai/stipple/internal/local/otlpd"
)

// logsOnly are the variables that send logs, and nothing else.
func logsOnly(endpoint string) map[string]string {
	return map[string]string{"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": endpoint + "/v1/logs"}
}

func TestLogsAreBridged(t *testing.T) {
	s := sink(t)
	local := &logbook{}
	tel, _ := setup(t, logsOnly(s.Endpoint()), func(o *Options) {
		o.InstanceID = "i-1"
		o.Logger = slog.New(LogHandler(slog.NewJSONHandler(local, &slog.HandlerOptions{Level: slog.LevelInfo})))
	})
	ctx, span := tel.Tracer().Start(t.Context(), SpanTextToImage)
	tel.Logger().With(slog.String("job", "b/1")).WithGroup("").WithGroup("g").WarnContext(ctx, "m", slog.Any("error", errors.New("a\xffb")), slog.Duration("took", time.Second))
	tel.Logger().DebugContext(ctx, "below the level of the local log")
	tel.Logger().Info("without a span")
	span.End()
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	type record struct {
		severity        string
		body            any
		attributes      map[string]any
		traceID, spanID string
	}
	var got []record
	for _, r := range s.Logs() {
		got = append(got, record{r.Severity, r.Body, r.Attributes, r.TraceID, r.SpanID})
		if r.Resource["service.instance.id"] != "i-1" || time.Since(r.Time) > time.Minute {
			t.Errorf("record %+v", r)
		}
	}
	want := []record{
		{"WARN", "m", map[string]any{"job": "b/1", "g": map[string]any{"error": "a\uFFFDb", "took": int64(time.Second)}}, TraceID(ctx), span.SpanContext().SpanID().String()},
		{"INFO", "without a span", nil, "", ""},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(record{})); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	line := local.lines(t, "m")
	if len(line) != 1 || line[0]["trace_id"] != TraceID(ctx) || line[0]["job"] != "b/1" {
		t.Errorf("local log %s", local)
	}
}

// Without an endpoint for logs there is no second log, and no cost.
func TestLogsStayLocal(t *testing.T) {
	s := sink(t)
	for name, vars := range map[string]map[string]string{
		"none": {"OTEL_EXPORTER_OTLP_ENDPOINT": s.Endpoint(), "OTEL_LOGS_EXPORTER": "none"},
		"off":  {"OTEL_EXPORTER_OTLP_ENDPOINT": s.Endpoint(), "OTEL_SDK_DISABLED": "true"},
		"bare": nil,
	} {
		tel, log := setup(t, vars, nil)
		if _, both := tel.Logger().Handler().(*bothHandler); both {
			t.Errorf("%s: logs are bridged", name)
		}
		records(t, tel, 1)
		if err := tel.Shutdown(t.Context()); err != nil || len(log.lines(t, "record")) != 1 || len(s.Logs()) != 0 {
			t.Errorf("%s: %v, log %s, %d records", name, err, log, len(s.Logs()))
		}
	}
}

// ENABLE_TRACING=false switches spans off and leaves logs and metrics.
func TestLogsWithoutTracing(t *testing.T) {
	s := sink(t)
	tel, _ := setup(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": s.Endpoint(), "ENABLE_TRACING": "false"}, nil)
	spans(t, tel, 1)
	records(t, tel, 1)
	if err := tel.Shutdown(t.Context()); err != nil || len(s.Spans()) != 0 || len(s.Logs()) != 1 || len(s.Metrics()) == 0 {
		t.Errorf("%v: %d spans, %d records, %d metrics", err, len(s.Spans()), len(s.Logs()), len(s.Metrics()))
	}
}

// What the log says of telemetry's own troubles does not come back as telemetry.
func TestNoLogOfLossesIsExported(t *testing.T) {
	s := sink(t)
	s.SetMode(otlpd.Respond(400, 0))
	vars := logsOnly(s.Endpoint())
	vars["OTEL_BLRP_SCHEDULE_DELAY"] = "100"
	tel, log := setup(t, vars, nil)
	records(t, tel, 1)
	eventually(t, "the loss", func() bool { return lossesOf(tel)["logs "+reasonRejected] == 1 })
	s.SetMode(nil)
	if err := tel.Shutdown(t.Context()); err != nil || len(s.Logs()) != 0 || len(log.lines(t, "telemetry lost")) != 1 {
		t.Errorf("%v, %d records, log %s", err, len(s.Logs()), log)
	}
}

func TestLogQueueFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		vars := logsOnly("http://collector")
		vars["OTEL_BLRP_MAX_QUEUE_SIZE"], vars["OTEL_BLRP_MAX_EXPORT_BATCH_SIZE"] = "50", "10"
		tel, log := setup(t, vars, func(o *Options) { o.Transport = roundTrip(hang) })
		records(t, tel, 200)
		if diff := cmp.Diff(map[string]int64{"logs queue_full": 150}, lossesOf(tel)); diff != "" {
			t.Errorf("losses (-want +got):\n%s", diff)
		}
		if took, err := timedShutdown(t, tel, time.Second); took > time.Second || err == nil || !strings.Contains(err.Error(), "149 log records (queue_full") {
			t.Errorf("took %v, %v", took, err)
		}
		if got := lossesOf(tel); got["logs timeout"]+got["logs shutdown"] != 50 {
			t.Errorf("losses %v", got)
		}
		if n := len(log.lines(t, "record")); n != 200 {
			t.Errorf("%d lines in the local log", n)
		}
	})
}

func TestBothHandlerKeepsTheContract(t *testing.T) {
	local := &logbook{}
	slogtest.Run(t, func(*testing.T) slog.Handler {
		local.buf.Reset()
		return &bothHandler{safeHandler{slog.NewJSONHandler(local, nil)}, safeHandler{slog.DiscardHandler}}
	}, func(t *testing.T) map[string]any {
		var got map[string]any
		if err := json.Unmarshal([]byte(local.String()), &got); err != nil {
			t.Fatal(err)
		}
		return got
	})
}

func TestRedactText(t *testing.T) {
	for in, want := range map[string]string{
		"plain ? text":                         "plain ? text",
		"no://query/at/all":                    "no://query/at/all",
		`Get "https://h/k?X-Amz-Signature=a":`: `Get "https://h/k?[redacted]":`,
		"nats://u:p@h:4222, tls://t@h/x":       "nats://[redacted]@h:4222, tls://[redacted]@h/x",
		"nats://u:p@ss@h:4222, nats://u:p'q@h": "nats://[redacted]@h:4222, nats://[redacted]@h",
		`"nats://h", mail a@b`:                 `"nats://h", mail a@b`,
		"http://h/a@b":                         "http://h/a@b",
		"\xff":                                 "\uFFFD",
	} {
		if got := redactText(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// BenchmarkLog is what exporting the log adds to a line of it.
func BenchmarkLog(b *testing.B) {
	for name, vars := range map[string]map[string]string{"local": nil, "bridged": logsOnly("http://collector")} {
		b.Run(name, func(b *testing.B) {
			tel, err := Setup(b.Context(), Options{Getenv: getenv(vars), Transport: reads, Logger: slog.New(LogHandler(slog.NewJSONHandler(&discard{}, nil)))})
			if err != nil {
				b.Fatal(err)
			}
			log := tel.Logger().With(slog.String("job", "b/1"), slog.Int("delivery", 1))
			b.ReportAllocs()
			for b.Loop() {
				log.InfoContext(context.Background(), "job", slog.String("outcome", "completed"), slog.Duration("took", time.Second))
			}
			if err := tel.Shutdown(context.Background()); err != nil {
				b.Log(err) // more lines than the queue holds
			}
		})
	}
}

// discard is not io.Discard, for which slog does nothing at all.
type discard struct{}

func (*discard) Write(p []byte) (int, error) { return len(p), nil }
