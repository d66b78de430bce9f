package upload

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/logging"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// Store is a bucket. Its methods may be called from several goroutines.
type Store struct {
	config  Config
	client  *s3.Client
	putter  *putter // nil where the SDK must put
	http    *attemptClient
	tracer  trace.Tracer
	region  string
	found   atomic.Pointer[Capabilities] // nil until they are known
	probing chan struct{}                // holds one token: the right to find them out
}

// Open makes a Store. It reads the SDK's configuration but sends nothing: a store that is away is waited for with Check.
// The tracer makes the spans of PutObject; nil makes none. Close releases the connections.
func Open(ctx context.Context, c Config, tracer trace.Tracer) (*Store, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("configuring the store: %w", err)
	}
	c = c.withDefaults()
	cfg, err := loadConfig(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("configuring the store: %w", err)
	}
	if tracer == nil {
		tracer = noop.Tracer{}
	}
	buildable, ok := cfg.HTTPClient.(interface{ GetTransport() *http.Transport })
	if !ok {
		return nil, fmt.Errorf("configuring the store: the SDK's HTTP client is a %T", cfg.HTTPClient)
	}
	s := &Store{
		config:  c,
		http:    newAttemptClient(buildable.GetTransport(), c), // with the CA of AWS_CA_BUNDLE
		tracer:  tracer,
		region:  cfg.Region,
		probing: make(chan struct{}, 1),
	}
	s.probing <- struct{}{}
	s.client = s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.HTTPClient = s.http
		if c.Endpoint != "" {
			o.BaseEndpoint = aws.String(c.Endpoint)
		}
		o.UsePathStyle = c.Addressing == AddressingPath || c.Addressing == AddressingAuto && o.BaseEndpoint != nil
		// The SDK's newer default, a checksum trailer in aws-chunked encoding, is not understood everywhere.
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		o.ContinueHeaderThresholdBytes = -1 // "Expect: 100-continue" waits a second for stores that ignore it
		o.Retryer = newRetryer(c)
		o.Logger = logging.Nop{} // what it would print on standard error is in the error as well
	})
	s.putter = newPutter(ctx, c, s.client.Options(), s.http)
	return s, nil
}

// Close closes idle connections. Calls in progress are not ended by it.
func (s *Store) Close() { s.http.closeIdle() }

// loadConfig reads environment, files and roles as the SDK does; fields of c go before them.
func loadConfig(ctx context.Context, c Config) (aws.Config, error) {
	// It asks for the credentials of roles. The SDK has every call wait for the answer to the first one's question, which without a bound may never come.
	asking := awshttp.NewBuildableClient().WithTimeout(c.AttemptTimeout)
	options := []func(*config.LoadOptions) error{
		config.WithDefaultRegion(DefaultRegion),
		config.WithHTTPClient(asking),
		config.WithEndpointCredentialOptions(func(o *endpointcreds.Options) { o.HTTPClient = asking }), // which has one of its own
	}
	if c.Region != "" {
		options = append(options, config.WithRegion(c.Region))
	}
	if c.AccessKeyID != "" {
		options = append(options, config.WithCredentialsProvider(
			credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, c.SessionToken)))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return aws.Config{}, err
	}
	if found := cfg.Credentials; !aws.IsCredentialsProvider(found, (*aws.AnonymousCredentials)(nil)) {
		cfg.Credentials = aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
			creds, err := found.Retrieve(ctx)
			if err != nil {
				return creds, &credentialsError{err}
			}
			return creds, nil
		})
	}
	return cfg, nil
}

// newRetryer is the SDK's standard retryer with a bound on its patience. Its token bucket is off: when all workers fail
// at once the loop above this one holds them back, and a bucket emptied by an outage would fail the first calls after it.
func newRetryer(c Config) aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = c.MaxAttempts
		o.MaxBackoff = c.MaxBackoff
		o.RateLimiter = ratelimit.None
		o.Retryables = append(o.Retryables,
			retry.RetryableErrorCode{Codes: map[string]struct{}{
				"ConditionalRequestConflict": {}, // another conditional write of this key is under way
				"OperationAborted":           {},
			}},
			retry.RetryableHTTPStatusCode{Codes: map[int]struct{}{http.StatusTooManyRequests: {}}})
	})
}

// target names an object in messages.
func (s *Store) target(key string) string { return "s3://" + s.config.Bucket + "/" + key }

// Bucket is the bucket's name, for results.
func (s *Store) Bucket() string { return s.config.Bucket }
