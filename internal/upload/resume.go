package upload

import (
	"context"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Resume reads an object from offset on, for what is too large for memory and was broken off before. With an etag, an object that was replaced meanwhile is an
// error. The caller closes the body; ctx must live until then. Errors are those of Head; those of the body, in the middle of it, are the network's own.
func (s *Store) Resume(ctx context.Context, key, etag string, offset int64) (io.ReadCloser, error) {
	ctx, c := withCall(ctx)
	in := &s3.GetObjectInput{Bucket: aws.String(s.config.Bucket), Key: aws.String(key)}
	if etag != "" {
		in.IfMatch = aws.String(etag)
	}
	if offset > 0 {
		in.Range = aws.String(fmt.Sprintf("bytes=%d-", offset))
	}
	out, err := s.client.GetObject(ctx, in)
	if err != nil {
		return nil, s.readError(ctx, "getting", key, err, c)
	}
	return out.Body, nil
}
