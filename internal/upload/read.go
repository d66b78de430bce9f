package upload

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Object is what Put stores, and what Head, Get and List find.
type Object struct {
	Body        []byte // Put and Get
	ContentType string
	Metadata    Metadata // zero for an object of another origin

	Key      string // this and the following are set by Head, Get and List
	Size     int64  // bytes
	ETag     string
	Modified time.Time
}

// Head looks an object up. The error wraps ErrNotFound, wraps ErrUnknown if the store does not say, or is an *Error.
func (s *Store) Head(ctx context.Context, key string) (Object, error) {
	ctx, c := withCall(ctx)
	out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: aws.String(s.config.Bucket), Key: aws.String(key)})
	if err != nil {
		return Object{}, s.readError(ctx, "looking up", key, err, c)
	}
	return Object{
		Key: key, ContentType: aws.ToString(out.ContentType), Metadata: known(out.Metadata),
		Size: aws.ToInt64(out.ContentLength), ETag: aws.ToString(out.ETag), Modified: aws.ToTime(out.LastModified),
	}, nil
}

// maxObject bounds what Get reads into memory: the largest picture has 805 MB of pixels (maxSide), and a store that goes
// on sending must not take the process down.
const maxObject = 1 << 30

// Get reads an object with its body, at most 1 GiB of it. Errors are those of Head, and ErrDamaged for a longer one.
func (s *Store) Get(ctx context.Context, key string) (Object, error) {
	ctx, c := withCall(ctx)
	found, err := s.fetch(ctx, key, maxObject, c)
	if err != nil {
		return Object{}, err
	}
	return Object{
		Key: key, Body: found.body, ContentType: found.contentType, Metadata: known(found.metadata),
		Size: int64(len(found.body)), ETag: found.etag, Modified: found.modified,
	}, nil
}

// fetched is what a GET brings.
type fetched struct {
	body              []byte
	contentType, etag string
	metadata          map[string]string
	modified          time.Time
}

// fetch reads an object of at most limit bytes. Errors are those of Get.
func (s *Store) fetch(ctx context.Context, key string, limit int64, c *call) (fetched, error) {
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(s.config.Bucket), Key: aws.String(key)})
	if err != nil {
		return fetched{}, s.readError(ctx, "getting", key, err, c)
	}
	var body bytes.Buffer
	if n := aws.ToInt64(out.ContentLength); n <= limit {
		body.Grow(int(min(n, 16<<20)) + bytes.MinRead) // ReadFrom wants room to find the end, and a length may be a lie
		_, err = body.ReadFrom(io.LimitReader(out.Body, limit+1))
	}
	if err := errors.Join(err, out.Body.Close()); err != nil {
		return fetched{}, classify(ctx, "getting", s.target(key), err, c)
	}
	if n := max(int64(body.Len()), aws.ToInt64(out.ContentLength)); n > limit {
		return fetched{}, fmt.Errorf("getting %s: %d bytes or more, want at most %d: %w", s.target(key), n, limit, ErrDamaged)
	}
	return fetched{
		body: body.Bytes(), contentType: aws.ToString(out.ContentType), etag: aws.ToString(out.ETag),
		metadata: out.Metadata, modified: aws.ToTime(out.LastModified),
	}, nil
}

// known reads what can be read of an object's metadata. The rest, of another origin or version, is not an error of the
// look-up: without our spec16 an object is seen to be foreign, and with it the rest is for display.
func known(encoded map[string]string) Metadata {
	m, _ := DecodeMetadata(encoded) // the error says which fields are zero
	return m
}

// readError tells an object that is not there, and a store that does not say, from a failure.
func (s *Store) readError(ctx context.Context, doing, key string, err error, c *call) error {
	e := classify(ctx, doing, s.target(key), err, c)
	var noKey *types.NoSuchKey
	switch {
	case errors.As(err, &noKey), e.Status == http.StatusNotFound && e.Code != "NoSuchBucket":
		return fmt.Errorf("%s %s: %w", doing, e.Target, ErrNotFound)
	case e.Status == http.StatusForbidden && (e.Code == "Forbidden" || e.Code == "AccessDenied"): // HEAD has no body to say more
		return fmt.Errorf("%s %s: %w", doing, e.Target, ErrUnknown)
	}
	return e
}

// Delete removes an object. One that is not there is removed already. The error is an *Error.
func (s *Store) Delete(ctx context.Context, key string) error {
	ctx, c := withCall(ctx)
	if failed := s.remove(ctx, key, c); failed != nil {
		return failed
	}
	return nil
}

// remove is Delete with its call.
func (s *Store) remove(ctx context.Context, key string, c *call) *Error {
	_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String(s.config.Bucket), Key: aws.String(key)})
	if err == nil {
		return nil
	}
	if failed := classify(ctx, "deleting", s.target(key), err, c); failed.Status != http.StatusNotFound || failed.Code == "NoSuchBucket" {
		return failed
	}
	return nil
}

// List goes through the objects under a prefix in the order of their keys. They have no body, content type and metadata.
// An error ends it.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		pages := s3.NewListObjectsV2Paginator(s.client, &s3.ListObjectsV2Input{
			Bucket: aws.String(s.config.Bucket), Prefix: aws.String(prefix),
		})
		for pages.HasMorePages() {
			ctx, c := withCall(ctx)
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(Object{}, classify(ctx, "listing", s.target(prefix), err, c))
				return
			}
			for _, o := range page.Contents {
				found := Object{
					Key: aws.ToString(o.Key), Size: aws.ToInt64(o.Size), ETag: aws.ToString(o.ETag), Modified: aws.ToTime(o.LastModified),
				}
				if !yield(found, nil) {
					return
				}
			}
		}
	}
}

// maxPresign is the longest life of a presigned URL, from the S3 API reference.
const maxPresign = 7 * 24 * time.Hour

// Presign makes a URL that reads the object without credentials until it expires, 1 s to 7 days from now. It is a secret
// for that long. Nothing is sent; whether the object exists is not looked at.
func (s *Store) Presign(ctx context.Context, key string, expires time.Duration) (string, error) {
	if expires < time.Second || expires > maxPresign {
		return "", fmt.Errorf("presigning %s: %v is not between 1s and %v", s.target(key), expires, maxPresign)
	}
	signed, err := s3.NewPresignClient(s.client).PresignGetObject(ctx,
		&s3.GetObjectInput{Bucket: aws.String(s.config.Bucket), Key: aws.String(key)}, s3.WithPresignExpires(expires))
	if err != nil {
		return "", classify(ctx, "presigning", s.target(key), err, nil)
	}
	return signed.URL, nil
}
