package s3d

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// createBuckets makes the buckets that are missing, through the server's own API, so that they have an owner.
func (s *Server) createBuckets() error {
	if len(s.options.Buckets) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := s3.New(s3.Options{
		BaseEndpoint: aws.String(s.Endpoint()),
		Region:       s.options.Region,
		Credentials:  credentials.NewStaticCredentialsProvider(s.options.AccessKey, s.options.SecretKey, ""),
		HTTPClient:   &http.Client{Transport: transport},
		UsePathStyle: true,
	})
	for _, name := range s.options.Buckets {
		var owned *types.BucketAlreadyOwnedByYou
		_, err := client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(name)})
		if err != nil && !errors.As(err, &owned) {
			return fmt.Errorf("creating the bucket %q: %w", name, err)
		}
	}
	return nil
}
