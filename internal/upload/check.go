package upload

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Check reports whether the store can take pictures now: nil, or what is wrong and what to do. It sends one small request,
// two where the credentials may not list the bucket, and until it has once succeeded a few more, which find out its
// Capabilities: what is no error but worth a warning. A store that is away is not tried twice: the caller asks again.
func (s *Store) Check(ctx context.Context) error {
	if err := s.checkBucket(ctx); err != nil {
		return err
	}
	_, err := s.capabilities(ctx)
	return err
}

// checkBucket asks for the bucket. HEAD needs the right to list, and its refusal has no body to say why; so a refused
// HEAD is followed by a request whose answer does. Credentials that are known but may not list are good enough.
//
// It does not stop at a HEAD that says 404 either: some stores answer that to a key they do not know.
func (s *Store) checkBucket(ctx context.Context) error {
	once := func(o *s3.Options) { o.RetryMaxAttempts = 1 }
	ctx, c := withCall(ctx)
	_, err := s.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: aws.String(s.config.Bucket)}, once)
	if err == nil {
		return nil
	}
	failed := classify(ctx, "checking", s.target(""), err, c)
	if failed.Status < 400 || failed.Status >= 500 {
		return failed
	}
	_, err = s.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{
		Bucket: aws.String(s.config.Bucket), Prefix: aws.String(s.config.Prefix), MaxKeys: aws.Int32(1)}, once)
	if err == nil {
		return nil
	}
	if failed = classify(ctx, "checking", s.target(""), err, c); failed.Code == "AccessDenied" {
		return nil
	}
	return failed
}
