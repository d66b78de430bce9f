package otlpd

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	collogspb "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetricspb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Span is one span with its resource and scope folded in. Ids are lower-case
// hex; attribute values are string, bool, int64, float64, []byte, []any or map[string]any.
type Span struct {
	TraceID    string         `json:"trace_id"`
	SpanID     string         `json:"span_id"`
	ParentID   string         `json:"parent_id,omitempty"` // "" for a root
	TraceState string         `json:"trace_state,omitempty"`
	Name       string         `json:"name"`
	Kind       string         `json:"kind"` // INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER or UNSPECIFIED
	Start      time.Time      `json:"start"`
	End        time.Time      `json:"end"`
	Attributes map[string]any `json:"attributes,omitempty"`
	Events     []Event        `json:"events,omitempty"`
	Links      []Link         `json:"links,omitempty"`
	Status     Status         `json:"status"`
	Resource   map[string]any `json:"resource,omitempty"` // shared by the spans of one request: read only
	Scope      string         `json:"scope,omitempty"`
}

// Event is one event of a span.
type Event struct {
	Name       string         `json:"name"`
	Time       time.Time      `json:"time"`
	Attributes map[string]any `json:"attributes,omitempty"`
}

// Link is one link of a span.
type Link struct {
	TraceID    string         `json:"trace_id"`
	SpanID     string         `json:"span_id"`
	Attributes map[string]any `json:"attributes,omitempty"`
}

// Status is a span's status; Code is UNSET, OK or ERROR.
type Status struct {
	Code    string `json:"code"`
	Message string `json:"message,omitempty"`
}

// Metric is one metric of one export with its data points.
type Metric struct {
	Name        string
	Unit        string
	Kind        string // sum, gauge, histogram, exponential_histogram or summary
	Temporality string // DELTA, CUMULATIVE or UNSPECIFIED; "" for gauges
	Resource    map[string]any
	Points      []Point
}

// Point is one data point: Value for sums and gauges, Count, Sum and the buckets for histograms.
type Point struct {
	Attributes map[string]any
	Value      float64
	Count      uint64
	Sum        float64
	Bounds     []float64
}

// LogRecord is one log record; Body as an attribute value.
type LogRecord struct {
	Time            time.Time
	Severity        string
	Body            any
	Attributes      map[string]any
	TraceID, SpanID string
	Resource        map[string]any
}

// decodeTraces flattens an ExportTraceServiceRequest.
func decodeTraces(body []byte) ([]Span, error) {
	var req coltracepb.ExportTraceServiceRequest
	if err := proto.Unmarshal(body, &req); err != nil {
		return nil, fmt.Errorf("decoding spans: %w", err)
	}
	var out []Span
	for _, rs := range req.GetResourceSpans() {
		res := attributes(rs.GetResource().GetAttributes())
		for _, ss := range rs.GetScopeSpans() {
			for _, s := range ss.GetSpans() {
				out = append(out, flatten(s, res, ss.GetScope().GetName()))
			}
		}
	}
	return out, nil
}

func flatten(s *tracepb.Span, resource map[string]any, scope string) Span {
	out := Span{
		TraceID:    hex.EncodeToString(s.GetTraceId()),
		SpanID:     hex.EncodeToString(s.GetSpanId()),
		ParentID:   hex.EncodeToString(s.GetParentSpanId()),
		TraceState: s.GetTraceState(),
		Name:       s.GetName(),
		Kind:       strings.TrimPrefix(s.GetKind().String(), "SPAN_KIND_"),
		Start:      unixNano(s.GetStartTimeUnixNano()),
		End:        unixNano(s.GetEndTimeUnixNano()),
		Attributes: attributes(s.GetAttributes()),
		Status: Status{
			Code:    strings.TrimPrefix(s.GetStatus().GetCode().String(), "STATUS_CODE_"),
			Message: s.GetStatus().GetMessage(),
		},
		Resource: resource,
		Scope:    scope,
	}
	for _, e := range s.GetEvents() {
		out.Events = append(out.Events, Event{e.GetName(), unixNano(e.GetTimeUnixNano()), attributes(e.GetAttributes())})
	}
	for _, l := range s.GetLinks() {
		out.Links = append(out.Links, Link{hex.EncodeToString(l.GetTraceId()), hex.EncodeToString(l.GetSpanId()), attributes(l.GetAttributes())})
	}
	return out
}

// decodeMetrics flattens an ExportMetricsServiceRequest.
func decodeMetrics(body []byte) ([]Metric, error) {
	var req colmetricspb.ExportMetricsServiceRequest
	if err := proto.Unmarshal(body, &req); err != nil {
		return nil, fmt.Errorf("decoding metrics: %w", err)
	}
	var out []Metric
	for _, rm := range req.GetResourceMetrics() {
		res := attributes(rm.GetResource().GetAttributes())
		for _, sm := range rm.GetScopeMetrics() {
			for _, m := range sm.GetMetrics() {
				out = append(out, flattenMetric(m, res))
			}
		}
	}
	return out, nil
}

func flattenMetric(m *metricspb.Metric, resource map[string]any) Metric {
	out := Metric{Name: m.GetName(), Unit: m.GetUnit(), Resource: resource}
	temporality := func(t metricspb.AggregationTemporality) string {
		return strings.TrimPrefix(t.String(), "AGGREGATION_TEMPORALITY_")
	}
	switch d := m.GetData().(type) {
	case *metricspb.Metric_Sum:
		out.Kind, out.Temporality = "sum", temporality(d.Sum.GetAggregationTemporality())
		out.Points = numbers(d.Sum.GetDataPoints())
	case *metricspb.Metric_Gauge:
		out.Kind, out.Points = "gauge", numbers(d.Gauge.GetDataPoints())
	case *metricspb.Metric_Histogram:
		out.Kind, out.Temporality = "histogram", temporality(d.Histogram.GetAggregationTemporality())
		for _, p := range d.Histogram.GetDataPoints() {
			out.Points = append(out.Points, Point{Attributes: attributes(p.GetAttributes()), Count: p.GetCount(), Sum: p.GetSum(), Bounds: p.GetExplicitBounds()})
		}
	case *metricspb.Metric_ExponentialHistogram:
		out.Kind, out.Temporality = "exponential_histogram", temporality(d.ExponentialHistogram.GetAggregationTemporality())
		for _, p := range d.ExponentialHistogram.GetDataPoints() {
			out.Points = append(out.Points, Point{Attributes: attributes(p.GetAttributes()), Count: p.GetCount(), Sum: p.GetSum()})
		}
	case *metricspb.Metric_Summary:
		out.Kind = "summary"
		for _, p := range d.Summary.GetDataPoints() {
			out.Points = append(out.Points, Point{Attributes: attributes(p.GetAttributes()), Count: p.GetCount(), Sum: p.GetSum()})
		}
	}
	return out
}

func numbers(points []*metricspb.NumberDataPoint) []Point {
	var out []Point
	for _, p := range points {
		v := p.GetAsDouble()
		if i, ok := p.GetValue().(*metricspb.NumberDataPoint_AsInt); ok {
			v = float64(i.AsInt)
		}
		out = append(out, Point{Attributes: attributes(p.GetAttributes()), Value: v})
	}
	return out
}

// decodeLogs flattens an ExportLogsServiceRequest.
func decodeLogs(body []byte) ([]LogRecord, error) {
	var req collogspb.ExportLogsServiceRequest
	if err := proto.Unmarshal(body, &req); err != nil {
		return nil, fmt.Errorf("decoding logs: %w", err)
	}
	var out []LogRecord
	for _, rl := range req.GetResourceLogs() {
		res := attributes(rl.GetResource().GetAttributes())
		for _, sl := range rl.GetScopeLogs() {
			for _, r := range sl.GetLogRecords() {
				out = append(out, LogRecord{
					Time: unixNano(r.GetTimeUnixNano()), Severity: r.GetSeverityText(), Body: value(r.GetBody()),
					Attributes: attributes(r.GetAttributes()), Resource: res,
					TraceID: hex.EncodeToString(r.GetTraceId()), SpanID: hex.EncodeToString(r.GetSpanId()),
				})
			}
		}
	}
	return out, nil
}

func attributes(kvs []*commonpb.KeyValue) map[string]any {
	if len(kvs) == 0 {
		return nil
	}
	out := make(map[string]any, len(kvs))
	for _, kv := range kvs {
		out[kv.GetKey()] = value(kv.GetValue())
	}
	return out
}

// value is an AnyValue as a Go value; its depth is bounded by the protobuf decoder's recursion limit.
func value(v *commonpb.AnyValue) any {
	switch v := v.GetValue().(type) {
	case *commonpb.AnyValue_StringValue:
		return v.StringValue
	case *commonpb.AnyValue_BoolValue:
		return v.BoolValue
	case *commonpb.AnyValue_IntValue:
		return v.IntValue
	case *commonpb.AnyValue_DoubleValue:
		return v.DoubleValue
	case *commonpb.AnyValue_BytesValue:
		return v.BytesValue
	case *commonpb.AnyValue_ArrayValue:
		out := make([]any, len(v.ArrayValue.GetValues()))
		for i, e := range v.ArrayValue.GetValues() {
			out[i] = value(e)
		}
		return out
	case *commonpb.AnyValue_KvlistValue:
		return attributes(v.KvlistValue.GetValues())
	default:
		return nil
	}
}

// unixNano reads OTLP's fixed64 nanoseconds; the top bit has no meaning in this century and is dropped.
func unixNano(ns uint64) time.Time { return time.Unix(0, int64(ns&(1<<63-1))) }
