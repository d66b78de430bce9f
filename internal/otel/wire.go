package otel

import (
	"math"

	"go.opentelemetry.io/otel/attribute"
	"google.golang.org/protobuf/encoding/protowire"
)

// The encoding of OTLP's common messages (opentelemetry/proto/common/v1): values
// are appended as they are read, with no message in memory between. Numbers
// below are those of the .proto files. Text is made valid UTF-8 on the way: the
// SDK does not look, and protobuf refuses a whole batch for one byte.

// within appends the length-delimited field num whose content fill appends.
// The content is written first and moved up by the length of its header, which
// costs less than measuring everything before.
func within(b []byte, num protowire.Number, fill func([]byte) []byte) []byte {
	start := len(b)
	return header(fill(b), start, num)
}

// header turns what was appended since start into a length-delimited field.
func header(b []byte, start int, num protowire.Number) []byte {
	n := len(b) - start
	var head [16]byte
	h := protowire.AppendVarint(protowire.AppendTag(head[:0], num, protowire.BytesType), uint64(n))
	b = append(b, h...)
	copy(b[start+len(h):], b[start:start+n])
	copy(b[start:], h)
	return b
}

func appendText(b []byte, num protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, num, protowire.BytesType), cleanText(s))
}

func appendFixed64(b []byte, num protowire.Number, v uint64) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(b, num, protowire.Fixed64Type), v)
}

func appendCount(b []byte, num protowire.Number, n int) []byte {
	if n <= 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), uint64(min(n, math.MaxUint32)))
}

// appendAttributes appends each as a KeyValue { key = 1, value = 2 } in field num.
func appendAttributes(b []byte, num protowire.Number, kvs []attribute.KeyValue) []byte {
	for _, kv := range kvs {
		start := len(b)
		b = appendText(b, 1, string(kv.Key))
		value := len(b)
		b = appendValue(b, kv.Value)
		b = header(header(b, value, 2), start, num)
	}
	return b
}

// appendSet is appendAttributes for a set.
func appendSet(b []byte, num protowire.Number, set *attribute.Set) []byte {
	for it := set.Iter(); it.Next(); {
		kv := it.Attribute()
		b = appendAttributes(b, num, []attribute.KeyValue{kv})
	}
	return b
}

// appendValue appends the one field of an AnyValue; of an empty value none.
func appendValue(b []byte, v attribute.Value) []byte {
	switch v.Type() {
	case attribute.STRING:
		// Of a oneof the empty string is written too.
		return protowire.AppendString(protowire.AppendTag(b, 1, protowire.BytesType), cleanText(v.AsString()))
	case attribute.BOOL:
		return protowire.AppendVarint(protowire.AppendTag(b, 2, protowire.VarintType), protowire.EncodeBool(v.AsBool()))
	case attribute.INT64:
		return protowire.AppendVarint(protowire.AppendTag(b, 3, protowire.VarintType), uint64(v.AsInt64()))
	case attribute.FLOAT64:
		return appendFixed64(b, 4, math.Float64bits(v.AsFloat64()))
	case attribute.BYTESLICE:
		return protowire.AppendBytes(protowire.AppendTag(b, 7, protowire.BytesType), v.AsByteSlice())
	case attribute.BOOLSLICE:
		return appendArray(b, v.AsBoolSlice(), attribute.BoolValue)
	case attribute.INT64SLICE:
		return appendArray(b, v.AsInt64Slice(), attribute.Int64Value)
	case attribute.FLOAT64SLICE:
		return appendArray(b, v.AsFloat64Slice(), attribute.Float64Value)
	case attribute.STRINGSLICE:
		return appendArray(b, v.AsStringSlice(), attribute.StringValue)
	case attribute.SLICE:
		return appendArray(b, v.AsSlice(), func(v attribute.Value) attribute.Value { return v })
	case attribute.MAP:
		return within(b, 6, func(b []byte) []byte { return appendAttributes(b, 1, v.AsMap()) })
	default:
		return b
	}
}

// appendArray appends an ArrayValue { values = 1 }.
func appendArray[T any](b []byte, values []T, of func(T) attribute.Value) []byte {
	return within(b, 5, func(b []byte) []byte {
		for _, v := range values {
			b = within(b, 1, func(b []byte) []byte { return appendValue(b, of(v)) })
		}
		return b
	})
}
