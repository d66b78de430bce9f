package otel

import (
	"context"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// TestAChunkIsLinkedTo: jobs that share their producer's context each get a trace of their own, linked to it.
func TestAChunkIsLinkedTo(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)).Tracer("test")
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for _, c := range []struct {
		state string
		child bool
	}{{"", true}, {"stipple=other", true}, {"stipple=chunk", false}, {"vendor=x,stipple=chunk", false}} {
		p := Propagator{Mode: ModeParent}
		ctx := p.Extract(context.Background(), map[string][]string{"traceparent": {parent}, "tracestate": {c.state}}, nil)
		_, span := p.StartConsumer(ctx, tracer, SpanTextToImage)
		span.End()
		ended := recorder.Ended()
		got := ended[len(ended)-1]
		if child := got.Parent().IsValid(); child != c.child {
			t.Errorf("tracestate %q: a child %v, want %v", c.state, child, c.child)
		}
		if links := got.Links(); len(links) != 1 || links[0].SpanContext.TraceID().String() != parent[3:35] {
			t.Errorf("tracestate %q: links %v, want one to the producer", c.state, links)
		}
	}
}
