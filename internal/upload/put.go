package upload

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// maxPutRounds bounds how often Put starts over because the object that was in its way is gone when it looks.
const maxPutRounds = 3

// PutResult is what became of a Put.
type PutResult struct {
	// Created is true if the object is the one that was put.
	Created bool
	// Existing is the object that was there already, without its body: the image of the job, perhaps put by an attempt of
	// this very call whose answer was lost. It is nil if Created, and if the store does not let the credentials look.
	Existing *Object
}

// Put stores the object unless the key is taken. A taken key is no error: the stored object is the image, and the result
// describes it; whether it belongs to the job is for the caller to compare (Metadata.Spec16).
//
// The error is an *Error, except for metadata that no store takes. Put tries a few times within seconds; waiting out an outage is the caller's work, which may call
// again with the same object as often as it likes.
func (s *Store) Put(ctx context.Context, key string, o Object) (PutResult, error) {
	if err := checkSize(o.Metadata.Encode()); err != nil {
		return PutResult{}, fmt.Errorf("putting %s: %w", s.target(key), err)
	}
	mode, err := s.putMode(ctx)
	if err != nil {
		return PutResult{}, err
	}
	for range maxPutRounds {
		if mode == modeLookFirst {
			existing, err := s.Head(ctx, key)
			if err == nil {
				return PutResult{Existing: &existing}, nil
			}
			if !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrUnknown) {
				return PutResult{}, err
			}
		}
		err := s.putOnce(ctx, key, o, mode == modeConditional)
		switch status := statusOf(err); {
		case err == nil:
			return PutResult{Created: true}, nil
		case status == http.StatusNotImplemented && mode == modeConditional: // the store changed its mind since the probe
			mode = modeLookFirst
			s.mode.Store(int32(mode))
			continue
		case status != http.StatusPreconditionFailed:
			return PutResult{}, err
		}
		existing, err := s.Head(ctx, key)
		switch {
		case err == nil:
			return PutResult{Existing: &existing}, nil
		case errors.Is(err, ErrUnknown):
			return PutResult{}, nil
		case !errors.Is(err, ErrNotFound):
			return PutResult{}, err
		}
	}
	return PutResult{}, &Error{Doing: "putting", Target: s.target(key), Type: TypeStorage,
		Reason: "an object is in the way and gone when looked for, time after time: does something delete objects here?"}
}

// putOnce sends one PutObject, with the SDK's retries, in a span of its own. A refused condition is an *Error with status
// 412, and not an error of the span.
func (s *Store) putOnce(ctx context.Context, key string, o Object, conditional bool) error {
	ctx, span := s.tracer.Start(ctx, "S3.PutObject", trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		attribute.String("rpc.system", "aws-api"),
		attribute.String("rpc.method", "PutObject"),
		attribute.String("aws.s3.bucket", s.config.Bucket),
		attribute.String("aws.s3.key", key),
	))
	defer span.End()
	ctx, c := withCall(ctx)
	_, err := s.client.PutObject(ctx, s.putInput(key, o, conditional))
	c.describe(span)
	if err == nil {
		return nil
	}
	failed := classify(ctx, "putting", s.target(key), err, c)
	if failed.Status != http.StatusPreconditionFailed {
		span.SetAttributes(attribute.String("error.type", failed.Type))
		span.RecordError(failed)
		span.SetStatus(codes.Error, failed.Error())
	}
	return failed
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

// putInput is the request of an object.
func (s *Store) putInput(key string, o Object, conditional bool) *s3.PutObjectInput {
	in := &s3.PutObjectInput{
		Bucket:               aws.String(s.config.Bucket),
		Key:                  aws.String(key),
		Body:                 bytes.NewReader(o.Body), // seekable: the SDK measures it, hashes it and sends it again
		Metadata:             o.Metadata.Encode(),
		ServerSideEncryption: types.ServerSideEncryption(s.config.SSE),
	}
	if conditional {
		in.IfNoneMatch = aws.String("*")
	}
	if o.ContentType != "" {
		in.ContentType = aws.String(o.ContentType)
	}
	if len(s.config.Tags) > 0 {
		in.Tagging = aws.String(tagging(s.config.Tags))
	}
	if s.config.SSEKMSKeyID != "" {
		in.SSEKMSKeyId = aws.String(s.config.SSEKMSKeyID)
	}
	return in
}
