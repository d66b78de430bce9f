package otel

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/trace"

	"github.com/stipple-ai/stipple/internal/local/otlpd"
)

// run makes a job of two spans below a remote parent; its inner span fails with err.
func run(t *testing.T, tel *Telemetry, traceparent string, err error) (traceID string) {
	t.Helper()
	ctx := tel.Propagator.Extract(t.Context(), map[string][]string{"traceparent": {traceparent}}, nil)
	ctx, root := tel.Propagator.StartConsumer(ctx, tel.Tracer(), SpanTextToImage)
	_, inner := tel.Tracer().Start(ctx, SpanInference)
	Fail(inner, err, "model_error")
	inner.End()
	root.End()
	return TraceID(ctx)
}

func names(spans []otlpd.Span, traceID string) []string {
	var out []string
	for _, s := range spans {
		if s.TraceID == traceID {
			out = append(out, s.Name)
		}
	}
	slices.Sort(out)
	return out
}

func TestKeepErrors(t *testing.T) {
	failure := errors.New("broken")
	both := []string{SpanInference, SpanTextToImage}
	for _, tt := range []struct {
		name, keep, sampler, traceparent string
		err                              error
		want                             []string
	}{
		{"failed", "true", "always_off", "", failure, both},
		{"good", "true", "always_off", "", nil, nil},
		{"failed below an unsampled producer", "true", "", unsampled, failure, both},
		{"failed and sampled anyway", "true", "", parent, failure, both},
		{"not asked for", "", "always_off", "", failure, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := sink(t)
			vars := tracesOnly(s.Endpoint())
			vars["TRACE_KEEP_ERRORS"], vars["OTEL_TRACES_SAMPLER"] = tt.keep, tt.sampler
			tel, _ := setup(t, vars, nil)
			id := run(t, tel, tt.traceparent, tt.err)
			if err := tel.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, names(s.Spans(), id)); diff != "" {
				t.Errorf("spans (-want +got):\n%s", diff)
			}
		})
	}
}

// Several jobs of one request, all below its span, are kept or not each by itself, however they overlap.
func TestKeepErrorsOfOneTrace(t *testing.T) {
	s := sink(t)
	vars := tracesOnly(s.Endpoint())
	vars["TRACE_KEEP_ERRORS"] = "true"
	tel, _ := setup(t, vars, nil)
	ctx := tel.Propagator.Extract(t.Context(), map[string][]string{"traceparent": {unsampled}}, nil)
	good, goodRoot := tel.Propagator.StartConsumer(ctx, tel.Tracer(), "good")
	bad, badRoot := tel.Propagator.StartConsumer(ctx, tel.Tracer(), "bad")
	_, goodInner := tel.Tracer().Start(good, "good inner")
	_, badInner := tel.Tracer().Start(bad, "bad inner")
	_, badLate := tel.Tracer().Start(bad, "bad late")
	_, goodLate := tel.Tracer().Start(good, "good late")
	Fail(badInner, errors.New("broken"), "model_error")
	for _, span := range []trace.Span{badInner, goodInner, goodRoot, badRoot, badLate, goodLate} {
		span.End()
	}
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"bad", "bad inner", "bad late"}, names(s.Spans(), TraceID(ctx))); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
}

// Spans that outlive their jobs' roots take no room from the jobs that follow.
func TestKeepErrorsForgetsLateSpans(t *testing.T) {
	s := sink(t)
	vars := tracesOnly(s.Endpoint())
	vars["TRACE_KEEP_ERRORS"], vars["OTEL_TRACES_SAMPLER"] = "true", "always_off"
	tel, _ := setup(t, vars, nil)
	for range 2 * keepJobs {
		ctx, root := tel.Tracer().Start(t.Context(), "root")
		_, late := tel.Tracer().Start(ctx, "late")
		root.End()
		late.End()
	}
	id := run(t, tel, "", errors.New("broken"))
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{SpanInference, SpanTextToImage}, names(s.Spans(), id)); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
}

// Jobs without an end, and jobs with endless spans, hold a bounded number of spans.
func TestKeepErrorsIsBounded(t *testing.T) {
	s := sink(t)
	vars := tracesOnly(s.Endpoint())
	vars["TRACE_KEEP_ERRORS"], vars["OTEL_TRACES_SAMPLER"] = "true", "always_off"
	tel, _ := setup(t, vars, nil)
	ctx, root := tel.Tracer().Start(t.Context(), "root")
	for range 3 * keepSpans {
		_, span := tel.Tracer().Start(ctx, "inner")
		span.End()
	}
	var endless []trace.Span
	for range 2 * keepJobs { // each a trace whose root does not end
		orphan, span := tel.Tracer().Start(context.Background(), "endless", trace.WithNewRoot())
		endless = append(endless, span)
		_, inner := tel.Tracer().Start(orphan, "inner")
		inner.End()
	}
	Fail(root, errors.New("broken"), "model_error")
	root.End()
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, span := range endless {
		span.End()
	}
	if n := len(s.Spans()); n != keepSpans+1 || !slices.ContainsFunc(s.Spans(), func(s otlpd.Span) bool { return s.Name == "root" }) {
		t.Errorf("%d spans", n)
	}
}
