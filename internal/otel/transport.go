package otel

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

// exportError is why one attempt to export failed, as far as the exporters of
// all signals care.
type exportError struct {
	reason    string
	retryable bool
	after     time.Duration // from Retry-After
	items     int           // how many were rejected; -1: all of them
	err       error
}

func (e *exportError) Error() string { return e.err.Error() }
func (e *exportError) Unwrap() error { return e.err }

// transport carries the requests of one signal and judges the answers. The
// SDK's client takes an HTML page with status 200 and a followed redirect for
// success, knows nothing of charset parameters, and never retries a refused connection.
type transport struct {
	base http.RoundTripper
	url  *url.URL // with the path's escapes and the query, which the SDK's client drops
	gzip bool

	compressor compressor
}

// newTransport is the network: proxies from the environment, connections of its own.
func newTransport(tlsConfig *tls.Config) *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:     tlsConfig,
		TLSHandshakeTimeout: 10 * time.Second,
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: 2,
		IdleConnTimeout:     90 * time.Second,
	}
}

// RoundTrip returns a response only where the telemetry was taken; its body is empty then.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	out := req.Clone(req.Context())
	out.URL, out.Host = t.url, t.url.Host
	if t.gzip {
		if err := t.compressor.compress(out); err != nil {
			return nil, &exportError{reason: reasonOther, items: -1, err: err}
		}
	}
	resp, err := t.base.RoundTrip(out)
	if err != nil {
		return nil, connectionError(err)
	}
	// Answers are small; what is longer is a page.
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if closeErr := resp.Body.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, connectionError(fmt.Errorf("reading the answer: %w", err))
	}
	if err := judge(resp, body); err != nil {
		return nil, err
	}
	resp.Body, resp.ContentLength = http.NoBody, 0
	return resp, nil
}

// judge says why an answer is a failure; nil if it is none.
func judge(resp *http.Response, body []byte) error {
	ctype, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		ctype = "" // none, or nonsense: the body decides
	}
	fail := func(reason string, retryable bool, format string, args ...any) error {
		return &exportError{reason: reason, retryable: retryable, items: -1, err: fmt.Errorf(format, args...)}
	}
	switch code := resp.StatusCode; {
	case code >= 300 && code < 400:
		return fail(reasonRedirect, false, "answered %s; set the endpoint to the final address", resp.Status)
	case code >= 400:
		e := &exportError{reason: reasonRejected, items: -1, err: fmt.Errorf("answered %s: %s", resp.Status, snippet(body))}
		switch code {
		case http.StatusTooManyRequests:
			e.reason, e.retryable = reasonThrottled, true
		case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			e.reason, e.retryable = reasonUnavailable, true
		case http.StatusUnauthorized, http.StatusForbidden:
			e.reason = reasonAuth
		case http.StatusNotFound:
			e.reason = reasonNotFound
		case http.StatusRequestEntityTooLarge:
			e.reason = reasonTooLarge
		}
		if e.retryable {
			e.after = retryAfter(resp.Header.Get("Retry-After"), time.Now())
		}
		return e
	case len(body) == 0:
		return nil
	case ctype == "text/html" || ctype == "application/xhtml+xml" || looksLikeHTML(body):
		return fail(reasonHTML, false, "answered %s with a web page; is this the collector, or a login or proxy before it? %s", resp.Status, snippet(body))
	case ctype == "application/x-protobuf":
		return partialSuccess(body)
	}
	return nil
}

// partialSuccess reads an export response. The three signals' responses share
// one layout: partial_success = 1 { rejected = 1, error_message = 2 }.
func partialSuccess(body []byte) error {
	var r coltracepb.ExportTraceServiceResponse
	if err := proto.Unmarshal(body, &r); err != nil {
		return &exportError{reason: reasonBadAnswer, items: -1, err: errors.New("answered 200 with bytes that are no OTLP")}
	}
	p := r.GetPartialSuccess()
	if p.GetRejectedSpans() <= 0 && p.GetErrorMessage() == "" {
		return nil
	}
	n := int(max(0, p.GetRejectedSpans()))
	if n == 0 {
		return &exportError{reason: reasonPartial, items: 0, err: fmt.Errorf("the collector took all of it and warns: %s", snippet([]byte(p.GetErrorMessage())))}
	}
	return &exportError{reason: reasonPartial, items: n, err: fmt.Errorf("the collector took a part and rejected %d: %s", n, snippet([]byte(p.GetErrorMessage())))}
}

// connectionError classifies a request that got no answer.
func connectionError(err error) error {
	e := &exportError{reason: reasonConnection, items: -1, err: err}
	var cert *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var op *net.OpError
	var dns *net.DNSError
	var timeout net.Error
	switch text := err.Error(); {
	case errors.Is(err, context.Canceled):
		e.reason = reasonShutdown
	case errors.As(err, &timeout) && timeout.Timeout():
		e.reason, e.retryable = reasonTimeout, true
	// An HTTP/2 server speaks first: net/http says the one or the other, as its words come before ours or after.
	case strings.Contains(text, `malformed HTTP response "\x00\x00`), strings.Contains(text, "readLoopPeekFailLocked: %!w(<nil>)"):
		e.err = fmt.Errorf("%w (this looks like a gRPC port; OTLP/HTTP is usually at 4318)", err)
	case errors.As(err, &record) && string(record.RecordHeader[:]) == "HTTP/":
		e.reason, e.err = reasonTLS, fmt.Errorf("%w (the endpoint says https, the server speaks http)", err)
	case errors.As(err, &cert), errors.As(err, &record), strings.Contains(text, "tls: "):
		e.reason = reasonTLS
	case errors.As(err, &op), errors.As(err, &dns), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		e.retryable = true
	// What closes a connection of HTTP/1 resets a stream of HTTP/2 or says GOAWAY; net/http's types of that are its own.
	case strings.Contains(text, "stream error: "), strings.Contains(text, "http2: "):
		e.retryable = true
	// A proxy that could not connect: net/http keeps the words of its status alone.
	case text == http.StatusText(http.StatusBadGateway), text == http.StatusText(http.StatusServiceUnavailable), text == http.StatusText(http.StatusGatewayTimeout):
		e.reason, e.retryable = reasonUnavailable, true
	}
	return e
}

// retryAfter reads seconds or an HTTP date; 0 where there is none or it lies in the past.
func retryAfter(v string, now time.Time) time.Duration {
	const most = 24 * time.Hour
	if n, err := strconv.ParseUint(v, 10, 32); err == nil {
		return min(time.Duration(n)*time.Second, most)
	}
	if at, err := http.ParseTime(v); err == nil {
		return min(max(0, at.Sub(now)), most)
	}
	return 0
}

func looksLikeHTML(body []byte) bool {
	head := bytes.ToLower(bytes.TrimSpace(body[:min(len(body), 64)]))
	return bytes.HasPrefix(head, []byte("<!doctype html")) || bytes.HasPrefix(head, []byte("<html"))
}

// snippet is an answer as one line. It is whole: cut before it is redacted, it could end in the first half of a key.
func snippet(body []byte) string {
	s := strings.Join(strings.Fields(strings.ToValidUTF8(string(body), "")), " ")
	if s == "" {
		return "(empty)"
	}
	return s
}
