package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stipple-ai/stipple/internal/local/otlpd"
)

func TestTelemetry(t *testing.T) {
	w := newWorld(t, "m")
	sink, err := otlpd.Start(otlpd.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Stop()
	w.env["OTEL_EXPORTER_OTLP_ENDPOINT"] = sink.Endpoint()
	r := w.run("a cat", "a dog", "--batch", "b", "--json")
	r.want(t, exitOK)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	spans, err := sink.WaitFor(ctx, func(s []otlpd.Span) bool { return len(s) >= 3 })
	if err != nil {
		t.Fatalf("%v; spans %v", err, spans)
	}
	all := lines(t, r.stdout)
	command := typed(all, "batch")[0]["trace_id"]
	told := map[any]bool{}
	for _, l := range typed(all, "job") {
		told[l["trace_id"]] = true
	}
	for _, s := range spans {
		if s.Resource["service.name"] != "enqueue" {
			t.Errorf("service.name %v", s.Resource["service.name"])
		}
		switch s.Name {
		case "enqueue":
			if s.TraceID != command || s.ParentID != "" || s.Status.Code != "UNSET" {
				t.Errorf("span %+v", s)
			}
		case "publish jobs.normal.m":
			if !told[s.TraceID] || s.Kind != "PRODUCER" || s.ParentID != "" || len(s.Links) != 1 || s.Links[0].TraceID != command {
				t.Errorf("span %+v", s)
			}
		default:
			t.Errorf("span %q", s.Name)
		}
	}
	// What it logs goes there, too.
	js := w.jetstream()
	stream, err := js.Stream(ctx, "JOBS")
	if err != nil {
		t.Fatal(err)
	}
	other := stream.CachedInfo().Config
	other.Duplicates = time.Minute
	if _, err := js.UpdateStream(ctx, other); err != nil {
		t.Fatal(err)
	}
	w.run("a dog", "--batch", "c").want(t, exitOK)
	if !slices.ContainsFunc(sink.Logs(), func(l otlpd.LogRecord) bool {
		return strings.Contains(fmt.Sprint(l.Body), "not set up as this program would") && l.Resource["service.name"] == "enqueue"
	}) {
		t.Errorf("the sink has no warning of the stream that differs: %v", sink.Logs())
	}
	// A refused run is a failed span; the prompt is in none.
	w.env["OTEL_SERVICE_NAME"] = "mine"
	w.run("a secret prompt", "--batch", "b").want(t, exitInput)
	spans, err = sink.WaitFor(ctx, func(s []otlpd.Span) bool { return len(s) >= 6 })
	if err != nil {
		t.Fatal(err)
	}
	last := spans[5]
	if last.Name != "enqueue" || last.Status.Code != "ERROR" || last.Resource["service.name"] != "mine" || strings.Contains(last.Status.Message, "secret") {
		t.Errorf("span %+v", last)
	}
}

func TestAHangingCollectorHoldsNothingUp(t *testing.T) {
	w := newWorld(t, "m")
	sink, err := otlpd.Start(otlpd.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Stop()
	sink.SetMode(otlpd.Hang)
	w.env["OTEL_EXPORTER_OTLP_ENDPOINT"], w.env["FLUSH_TIMEOUT"] = sink.Endpoint(), "200ms"
	begun := time.Now()
	w.run("a cat", "--batch", "b").want(t, exitOK)
	if d := time.Since(begun); d > 5*time.Second {
		t.Errorf("it took %v", d)
	}
	w.jobs("b", 1)
}

// TestServeExportsItsLogs: they go where those of the other commands go.
func TestServeExportsItsLogs(t *testing.T) {
	w := newWorld(t, "m").withStore()
	sink, err := otlpd.Start(otlpd.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Stop()
	w.env["OTEL_EXPORTER_OTLP_ENDPOINT"] = sink.Endpoint()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	// It is stopped as soon as it says its address: the warning comes after that, and is delivered at the end.
	w.runWith(ctx, nil, func(string) { stop() }, "serve", "--listen", "0.0.0.0:0").want(t, exitOK)
	if !slices.ContainsFunc(sink.Logs(), func(l otlpd.LogRecord) bool {
		return strings.Contains(fmt.Sprint(l.Body), "everyone who reaches this address")
	}) {
		t.Errorf("no warning of the open address was exported: %v", sink.Logs())
	}
}
