package otel

import (
	"context"
	"strings"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Mode is what a consumer's span does with the trace context of its message (TRACE_PROPAGATION).
type Mode string

// The zero value is taken for ModeParent.
const (
	ModeParent Mode = "parent" // child of the producer's span, and linked to it: one trace from end to end
	ModeLink   Mode = "link"   // a trace of its own, linked to the producer's: own sampling, many jobs of one publish
	ModeIgnore Mode = "ignore" // a trace of its own; for producers not to be trusted
)

// Propagator carries trace context in message headers. The zero value speaks
// W3C trace context and baggage in ModeParent.
type Propagator struct {
	Mode Mode
	text propagation.TextMapPropagator // nil: the standard pair
}

func newPropagator(c Config) Propagator {
	parts := []propagation.TextMapPropagator{}
	for _, name := range c.Propagators {
		switch name {
		case "tracecontext":
			parts = append(parts, propagation.TraceContext{})
		case "baggage":
			parts = append(parts, propagation.Baggage{})
		}
	}
	return Propagator{Mode: c.Mode, text: propagation.NewCompositeTextMapPropagator(parts...)}
}

func (p Propagator) propagator() propagation.TextMapPropagator {
	if p.text == nil {
		return propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})
	}
	return p.text
}

// Inject writes ctx's span context and baggage into header (a nats.Header
// converts to it), under lower-case keys. Nothing to carry writes nothing.
func (p Propagator) Inject(ctx context.Context, header map[string][]string) {
	p.propagator().Inject(ctx, headerCarrier(header))
}

// Extract returns ctx with the span context and baggage of header, keys in any
// letter case; where header has no valid span context, with that of fallback
// (a job's trace_context). What is missing or malformed leaves ctx as it is.
func (p Propagator) Extract(ctx context.Context, header map[string][]string, fallback map[string]string) context.Context {
	if p.Mode == ModeIgnore {
		return ctx
	}
	out := p.propagator().Extract(ctx, headerCarrier(header))
	if len(fallback) == 0 || trace.SpanContextFromContext(out).IsRemote() {
		return out
	}
	single := make(headerCarrier, len(fallback))
	for k, v := range fallback {
		single[k] = []string{v}
	}
	return p.propagator().Extract(out, single)
}

// chunkKey and chunkValue are the entry of tracestate by which enqueue marks the
// context of a whole chunk: a thousand jobs in one trace would be of no use.
const (
	chunkKey   = "stipple"
	chunkValue = "chunk"
)

// StartConsumer starts the span of a message's processing, kind CONSUMER, as
// Mode says; ctx comes from Extract. A context that the jobs of a chunk share is
// linked to and not continued.
func (p Propagator) StartConsumer(ctx context.Context, tracer trace.Tracer, name string, opts ...trace.SpanStartOption) (context.Context, trace.Span) {
	opts = append([]trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindConsumer)}, opts...)
	remote := trace.SpanContextFromContext(ctx)
	if remote.IsRemote() && p.Mode != ModeIgnore {
		opts = append(opts, trace.WithLinks(trace.Link{SpanContext: remote}))
	}
	if p.Mode == ModeLink || p.Mode == ModeIgnore || remote.TraceState().Get(chunkKey) == chunkValue {
		opts = append(opts, trace.WithNewRoot())
	}
	return tracer.Start(ctx, name, opts...)
}

// TraceID is the trace id of ctx's span as 32 hex digits; "" where there is none.
func TraceID(ctx context.Context) string {
	if sc := trace.SpanContextFromContext(ctx); sc.HasTraceID() {
		return sc.TraceID().String()
	}
	return ""
}

// headerCarrier is a message header whose keys are case-sensitive, as NATS has
// them. W3C asks for lower-case names on the wire; [propagation.HeaderCarrier]
// writes Traceparent and cannot read traceparent.
type headerCarrier map[string][]string

// Get implements [propagation.TextMapCarrier]. Several tracestate headers are one list (W3C);
// several values of traceparent that differ say nothing.
func (c headerCarrier) Get(key string) string {
	values := c.Values(key)
	if strings.EqualFold(key, "traceparent") {
		for _, v := range values[min(1, len(values)):] {
			if v != values[0] {
				return ""
			}
		}
		values = values[:min(1, len(values))]
	}
	return strings.TrimSpace(strings.Join(values, ","))
}

// Values implements [propagation.ValuesGetter]: those of the lower-case key, else of any spelling.
func (c headerCarrier) Values(key string) []string {
	if v, ok := c[strings.ToLower(key)]; ok {
		return v
	}
	for k, v := range c {
		if strings.EqualFold(k, key) {
			return v
		}
	}
	return nil
}

// Set implements [propagation.TextMapCarrier]; it replaces the key in every spelling.
func (c headerCarrier) Set(key, value string) {
	for k := range c {
		if strings.EqualFold(k, key) {
			delete(c, k)
		}
	}
	c[strings.ToLower(key)] = []string{value}
}

// Keys implements [propagation.TextMapCarrier].
func (c headerCarrier) Keys() []string {
	keys := make([]string, 0, len(c))
	for k := range c {
		keys = append(keys, k)
	}
	return keys
}

var (
	_ propagation.TextMapCarrier = headerCarrier(nil)
	_ propagation.ValuesGetter   = headerCarrier(nil)
)
