package upload

import (
	"context"
	"maps"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// recorder is a tracer that keeps its spans. It serves one goroutine.
type recorder struct {
	noop.Tracer
	spans []*recordedSpan
}

type recordedSpan struct {
	noop.Span
	name   string
	kind   trace.SpanKind
	attrs  map[string]any
	status codes.Code
	errors []error
	ended  int
}

func (r *recorder) Start(ctx context.Context, name string, opts ...trace.SpanStartOption) (context.Context, trace.Span) {
	config := trace.NewSpanStartConfig(opts...)
	s := &recordedSpan{name: name, kind: config.SpanKind(), attrs: map[string]any{}}
	s.SetAttributes(config.Attributes()...)
	r.spans = append(r.spans, s)
	return trace.ContextWithSpan(ctx, s), s
}

func (s *recordedSpan) SetAttributes(attrs ...attribute.KeyValue) {
	for _, kv := range attrs {
		s.attrs[string(kv.Key)] = kv.Value.AsInterface()
	}
}
func (s *recordedSpan) RecordError(err error, _ ...trace.EventOption) {
	s.errors = append(s.errors, err)
}
func (s *recordedSpan) SetStatus(code codes.Code, _ string) { s.status = code }
func (s *recordedSpan) End(...trace.SpanEndOption)          { s.ended++ }

func TestSpansOfPutObject(t *testing.T) {
	server, c := startS3(t)
	var answer atomic.Int32
	c.Endpoint = proxy(t, server.Endpoint(), func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if status := int(answer.Load()); isPut(r) && status != 0 {
			fail(w, status, "AccessDenied", "Access Denied")
			return
		}
		pass.ServeHTTP(w, r)
	})
	c.MaxAttempts = 3
	host, port, _ := strings.Cut(strings.TrimPrefix(c.Endpoint, "http://"), ":")
	r := &recorder{}
	s := open(t, c, r)
	s.found.Store(&Capabilities{Conditional: true, Read: true, Delete: true, Encrypt: true})

	put := func(status int, wantErr bool) *recordedSpan {
		t.Helper()
		answer.Store(int32(status))
		r.spans = nil
		if _, err := s.Put(t.Context(), testKey, cat()); (err != nil) != wantErr {
			t.Fatalf("Put: %v", err)
		}
		if len(r.spans) != 1 || r.spans[0].name != "S3.PutObject" || r.spans[0].kind != trace.SpanKindClient || r.spans[0].ended != 1 {
			t.Fatalf("spans: %+v, want one ended client span S3.PutObject", r.spans)
		}
		return r.spans[0]
	}
	check := func(s *recordedSpan, more map[string]any) {
		t.Helper()
		want := map[string]any{
			"rpc.system": "aws-api", "rpc.system.name": "aws-api", "cloud.region": server.Region(), "rpc.method": "PutObject", "aws.s3.bucket": "pictures", "aws.s3.key": testKey, "server.address": host,
		}
		maps.Copy(want, more)
		got := map[string]any{}
		for key, value := range s.attrs {
			if key != "aws.request_id" || more[key] != nil {
				got[key] = value
			}
		}
		if got["server.port"] == nil || port == "" {
			t.Errorf("no server.port in %v", got)
		}
		delete(got, "server.port")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("attributes (-want +got):\n%s", diff)
		}
	}

	for status, span := range map[int64]*recordedSpan{200: put(0, false), 412: put(0, false)} { // created, then found
		check(span, map[string]any{"http.response.status_code": status})
		if span.status != codes.Unset || len(span.errors) != 0 {
			t.Errorf("status %d: %v, %v, want no error", status, span.status, span.errors)
		}
	}
	for status, more := range map[int]map[string]any{
		403: {"error.type": TypeConfig},
		503: {"error.type": TypeStorage, "http.request.resend_count": int64(2)},
	} {
		span := put(status, true)
		more["http.response.status_code"] = int64(status)
		more["aws.request_id"] = "4442587FB7D0A2F9"
		check(span, more)
		if span.status != codes.Error || len(span.errors) != 1 {
			t.Errorf("status %d: %v, %v, want one error", status, span.status, span.errors)
		}
	}
}
