package otel

import (
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/encoding/protowire"
)

// appendSpans appends an ExportTraceServiceRequest (opentelemetry/proto/collector/trace/v1)
// with a batch of one tracer provider: one resource, spans by their scope.
//
//	resource_spans = 1 { resource = 1, scope_spans = 2 { scope = 1, spans = 2, schema_url = 3 }, schema_url = 3 }
func appendSpans(b []byte, spans []sdktrace.ReadOnlySpan) []byte {
	if len(spans) == 0 {
		return b
	}
	return within(b, 1, func(b []byte) []byte {
		res := spans[0].Resource()
		b = within(b, 1, func(b []byte) []byte { return appendSet(b, 1, res.Set()) })
		for _, scope := range scopes(spans) {
			b = within(b, 2, func(b []byte) []byte { return appendScope(b, scope, spans) })
		}
		return appendText(b, 3, res.SchemaURL())
	})
}

// scopes are those of the spans, in order of appearance: this program has one.
func scopes(spans []sdktrace.ReadOnlySpan) []instrumentation.Scope {
	var out []instrumentation.Scope
next:
	for _, s := range spans {
		for _, known := range out {
			if s.InstrumentationScope() == known {
				continue next
			}
		}
		out = append(out, s.InstrumentationScope())
	}
	return out
}

// appendScope appends a ScopeSpans with those of the spans that are the scope's.
func appendScope(b []byte, scope instrumentation.Scope, spans []sdktrace.ReadOnlySpan) []byte {
	if scope != (instrumentation.Scope{}) {
		b = within(b, 1, func(b []byte) []byte {
			b = appendText(appendText(b, 1, scope.Name), 2, scope.Version)
			return appendSet(b, 3, &scope.Attributes)
		})
	}
	for _, s := range spans {
		if s.InstrumentationScope() == scope {
			start := len(b)
			b = header(appendSpan(b, s), start, 2)
		}
	}
	return appendText(b, 3, scope.SchemaURL)
}

// appendSpan appends the fields of a Span (opentelemetry/proto/trace/v1).
func appendSpan(b []byte, s sdktrace.ReadOnlySpan) []byte {
	sc, parent := s.SpanContext(), s.Parent()
	b = appendContext(b, sc)
	if id := parent.SpanID(); id.IsValid() {
		b = protowire.AppendBytes(protowire.AppendTag(b, 4, protowire.BytesType), id[:])
	}
	b = appendText(b, 5, s.Name())
	b = appendCount(b, 6, int(kind(s.SpanKind())))
	b = appendTime(b, 7, s.StartTime())
	b = appendTime(b, 8, s.EndTime())
	b = appendCount(appendAttributes(b, 9, s.Attributes()), 10, s.DroppedAttributes())
	for _, e := range s.Events() {
		start := len(b)
		b = appendText(appendTime(b, 1, e.Time), 2, e.Name)
		b = appendCount(appendAttributes(b, 3, e.Attributes), 4, e.DroppedAttributeCount)
		b = header(b, start, 11)
	}
	b = appendCount(b, 12, s.DroppedEvents())
	for _, l := range s.Links() {
		start := len(b)
		b = appendContext(b, l.SpanContext)
		b = appendCount(appendAttributes(b, 4, l.Attributes), 5, l.DroppedAttributeCount)
		b = header(appendFlags(b, 6, l.SpanContext.TraceFlags(), l.SpanContext), start, 13)
	}
	b = appendCount(b, 14, s.DroppedLinks())
	start := len(b)
	b = appendText(b, 2, s.Status().Description)
	b = header(appendCount(b, 3, statusCode(s.Status().Code)), start, 15)
	return appendFlags(b, 16, sc.TraceFlags(), parent)
}

// appendContext appends trace_id = 1, span_id = 2 and trace_state = 3, of spans and links alike.
func appendContext(b []byte, sc trace.SpanContext) []byte {
	tid, sid := sc.TraceID(), sc.SpanID()
	b = protowire.AppendBytes(protowire.AppendTag(b, 1, protowire.BytesType), tid[:])
	b = protowire.AppendBytes(protowire.AppendTag(b, 2, protowire.BytesType), sid[:])
	if sc.TraceState().Len() == 0 {
		return b
	}
	return appendText(b, 3, sc.TraceState().String())
}

// appendFlags appends the W3C flags with, above them, that it is known whether
// the context (of a span its parent's, of a link its own) came from elsewhere, and whether it did.
func appendFlags(b []byte, num protowire.Number, flags trace.TraceFlags, of trace.SpanContext) []byte {
	const hasIsRemote, isRemote = 0x100, 0x200
	v := uint32(flags) | hasIsRemote
	if of.IsRemote() {
		v |= isRemote
	}
	return protowire.AppendFixed32(protowire.AppendTag(b, num, protowire.Fixed32Type), v)
}

// appendTime appends nanoseconds since 1970; a time before that is 0.
func appendTime(b []byte, num protowire.Number, t time.Time) []byte {
	return appendFixed64(b, num, uint64(max(0, t.UnixNano())))
}

// kind is a SpanKind of the protocol: unspecified 0, internal 1, server 2, client 3, producer 4, consumer 5. The API's are the same.
func kind(k trace.SpanKind) trace.SpanKind {
	if k < trace.SpanKindUnspecified || k > trace.SpanKindConsumer {
		return trace.SpanKindUnspecified
	}
	return k
}

// statusCode is a StatusCode of the protocol.
func statusCode(c codes.Code) int {
	switch c {
	case codes.Ok:
		return 1
	case codes.Error:
		return 2
	default:
		return 0
	}
}
