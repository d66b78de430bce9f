package upload

import (
	"context"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Stream returns an object, and its body as it arrives, for who hands it on: it takes no memory for the whole. The caller
// closes the body; ctx must live until then. Errors are those of Head.
func (s *Store) Stream(ctx context.Context, key string) (Object, io.ReadCloser, error) {
	ctx, c := withCall(ctx)
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(s.config.Bucket), Key: aws.String(key)})
	if err != nil {
		return Object{}, nil, s.readError(ctx, "getting", key, err, c)
	}
	return Object{
		Key: key, ContentType: aws.ToString(out.ContentType), Metadata: known(out.Metadata),
		Size: aws.ToInt64(out.ContentLength), ETag: aws.ToString(out.ETag), Modified: aws.ToTime(out.LastModified),
	}, out.Body, nil
}
