package upload

import (
	"context"
	"net"
	"net/http"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// callSpan is the span of one call of the S3 API and of its attempts.
type callSpan struct {
	*call
	span trace.Span
}

// startSpan begins the span of a call, such as PutObject. Its attempts must run under the context that is returned.
func (s *Store) startSpan(ctx context.Context, method, key string) (context.Context, callSpan) {
	ctx, span := s.tracer.Start(ctx, "S3."+method, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		attribute.String("rpc.system", "aws-api"),      // deprecated, and what backends know
		attribute.String("rpc.system.name", "aws-api"), // its new name
		attribute.String("rpc.method", method),
		attribute.String("cloud.region", s.region),
		attribute.String("aws.s3.bucket", s.config.Bucket),
		attribute.String("aws.s3.key", key),
	))
	ctx, c := withCall(ctx)
	return ctx, callSpan{call: c, span: span}
}

// End describes the call and ends its span. failed is nil for a call that did what it should.
func (s callSpan) End(failed *Error) {
	s.describe(s.span)
	if failed != nil && failed.Status != http.StatusPreconditionFailed { // a refused condition is an answer
		s.span.SetAttributes(attribute.String("error.type", failed.Type))
		s.span.RecordError(failed)
		s.span.SetStatus(codes.Error, failed.Error())
	}
	s.span.End()
}

// describe writes what the attempts of a call did to its span.
func (c *call) describe(span trace.Span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	host, port, err := net.SplitHostPort(c.host)
	if err != nil { // no port in it
		host, port = c.host, ""
	}
	if host != "" {
		span.SetAttributes(attribute.String("server.address", host))
	}
	if n, err := strconv.Atoi(port); err == nil {
		span.SetAttributes(attribute.Int("server.port", n))
	}
	if c.attempts > 1 {
		span.SetAttributes(attribute.Int("http.request.resend_count", c.attempts-1))
	}
	if c.status != 0 {
		span.SetAttributes(attribute.Int("http.response.status_code", c.status))
	}
	if c.requestID != "" {
		span.SetAttributes(attribute.String("aws.request_id", c.requestID))
	}
}
