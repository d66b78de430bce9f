package otel

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/baggage"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

const (
	traceHex  = "0af7651916cd43dd8448eb211c80319c"
	spanHex   = "b7ad6b7169203331"
	parent    = "00-" + traceHex + "-" + spanHex + "-01"
	unsampled = "00-" + traceHex + "-" + spanHex + "-00"
	otherHex  = "11111111111111111111111111111111"
	other     = "00-" + otherHex + "-" + spanHex + "-01"
)

func TestExtract(t *testing.T) {
	type header = map[string][]string
	tests := []struct {
		name     string
		header   header
		fallback map[string]string
		trace    string // "" for none
		state    string
	}{
		{"lower case", header{"traceparent": {parent}, "tracestate": {"a=1"}}, nil, traceHex, "a=1"},
		{"canonical, as Go's HeaderCarrier writes", header{"Traceparent": {parent}, "Tracestate": {"a=1"}}, nil, traceHex, "a=1"},
		{"any case", header{"TraceParent": {parent}}, nil, traceHex, ""},
		{"lower case wins", header{"Traceparent": {other}, "traceparent": {parent}}, nil, traceHex, ""},
		{"spaces around", header{"traceparent": {" " + parent + " "}}, nil, traceHex, ""},
		{"tracestate in two headers", header{"traceparent": {parent}, "tracestate": {"a=1", "b=2"}}, nil, traceHex, "a=1,b=2"},
		{"bad tracestate does not matter", header{"traceparent": {parent}, "tracestate": {"= ="}}, nil, traceHex, ""},
		{"the same twice", header{"traceparent": {parent, parent}}, nil, traceHex, ""},
		{"two that differ", header{"traceparent": {parent, other}}, nil, "", ""},
		{"a future version", header{"traceparent": {"cc-" + traceHex + "-" + spanHex + "-01-more"}}, nil, traceHex, ""},
		{"none", nil, nil, "", ""},
		{"upper case hex", header{"traceparent": {strings.ToUpper(parent)}}, nil, "", ""},
		{"zero trace", header{"traceparent": {"00-" + strings.Repeat("0", 32) + "-" + spanHex + "-01"}}, nil, "", ""},
		{"zero span", header{"traceparent": {"00-" + traceHex + "-0000000000000000-01"}}, nil, "", ""},
		{"version ff", header{"traceparent": {"ff-" + traceHex + "-" + spanHex + "-01"}}, nil, "", ""},
		{"short", header{"traceparent": {"00-abc-def-01"}}, nil, "", ""},
		{"empty", header{"traceparent": {""}}, nil, "", ""},
		{"no values", header{"traceparent": {}}, nil, "", ""},
		{"body", nil, map[string]string{"traceparent": parent, "tracestate": "a=1"}, traceHex, "a=1"},
		{"body in any case", nil, map[string]string{"Traceparent": parent}, traceHex, ""},
		{"header before body", header{"traceparent": {parent}}, map[string]string{"traceparent": other}, traceHex, ""},
		{"body where the header is malformed", header{"traceparent": {"x"}}, map[string]string{"traceparent": other}, otherHex, ""},
		{"malformed body", nil, map[string]string{"traceparent": "x"}, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx := Propagator{}.Extract(t.Context(), tt.header, tt.fallback)
			sc := trace.SpanContextFromContext(ctx)
			if TraceID(ctx) != tt.trace || sc.TraceState().String() != tt.state || sc.IsRemote() != (tt.trace != "") {
				t.Errorf("got trace %q, state %q, remote %t", TraceID(ctx), sc.TraceState(), sc.IsRemote())
			}
			if got := trace.SpanContextFromContext((Propagator{Mode: ModeIgnore}).Extract(t.Context(), tt.header, tt.fallback)); got.IsValid() {
				t.Errorf("ignored, and yet %v", got)
			}
		})
	}
}

func TestBaggageComesFromTheHeader(t *testing.T) {
	ctx := Propagator{}.Extract(t.Context(), map[string][]string{"Baggage": {"a=1", "b=2"}}, nil)
	if got := baggage.FromContext(ctx); got.Member("a").Value() != "1" || got.Member("b").Value() != "2" {
		t.Errorf("baggage %v", got)
	}
}

func TestInjectWritesLowerCase(t *testing.T) {
	ctx := Propagator{}.Extract(t.Context(), map[string][]string{"traceparent": {parent}, "tracestate": {"a=1"}, "baggage": {"k=v"}}, nil)
	header := map[string][]string{"Traceparent": {"stale"}, "Nats-Msg-Id": {"b/1"}}
	Propagator{}.Inject(ctx, header)
	want := map[string][]string{"traceparent": {parent}, "tracestate": {"a=1"}, "baggage": {"k=v"}, "Nats-Msg-Id": {"b/1"}}
	if diff := cmp.Diff(want, header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	empty := map[string][]string{}
	Propagator{}.Inject(context.Background(), empty)
	if len(empty) != 0 {
		t.Errorf("injected %v of nothing", empty)
	}
}

func TestConfiguredPropagators(t *testing.T) {
	ctx := Propagator{}.Extract(t.Context(), map[string][]string{"traceparent": {parent}, "baggage": {"k=v"}}, nil)
	for value, want := range map[string]map[string][]string{
		"none": {}, "baggage": {"baggage": {"k=v"}}, "tracecontext": {"traceparent": {parent}},
	} {
		c, _ := ParseConfig(getenv(map[string]string{"OTEL_PROPAGATORS": value}))
		got := map[string][]string{}
		newPropagator(c).Inject(ctx, got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", value, diff)
		}
	}
}

func TestStartConsumer(t *testing.T) {
	tests := []struct {
		name, header string
		mode         Mode
		child        bool // of the producer's span
		links        int
		sampled      bool
	}{
		{"parent", parent, ModeParent, true, 1, true},
		{"zero value is parent", parent, "", true, 1, true},
		{"link", parent, ModeLink, false, 1, true},
		{"ignore", parent, ModeIgnore, false, 0, true},
		{"no producer", "", ModeParent, false, 0, true},
		{"no producer to link", "", ModeLink, false, 0, true},
		{"malformed", "00-zz", ModeParent, false, 0, true},
		{"an unsampled parent decides", unsampled, ModeParent, true, 0, false},
		{"an unsampled link does not", unsampled, ModeLink, false, 1, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rec := tracetest.NewSpanRecorder()
			tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(rec))
			p := Propagator{Mode: tt.mode}
			ctx := p.Extract(t.Context(), map[string][]string{"traceparent": {tt.header}}, nil)
			ctx, span := p.StartConsumer(ctx, tp.Tracer("t"), SpanTextToImage, trace.WithAttributes(ModelName.String("m")))
			span.End()
			if (TraceID(ctx) == traceHex) != tt.child || len(TraceID(ctx)) != 32 {
				t.Errorf("trace %s, child %t wanted", TraceID(ctx), tt.child)
			}
			if span.SpanContext().IsSampled() != tt.sampled {
				t.Errorf("sampled %t", span.SpanContext().IsSampled())
			}
			if !tt.sampled {
				return
			}
			s := rec.Ended()[0]
			if s.SpanKind() != trace.SpanKindConsumer || len(s.Links()) != tt.links || len(s.Attributes()) != 1 {
				t.Errorf("kind %v, links %v, attributes %v", s.SpanKind(), s.Links(), s.Attributes())
			}
			if tt.links == 1 && s.Links()[0].SpanContext.TraceID().String() != traceHex {
				t.Errorf("link to %v", s.Links()[0].SpanContext.TraceID())
			}
			if s.Parent().IsValid() != tt.child {
				t.Errorf("parent %v", s.Parent())
			}
		})
	}
}

// Without an SDK the producer's trace id still passes through, into results and log lines.
func TestStartConsumerWithoutSDK(t *testing.T) {
	p := Propagator{}
	ctx := p.Extract(t.Context(), map[string][]string{"traceparent": {parent}}, nil)
	ctx, span := p.StartConsumer(ctx, noop.NewTracerProvider().Tracer("t"), SpanTextToImage)
	span.End()
	if TraceID(ctx) != traceHex {
		t.Errorf("trace %q", TraceID(ctx))
	}
	if got := TraceID(t.Context()); got != "" {
		t.Errorf("trace %q of nothing", got)
	}
}

// FuzzExtract: nothing a producer writes may panic, and what comes out is valid or absent.
func FuzzExtract(f *testing.F) {
	f.Add("traceparent", parent, "tracestate", "a=1,b=2")
	f.Add("TRACEPARENT", "00-"+traceHex, "baggage", "k=v;p=1,%zz")
	f.Fuzz(func(t *testing.T, k1, v1, k2, v2 string) {
		ctx := Propagator{}.Extract(context.Background(), map[string][]string{k1: {v1}, k2: {v2, v1}}, map[string]string{k2: v2})
		if sc := trace.SpanContextFromContext(ctx); sc.IsValid() != sc.IsRemote() {
			t.Errorf("span context %v", sc)
		}
		header := map[string][]string{}
		Propagator{}.Inject(ctx, header)
		for k := range header {
			if k != strings.ToLower(k) {
				t.Errorf("header %q", k)
			}
		}
	})
}
