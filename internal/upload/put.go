package upload

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
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
// The store checks the body against Metadata.SHA256, or a hash that is computed here if that is not set.
//
// The error is an *Error, except for metadata that no store takes. Put tries a few times within seconds; waiting out an
// outage is the caller's work, which may call again with the same object as often as it likes.
func (s *Store) Put(ctx context.Context, key string, o Object) (PutResult, error) {
	request := putRequest{key: key, body: o.Body, sha256: o.Metadata.SHA256, contentType: o.ContentType, metadata: o.Metadata.Encode()}
	if err := checkSize(request.metadata); err != nil {
		return PutResult{}, fmt.Errorf("putting %s: %w", s.target(key), err)
	}
	can, err := s.capabilities(ctx)
	if err != nil {
		return PutResult{}, err
	}
	for range maxPutRounds {
		if !can.Conditional { // two writers may pass each other here, with equal pixels
			existing, err := s.Head(ctx, key)
			if err == nil {
				return PutResult{Existing: &existing}, nil
			}
			if !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrUnknown) {
				return PutResult{}, err
			}
		}
		request.conditional = can.Conditional
		_, err := s.putOnce(ctx, request)
		switch status := statusOf(err); {
		case err == nil:
			return PutResult{Created: true}, nil
		case status == http.StatusNotImplemented && can.Conditional: // the store changed its mind since the probe
			can.Conditional = false
			s.found.Store(&can)
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

// putRequest is what one PutObject sends.
type putRequest struct {
	key         string
	body        []byte
	sha256      string // of body, in hex; anything else if it is not known
	contentType string
	metadata    map[string]string // user-defined, in ASCII
	conditional bool              // only if nothing is there
}

// putOnce sends one PutObject, with the SDK's retries, in a span of its own, and returns the encryption that the store says
// it used. A refused condition is an *Error with status 412, and not an error of the span.
func (s *Store) putOnce(ctx context.Context, r putRequest) (encryption string, err error) {
	ctx, span := s.startSpan(ctx, "PutObject", r.key)
	span.settings = s.config.options()
	if s.putter != nil {
		encryption, err = s.putter.put(ctx, r)
	} else {
		encryption, err = s.sdkPut(ctx, r)
	}
	if err == nil {
		span.End(nil)
		return encryption, nil
	}
	failed := classify(ctx, "putting", s.target(r.key), err, span.call)
	span.End(failed)
	return "", failed
}

// sdkPut is putter.put for buckets that have none.
func (s *Store) sdkPut(ctx context.Context, r putRequest) (encryption string, err error) {
	in := &s3.PutObjectInput{
		Bucket:               aws.String(s.config.Bucket),
		Key:                  aws.String(r.key),
		Body:                 bytes.NewReader(r.body), // seekable: the SDK measures it, hashes it and sends it again
		Metadata:             r.metadata,
		ServerSideEncryption: types.ServerSideEncryption(s.config.SSE),
	}
	if r.conditional {
		in.IfNoneMatch = aws.String("*")
	}
	if r.contentType != "" {
		in.ContentType = aws.String(r.contentType)
	}
	if len(s.config.Tags) > 0 {
		in.Tagging = aws.String(tagging(s.config.Tags))
	}
	if s.config.SSEKMSKeyID != "" {
		in.SSEKMSKeyId = aws.String(s.config.SSEKMSKeyID)
	}
	out, err := s.client.PutObject(ctx, in)
	if err != nil {
		return "", err
	}
	return string(out.ServerSideEncryption), nil
}
