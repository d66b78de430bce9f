package otel

import (
	"strings"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// replacement stands for bytes that are no UTF-8.
const replacement = "\uFFFD"

// cleanSpans returns the batch with every text in it valid UTF-8.
func cleanSpans(batch []sdktrace.ReadOnlySpan) []sdktrace.ReadOnlySpan {
	out := make([]sdktrace.ReadOnlySpan, len(batch))
	for i, s := range batch {
		out[i] = cleanSpan{s}
	}
	return out
}

// cleanSpan is a span whose bad bytes are replaced as it is read.
type cleanSpan struct{ sdktrace.ReadOnlySpan }

// Name implements [sdktrace.ReadOnlySpan], as the methods below.
func (s cleanSpan) Name() string { return cleanText(s.ReadOnlySpan.Name()) }

func (s cleanSpan) Status() sdktrace.Status {
	status := s.ReadOnlySpan.Status()
	status.Description = cleanText(status.Description)
	return status
}

func (s cleanSpan) Attributes() []attribute.KeyValue {
	return cleanAttributes(s.ReadOnlySpan.Attributes())
}

func (s cleanSpan) Events() []sdktrace.Event {
	out := append([]sdktrace.Event(nil), s.ReadOnlySpan.Events()...)
	for i := range out {
		out[i].Name, out[i].Attributes = cleanText(out[i].Name), cleanAttributes(out[i].Attributes)
	}
	return out
}

func (s cleanSpan) Links() []sdktrace.Link {
	out := append([]sdktrace.Link(nil), s.ReadOnlySpan.Links()...)
	for i := range out {
		out[i].Attributes = cleanAttributes(out[i].Attributes)
	}
	return out
}

func cleanAttributes(kvs []attribute.KeyValue) []attribute.KeyValue {
	out := make([]attribute.KeyValue, len(kvs))
	for i, kv := range kvs {
		out[i] = attribute.KeyValue{Key: attribute.Key(cleanText(string(kv.Key))), Value: cleanValue(kv.Value)}
	}
	return out
}

func cleanValue(v attribute.Value) attribute.Value {
	switch v.Type() {
	case attribute.STRING:
		return attribute.StringValue(cleanText(v.AsString()))
	case attribute.STRINGSLICE:
		list := append([]string(nil), v.AsStringSlice()...)
		for i := range list {
			list[i] = cleanText(list[i])
		}
		return attribute.StringSliceValue(list)
	case attribute.SLICE:
		list := append([]attribute.Value(nil), v.AsSlice()...)
		for i := range list {
			list[i] = cleanValue(list[i])
		}
		return attribute.SliceValue(list...)
	case attribute.MAP:
		return attribute.MapValue(cleanAttributes(v.AsMap())...)
	}
	return v
}

func cleanText(s string) string { return strings.ToValidUTF8(s, replacement) }
