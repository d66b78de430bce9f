package upload

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	smithyauth "github.com/aws/smithy-go/auth"
	"github.com/aws/smithy-go/encoding/httpbinding"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// putter sends PutObject requests. The SDK's own operation costs three times the CPU (BenchmarkPut): it resolves the
// endpoint again for every object, goes through some forty middlewares, wraps the body so that net/http cannot send it in
// one write, and hashes it although its hash is known. What a putter does itself is to put the request together; the
// endpoint's rules, credentials, signature and what to try again are the SDK's.
type putter struct {
	bucket          *url.URL // keys go behind its path
	service, region string   // of the signature
	header          http.Header
	credentials     aws.CredentialsProvider
	signer          *v4.Signer
	retryer         aws.Retryer
	http            *attemptClient
}

// newPutter returns the putter of the client's bucket, or nil where only the SDK knows how to sign: directory buckets,
// multi-region access points and requests without credentials. It is also nil where the SDK finds no endpoint, which its
// own operation reports.
func newPutter(ctx context.Context, c Config, o s3.Options, client *attemptClient) *putter {
	endpoint, err := o.EndpointResolverV2.ResolveEndpoint(ctx, s3.EndpointParameters{
		Bucket: aws.String(c.Bucket), Region: aws.String(o.Region), Endpoint: o.BaseEndpoint,
		UseFIPS:        aws.Bool(o.EndpointOptions.UseFIPSEndpoint == aws.FIPSEndpointStateEnabled),
		UseDualStack:   aws.Bool(o.EndpointOptions.UseDualStackEndpoint == aws.DualStackEndpointStateEnabled),
		ForcePathStyle: aws.Bool(o.UsePathStyle), Accelerate: aws.Bool(o.UseAccelerate), UseArnRegion: aws.Bool(o.UseARNRegion),
		DisableMultiRegionAccessPoints: aws.Bool(o.DisableMultiRegionAccessPoints),
	})
	if err != nil || o.Credentials == nil || aws.IsCredentialsProvider(o.Credentials, (*aws.AnonymousCredentials)(nil)) {
		return nil
	}
	schemes, ok := smithyauth.GetAuthOptions(&endpoint.Properties)
	if !ok || len(schemes) != 1 || schemes[0].SchemeID != "sigv4" {
		return nil
	}
	p := &putter{
		bucket: &endpoint.URI, header: endpoint.Headers.Clone(), credentials: o.Credentials, retryer: o.Retryer, http: client,
		signer: v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }), // S3 signs paths as they are
	}
	if p.service, ok = smithyhttp.GetSigV4SigningName(&schemes[0].SignerProperties); !ok {
		return nil
	}
	if p.region, ok = smithyhttp.GetSigV4SigningRegion(&schemes[0].SignerProperties); !ok {
		return nil
	}
	if p.header == nil {
		p.header = http.Header{}
	}
	p.header.Set("User-Agent", "stipple")
	if len(c.Tags) > 0 {
		p.header.Set("X-Amz-Tagging", tagging(c.Tags))
	}
	if c.SSE != "" {
		p.header.Set(headerEncryption, c.SSE)
	}
	if c.SSEKMSKeyID != "" {
		p.header.Set("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id", c.SSEKMSKeyID)
	}
	return p
}

// headerEncryption names the encryption, in requests and answers.
const headerEncryption = "X-Amz-Server-Side-Encryption"

// put sends the request until it is answered for good, and returns the encryption that the store says it used. Errors are
// such as the SDK's operations return.
func (p *putter) put(ctx context.Context, r putRequest) (encryption string, err error) {
	if !isHex(r.sha256, 2*sha256.Size) {
		sum := sha256.Sum256(r.body)
		r.sha256 = hex.EncodeToString(sum[:])
	}
	for attempt := 1; ; attempt++ {
		offset := p.http.clockOffset()
		encryption, err := p.attempt(ctx, r, offset)
		if err == nil || attempt == p.retryer.MaxAttempts() || !p.retryer.IsErrorRetryable(err) && !p.skewed(err, offset) {
			return encryption, err
		}
		delay, delayErr := p.retryer.RetryDelay(attempt, err)
		if delayErr != nil {
			return "", err
		}
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return "", err // classify looks at ctx
		}
	}
}

// attempt sends the request once, signed by a clock that is off by offset.
func (p *putter) attempt(ctx context.Context, r putRequest, offset time.Duration) (encryption string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "", bytes.NewReader(r.body))
	if err != nil {
		return "", err
	}
	req.URL = p.url(r.key)
	req.Host = req.URL.Host
	req.Header = p.headers(r)
	credentials, err := p.credentials.Retrieve(ctx)
	if err != nil {
		return "", err
	}
	if err := p.signer.SignHTTP(ctx, credentials, req, r.sha256, p.service, p.region, time.Now().Add(offset)); err != nil {
		return "", err
	}
	resp, err := p.http.Do(req)
	if err != nil {
		return "", &smithyhttp.RequestSendError{Err: err}
	}
	body, err := readAnswer(resp)
	if err != nil {
		return "", &smithyhttp.RequestSendError{Err: err}
	}
	return resp.Header.Get(headerEncryption), answerError(resp, body)
}

// url is the object's. Its path is escaped as the signature wants it, which is more than a URL needs.
func (p *putter) url(key string) *url.URL {
	u := *p.bucket
	base := strings.TrimSuffix(u.Path, "/")
	u.RawPath = httpbinding.EscapePath(base+"/"+key, false)
	u.Path = base + "/" + key
	return &u
}

// headers are the request's, but for those of the signature.
func (p *putter) headers(r putRequest) http.Header {
	header := make(http.Header, len(p.header)+len(r.metadata)+8)
	maps.Copy(header, p.header)
	for key, value := range r.metadata {
		header.Set("X-Amz-Meta-"+key, value)
	}
	if r.contentType != "" {
		header["Content-Type"] = []string{r.contentType}
	}
	if r.conditional {
		header["If-None-Match"] = []string{"*"}
	}
	header["X-Amz-Content-Sha256"] = []string{r.sha256} // over TLS, too: the store checks what it got
	return header
}

// skewThreshold is how far the clock may be off before that is the reason of a refusal: S3 takes 15 min, others less.
const skewThreshold = 4 * time.Minute

// skewed reports whether a request was refused for its time, and the store's answer told a better one. It is the SDK's rule
// for its own operations.
func (p *putter) skewed(err error, offset time.Duration) bool {
	switch codeOf(err) {
	case "RequestTimeTooSkewed", "SignatureDoesNotMatch", "InvalidSignatureException", "AuthFailure", "AccessDeniedException":
		return (p.http.clockOffset() - offset).Abs() > skewThreshold
	}
	return false
}

// maxAnswer bounds the answer that is read of a PUT: an error is a few hundred bytes, a success has none.
const maxAnswer = 64 << 10

// readAnswer reads the body of an answer and ends it.
func readAnswer(resp *http.Response) ([]byte, error) {
	var body []byte
	var err error
	if resp.ContentLength != 0 {
		body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	}
	if closeErr := resp.Body.Close(); err == nil {
		err = closeErr
	}
	return body, err
}
