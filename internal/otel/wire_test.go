package otel

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
)

// exported is what the SDK's own exporter sends for the spans.
func exported(t testing.TB, spans []sdktrace.ReadOnlySpan) []byte {
	t.Helper()
	var body bytes.Buffer
	x, err := otlptracehttp.New(t.Context(), otlptracehttp.WithEndpointURL("http://collector/v1/traces"), otlptracehttp.WithCompression(otlptracehttp.NoCompression),
		otlptracehttp.WithHTTPClient(&http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			_, err := io.Copy(&body, r.Body)
			return ok(), err
		})}))
	if err != nil {
		t.Fatal(err)
	}
	if err := x.ExportSpans(t.Context(), spans); err != nil {
		t.Fatal(err)
	}
	if err := x.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	return body.Bytes()
}

func decodeRequest(t testing.TB, body []byte) *coltracepb.ExportTraceServiceRequest {
	t.Helper()
	var req coltracepb.ExportTraceServiceRequest
	if err := proto.Unmarshal(body, &req); err != nil {
		t.Fatalf("%d bytes that protobuf refuses: %v", len(body), err)
	}
	return &req
}

// everyValue has an attribute of each type, empty ones and extremes.
func everyValue() []attribute.KeyValue {
	return []attribute.KeyValue{
		attribute.String("string", "ä\n"), attribute.String("empty", ""), attribute.Bool("yes", true), attribute.Bool("no", false),
		attribute.Int64("negative", -1), attribute.Int64("zero", 0), attribute.Int64("least", -1<<63), attribute.Float64("double", 7.5), attribute.Float64("none", 0),
		attribute.BoolSlice("bools", []bool{true, false}), attribute.Int64Slice("ints", []int64{1, -2}), attribute.Float64Slice("doubles", []float64{.5}),
		attribute.StringSlice("strings", []string{"a", ""}), attribute.StringSlice("nothing", nil), attribute.ByteSlice("bytes", []byte{0xff, 0}),
		attribute.Map("map", attribute.Slice("in", attribute.StringValue("x"), attribute.IntValue(3))), attribute.Map("hollow"),
		attribute.String("long", string(bytes.Repeat([]byte("x"), 300))), // a length of two bytes
	}
}

// TestWire: what is appended by hand is, field for field, what the SDK's exporter sends.
func TestWire(t *testing.T) {
	at := time.Date(2026, 11, 23, 11, 14, 24, 123456789, time.UTC)
	context := func(remote bool, state string) trace.SpanContext {
		ts, err := trace.ParseTraceState(state)
		if err != nil {
			t.Fatal(err)
		}
		return trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1, 2}, SpanID: trace.SpanID{3}, TraceFlags: trace.FlagsSampled, Remote: remote, TraceState: ts})
	}
	stubs := tracetest.SpanStubs{
		{Name: "bare", SpanContext: context(false, "")},
		{
			Name: "full", SpanContext: context(false, "a=1,b=2"), Parent: context(true, ""), SpanKind: trace.SpanKindConsumer,
			StartTime: at, EndTime: at.Add(time.Second), Attributes: everyValue(), DroppedAttributes: 3, DroppedEvents: 4, DroppedLinks: 5,
			Events: []sdktrace.Event{{Name: "exception", Time: at, Attributes: everyValue(), DroppedAttributeCount: 2}, {Name: "bare"}},
			Links:  []sdktrace.Link{{SpanContext: context(true, ""), Attributes: everyValue(), DroppedAttributeCount: 1}, {SpanContext: context(false, "")}},
			Status: sdktrace.Status{Code: codes.Error, Description: "no room"},
		},
		{Name: "good", Parent: context(false, ""), Status: sdktrace.Status{Code: codes.Ok}, SpanKind: 77, StartTime: time.Unix(-5, 0), DroppedLinks: -1},
		{Name: "another scope", InstrumentationScope: instrumentation.Scope{Name: "n", Version: "v", SchemaURL: "s", Attributes: attribute.NewSet(everyValue()...)}},
		{Name: "the first scope again", SpanKind: trace.SpanKindClient},
	}
	res := resource.NewWithAttributes("https://schema", everyValue()...)
	for i := range stubs {
		stubs[i].Resource = res
	}
	spans := stubs.Snapshots()
	want, got := decodeRequest(t, exported(t, spans)), decodeRequest(t, appendSpans(nil, spans))
	// A oneof's fields of the SDK's and a repeated field's order are compared as they stand; the SDK leaves the state of links out.
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("(-SDK +own):\n%s", diff)
	}
	if len(appendSpans(nil, nil)) != 0 {
		t.Error("no spans are some bytes")
	}
}

// TestWireOfLinkState: a link's trace state is told, which the SDK's exporter forgets.
func TestWireOfLinkState(t *testing.T) {
	ctx := Propagator{}.Extract(context.Background(), map[string][]string{"traceparent": {parent}, "tracestate": {"a=1"}}, nil)
	stub := tracetest.SpanStub{Name: "s", Links: []sdktrace.Link{{SpanContext: trace.SpanContextFromContext(ctx)}}}
	req := decodeRequest(t, appendSpans(nil, tracetest.SpanStubs{stub}.Snapshots()))
	if got := req.GetResourceSpans()[0].GetScopeSpans()[0].GetSpans()[0].GetLinks()[0].GetTraceState(); got != "a=1" {
		t.Errorf("trace state %q", got)
	}
}

// TestWireOfAJob compares the spans that a job really makes.
func TestWireOfAJob(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	job(t.Context(), &Telemetry{tracer: provider.Tracer(scope)}, map[string][]string{"traceparent": {parent}})
	spans := recorder.Ended()
	want, got := decodeRequest(t, exported(t, spans)), decodeRequest(t, appendSpans(nil, spans))
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" || len(spans) != spansOfAJob {
		t.Errorf("%d spans (-SDK +own):\n%s", len(spans), diff)
	}
}

// FuzzWire: whatever text and numbers a span has, its encoding is one that protobuf takes, with nothing lost but bytes that are no UTF-8.
func FuzzWire(f *testing.F) {
	f.Add("name", "key", "value", []byte{1}, int64(-1), 0.5, true)
	f.Add("\xff", "", "a\xc3", []byte(nil), int64(1<<62), -1e300, false)
	f.Fuzz(func(t *testing.T, name, key, text string, raw []byte, n int64, x float64, yes bool) {
		attrs := []attribute.KeyValue{attribute.String(key, text), attribute.Int64(text, n), attribute.Float64("x", x), attribute.Bool("b", yes),
			attribute.ByteSlice("raw", raw), attribute.Map(name, attribute.StringSlice(key, []string{text, name})), attribute.Slice(text, attribute.Int64Value(n))}
		stub := tracetest.SpanStub{Name: name, Attributes: attrs, DroppedAttributes: int(n), Events: []sdktrace.Event{{Name: text, Attributes: attrs, Time: time.Unix(0, n)}},
			Links: []sdktrace.Link{{Attributes: attrs}}, Status: sdktrace.Status{Code: codes.Code(uint32(n) % 4), Description: text}}
		req := decodeRequest(t, appendSpans(nil, tracetest.SpanStubs{stub}.Snapshots()))
		got := req.GetResourceSpans()[0].GetScopeSpans()[0].GetSpans()[0]
		if got.GetName() != cleanText(name) || len(got.GetAttributes()) != len(attrs) || got.GetAttributes()[0].GetValue().GetStringValue() != cleanText(text) ||
			got.GetAttributes()[1].GetValue().GetIntValue() != n || !bytes.Equal(got.GetAttributes()[4].GetValue().GetBytesValue(), raw) {
			t.Errorf("span %v", got)
		}
	})
}
