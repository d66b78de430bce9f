package upload

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// The error.type of a storage failure.
const (
	// TypeStorage is a store that is away, slow or busy: the same call may succeed later.
	TypeStorage = "storage"
	// TypeConfig is a wrong key, bucket, region, clock or right: the same call succeeds once a person has mended it.
	TypeConfig = "storage_config"
)

var (
	// ErrNotFound is the answer of Head and Get when nothing lies under the key.
	ErrNotFound = errors.New("no such object")
	// ErrUnknown is the answer of Head and Get when the store does not say whether an object exists: the credentials
	// may write but not read.
	ErrUnknown = errors.New("the store does not say whether the object exists (403)")
	// ErrDamaged is the answer of Get and GetCheckpoint when an object cannot be what was put under its key: too long, or
	// of other bytes than its metadata says.
	ErrDamaged = errors.New("the object is a foreign or a damaged one")
)

// Error is a failed call. Its text is one line that says what to do, and holds no secret.
type Error struct {
	Doing  string // what failed, such as "putting"
	Target string // on what: s3://bucket/key
	Type   string // TypeStorage or TypeConfig
	Reason string // why, and what to do about it
	Status int    // HTTP status of the last answer; 0 if there was none
	Code   string // S3 error code; "" if there was none
	Err    error  // the SDK's error, for errors.Is and As; not part of the text
}

func (e *Error) Error() string { return e.Doing + " " + e.Target + ": " + e.Reason }

// Unwrap gives the SDK's error.
func (e *Error) Unwrap() error { return e.Err }

// ErrorType is the error.type of results and spans.
func (e *Error) ErrorType() string { return e.Type }

// credentialsError marks failures to find or renew credentials, which the SDK does not tell from others.
type credentialsError struct{ err error }

func (e *credentialsError) Error() string { return "finding credentials: " + e.err.Error() }
func (e *credentialsError) Unwrap() error { return e.err }

// classify turns an error of the SDK into one that says what to do. c is what the call's attempts noted; ctx is the
// call's own, and tells a caller who gave up from an attempt that took too long.
func classify(ctx context.Context, doing, target string, err error, c *call) *Error {
	e := &Error{Doing: doing, Target: target, Err: err}
	if response, ok := errors.AsType[*smithyhttp.ResponseError](err); ok {
		e.Status = response.HTTPStatusCode()
	}
	api, answered := errors.AsType[smithy.APIError](err)
	if answered {
		e.Code = api.ErrorCode()
	}
	_, noCredentials := errors.AsType[*credentialsError](err)
	switch {
	case noCredentials && ctx.Err() != nil: // given up, or the time it took is what is wrong: there is no knowing
		e.Type, e.Err = TypeStorage, errors.Join(ctx.Err(), err)
		e.Reason = "given up: " + ctx.Err().Error() + ", while looking for credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY where no role gives them"
	case noCredentials:
		e.Type = TypeConfig
		e.Reason = "no usable credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the process a profile or role"
	case ctx.Err() != nil:
		e.Type, e.Reason, e.Err = TypeStorage, "given up: "+ctx.Err().Error(), errors.Join(ctx.Err(), err)
	case e.Status == 0, e.Status < 300 && !answered && brokenOff(err):
		e.Type, e.Reason = connection(err, c)
	default:
		e.Type, e.Reason = answer(e.Status, e.Code, c)
		e.Reason += detail(e.Status, e.Code, api, c)
	}
	return e
}

// brokenOff reports whether an answer that began well did not come to its end.
func brokenOff(err error) bool {
	_, network := errors.AsType[net.Error](err) // a *timeoutError, too
	return network || errors.Is(err, io.ErrUnexpectedEOF)
}

// connection explains a call that got no answer.
func connection(err error, c *call) (typ, reason string) {
	host := "the store"
	if c != nil && c.host != "" {
		host = c.host
	}
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	_, noTLS := errors.AsType[tls.RecordHeaderError](err)
	switch {
	case untrusted:
		return TypeConfig, fmt.Sprintf("the certificate of %s is not trusted (%s): set AWS_CA_BUNDLE to its CA, or correct AWS_ENDPOINT_URL_S3", host, cause(err))
	case noTLS, errors.Is(err, http.ErrSchemeMismatch):
		return TypeConfig, fmt.Sprintf("%s does not speak TLS: use http:// in AWS_ENDPOINT_URL_S3", host)
	case c != nil && c.attempts == 0:
		return TypeConfig, fmt.Sprintf("the request could not be made (%s): check S3_BUCKET, AWS_REGION and AWS_ENDPOINT_URL_S3", cause(err))
	}
	return TypeStorage, fmt.Sprintf("no answer from %s (%s): is the store up, and AWS_ENDPOINT_URL_S3 right?", host, cause(err))
}

// answer explains an error that the store answered.
func answer(status int, code string, c *call) (typ, reason string) {
	switch code {
	case "NoSuchBucket":
		return TypeConfig, "the bucket does not exist: create it or correct S3_BUCKET"
	case "InvalidAccessKeyId", "XAdminUserNotFound": // the second is versitygw's with a single account
		return TypeConfig, "the store does not know this access key: correct AWS_ACCESS_KEY_ID"
	case "SignatureDoesNotMatch":
		return TypeConfig, "the secret does not belong to the access key: correct AWS_SECRET_ACCESS_KEY"
	case "RequestTimeTooSkewed":
		return TypeConfig, "the clock of this machine and the store's differ too much: set the clock (NTP)"
	case "ExpiredToken", "InvalidToken", "TokenRefreshRequired", "InvalidSecurity":
		return TypeConfig, "the session token is not valid any more: renew AWS_SESSION_TOKEN, or use a role that renews itself"
	case "AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraintException", "MovedPermanently":
		return TypeConfig, wrongRegion(c)
	case "InvalidTag":
		return TypeConfig, "a tag is not one that the store takes: correct S3_TAGS"
	case "InvalidBucketName":
		return TypeConfig, "this is no valid bucket name: correct S3_BUCKET"
	case "XAmzContentSHA256Mismatch", "BadDigest":
		return TypeStorage, "other bytes arrived than were sent: is there a proxy before the store that changes them?"
	case "RequestTimeout":
		return TypeStorage, "the store did not receive the request in time"
	}
	switch {
	case strings.HasPrefix(strings.ToUpper(code), "KMS"):
		return TypeConfig, "the encryption key cannot be used: correct S3_SSE_KMS_KEY_ID or its policy"
	case status == http.StatusForbidden:
		return TypeConfig, "access denied: allow s3:PutObject, s3:GetObject and s3:DeleteObject on the bucket's objects, and s3:ListBucket on the bucket" + c.rights()
	case status == http.StatusNotImplemented:
		return TypeConfig, "the store does not know something that the request asks for" + c.options("unset")
	case status == http.StatusMovedPermanently:
		return TypeConfig, wrongRegion(c)
	case status == http.StatusNotFound && (code == "" || code == "NotFound"):
		return TypeConfig, "the bucket does not exist: create it or correct S3_BUCKET"
	case status >= 500, status == http.StatusTooManyRequests, status == http.StatusRequestTimeout, status == http.StatusConflict:
		return TypeStorage, "the store is failing or too busy"
	case code == "" || code == "BadRequest": // the SDK's name for 400 without an S3 error in it
		return TypeConfig, "this is no answer of an S3 API: correct AWS_ENDPOINT_URL_S3"
	}
	return TypeConfig, "the store refuses the request" + c.options("correct")
}

// options says what to do about the settings that a refused request carried.
func (c *call) options(do string) string {
	if c == nil || len(c.settings) == 0 {
		return ""
	}
	return ": " + do + " " + strings.Join(c.settings, " or ") + ", if that is what it means"
}

// rights names those that the settings need beside the ordinary ones.
func (c *call) rights() string {
	var more strings.Builder
	for _, right := range []struct{ setting, name string }{
		{settingTags, "s3:PutObjectTagging"},
		{settingKMSKey, "kms:GenerateDataKey and kms:Decrypt on the key"},
	} {
		if c != nil && slices.Contains(c.settings, right.setting) {
			more.WriteString("; for " + right.setting + " " + right.name)
		}
	}
	return more.String()
}

// wrongRegion names the right region where the store did.
func wrongRegion(c *call) string {
	if c != nil && c.region != "" {
		return fmt.Sprintf("the bucket is in another region: set AWS_REGION=%s", c.region)
	}
	return "the bucket is in another region: set AWS_REGION to the bucket's"
}

// detail is the store's own words in brackets, for what the reason does not say.
func detail(status int, code string, api smithy.APIError, c *call) string {
	parts := []string{fmt.Sprint(status)}
	if code != "" {
		parts[0] += " " + code
	}
	if api != nil && api.ErrorMessage() != "" && len(api.ErrorMessage()) <= 200 && code != "SignatureDoesNotMatch" {
		parts = append(parts, strings.Join(strings.Fields(api.ErrorMessage()), " "))
	}
	if c != nil && c.requestID != "" {
		parts = append(parts, "request "+c.requestID)
	}
	return " (" + strings.Join(parts, "; ") + ")"
}

// cause is the innermost reason of a transport error, without the URL around it.
func cause(err error) string {
	if inURL, ok := errors.AsType[*url.Error](err); ok {
		err = inURL.Err
	}
	if timeout, ok := errors.AsType[*timeoutError](err); ok {
		err = timeout
	}
	return oneLine(err)
}

// oneLine is the error's text without line breaks.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
