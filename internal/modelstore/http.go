package modelstore

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// DefaultEndpoint is the Hub's own.
const DefaultEndpoint = "https://huggingface.co"

// client asks web servers. Its token goes to the Hub's endpoint alone, whatever redirects say.
type client struct {
	http     *http.Client
	owned    *http.Transport // nil where Config brought another
	home     *url.URL
	token    string
	patience time.Duration
}

func newClient(c Config) (*client, error) {
	endpoint := strings.TrimRight(c.Endpoint, "/")
	if endpoint == "" {
		endpoint = DefaultEndpoint
	}
	home, err := url.Parse(endpoint)
	if err != nil || home.Host == "" || (home.Scheme != "http" && home.Scheme != "https") || home.RawQuery != "" || home.User != nil {
		return nil, errors.New("HF_ENDPOINT (--hf-endpoint) is no address: write it as https://host")
	}
	if strings.ContainsFunc(c.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("HF_TOKEN (--hf-token) has characters that no token has")
	}
	cl := &client{home: home, token: c.Token, patience: c.patience}
	transport := c.Transport
	if transport == nil {
		cl.owned = &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, ResponseHeaderTimeout: c.patience, TLSHandshakeTimeout: c.patience, IdleConnTimeout: time.Minute}
		transport = cl.owned
	}
	cl.http = &http.Client{Transport: &bearer{next: transport, client: cl}, CheckRedirect: checkRedirect}
	return cl, nil
}

func (c *client) close() {
	if c.owned != nil {
		c.owned.CloseIdleConnections()
	}
}

func (c *client) hasToken() bool { return c.token != "" }

// hubURL is an address at the Hub.
func (c *client) hubURL(path string) string { return c.home.String() + path }

// bearer adds the token to what goes to the Hub. Nothing else ever has it, so that no redirect can carry it on.
type bearer struct {
	next   http.RoundTripper
	client *client
}

func (b *bearer) RoundTrip(req *http.Request) (*http.Response, error) {
	if b.client.token != "" && req.URL.Scheme == b.client.home.Scheme && req.URL.Host == b.client.home.Host {
		req = req.Clone(req.Context())
		req.Header.Set("Authorization", "Bearer "+b.client.token)
	}
	return b.next.RoundTrip(req)
}

func checkRedirect(req *http.Request, via []*http.Request) error {
	req.Header.Del("Referer") // the address before may hold a secret
	switch {
	case len(via) >= 10:
		return errors.New("redirected more than ten times")
	case via[0].URL.Scheme == "https" && req.URL.Scheme != "https":
		return fmt.Errorf("redirected from https to %s://%s: refused", req.URL.Scheme, req.URL.Host)
	}
	return nil
}

// statusError is an answer that is not the file.
type statusError struct {
	status     int
	host       string
	code       string // the Hub's X-Error-Code
	retryAfter time.Duration
}

func (e *statusError) Error() string {
	text := fmt.Sprintf("%s answers %d %s", e.host, e.status, http.StatusText(e.status))
	if e.code != "" {
		text += " (" + e.code + ")"
	}
	return text
}

// networkError is an answer that did not come, or did not come to its end: it is worth another try.
type networkError struct{ err error }

func (e *networkError) Error() string { return e.err.Error() }
func (e *networkError) Unwrap() error { return e.err }

var (
	errGone    = errors.New("it is not there any more, or never was") // no version in the cache can stand for it
	errDamaged = errors.New("damaged")
	errStalled = errors.New("no byte came for too long")
)

// temporary reports whether another try may succeed, and how long the server wants it to be waited for.
func temporary(err error) (retry bool, after time.Duration) {
	if status, ok := errors.AsType[*statusError](err); ok {
		switch status.status {
		case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
			return true, status.retryAfter
		}
		return status.status >= 500, status.retryAfter
	}
	if _, untrusted := errors.AsType[*tls.CertificateVerificationError](err); untrusted {
		return false, 0
	}
	_, network := errors.AsType[*networkError](err)
	return network, 0
}

// get asks for an address. Any answer but 200 and 206 is a *statusError. The body ends with an error when no byte comes for the client's patience.
func (c *client) get(ctx context.Context, address string, header http.Header) (*http.Response, error) {
	asked := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	stall := time.AfterFunc(c.patience, func() { cancel(errStalled) })
	end := func() {
		stall.Stop()
		cancel(nil)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		end()
		return nil, errors.New("the address is none")
	}
	maps.Copy(req.Header, header)
	req.Header.Set("Accept-Encoding", "identity") // ranges and sums are of the bytes as they are
	req.Header.Set("User-Agent", "stipple")
	resp, err := c.http.Do(req)
	if err != nil {
		cause := context.Cause(ctx)
		end()
		return nil, failure(asked, req.URL.Host, err, cause)
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusPartialContent {
		_, _ = io.CopyN(io.Discard, resp.Body, 1<<14) // so that the connection can be used again; if not, it cannot
		_ = resp.Body.Close()                         // nothing was written
		end()
		return nil, &statusError{status: resp.StatusCode, host: resp.Request.URL.Host, code: resp.Header.Get("X-Error-Code"), retryAfter: retryAfter(resp.Header.Get("Retry-After"))}
	}
	resp.Body = &watchedBody{ReadCloser: resp.Body, host: resp.Request.URL.Host, asked: asked, ctx: ctx, stall: stall, patience: c.patience, end: end}
	return resp, nil
}

// failure is what went wrong with a request, without its address, which may hold a secret.
func failure(ctx context.Context, host string, err, cause error) error {
	if inner, ok := errors.AsType[*url.Error](err); ok {
		err = inner.Err
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(cause, errStalled):
		err = errStalled
	}
	return &networkError{fmt.Errorf("asking %s: %w", host, err)}
}

// mostPatience bounds what a server can make us wait.
const mostPatience = 2 * time.Minute

// retryAfter reads the header, in seconds or as a date.
func retryAfter(s string) time.Duration {
	if n, err := strconv.Atoi(s); err == nil {
		return min(max(0, time.Duration(min(n, 3600))*time.Second), mostPatience)
	}
	if t, err := http.ParseTime(s); err == nil {
		return min(max(0, time.Until(t)), mostPatience)
	}
	return 0
}

// watchedBody gives up a connection that sends nothing.
type watchedBody struct {
	io.ReadCloser
	host     string
	asked    context.Context //nolint:containedctx // a body lives as long as its request
	ctx      context.Context //nolint:containedctx // as asked
	stall    *time.Timer
	patience time.Duration
	end      func()
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.stall.Reset(b.patience)
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = failure(b.asked, b.host, err, context.Cause(b.ctx))
	}
	return n, err
}

func (b *watchedBody) Close() error {
	err := b.ReadCloser.Close()
	b.end()
	return err
}

// open asks for a file from offset on. With an etag, a file that has changed meanwhile comes whole.
func (c *client) open(ctx context.Context, address string, offset int64, etag string) (*contents, error) {
	header := http.Header{}
	if offset > 0 {
		header.Set("Range", "bytes="+strconv.FormatInt(offset, 10)+"-")
		if etag != "" {
			header.Set("If-Range", etag)
		}
	}
	resp, err := c.get(ctx, address, header)
	if status, ok := errors.AsType[*statusError](err); ok && status.status == http.StatusRequestedRangeNotSatisfiable && offset > 0 {
		return c.open(ctx, address, 0, "") // what is here is no part of what is there
	}
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusOK {
		return &contents{body: resp.Body, size: resp.ContentLength, header: first(resp)}, nil
	}
	at, size, err := parseContentRange(resp.Header.Get("Content-Range"))
	if err == nil && at != offset {
		err = fmt.Errorf("asked %s for bytes from %d on, and got those from %d on", resp.Request.URL.Host, offset, at)
	}
	if err != nil {
		return nil, errors.Join(err, resp.Body.Close())
	}
	return &contents{body: resp.Body, at: at, size: size, header: first(resp)}, nil
}

// first looks for a header in the answer, and then in the redirects before it, which are what the Hub's own headers stand on.
func first(resp *http.Response) func(name string) string {
	var all []http.Header
	for resp != nil {
		all = append(all, resp.Header)
		if resp.Request == nil {
			break
		}
		resp = resp.Request.Response
	}
	return func(name string) string {
		for _, h := range all {
			if v := h.Get(name); v != "" {
				return v
			}
		}
		return ""
	}
}

// parseContentRange reads `bytes 5-9/10`; size is -1 for `*`.
func parseContentRange(s string) (at, size int64, err error) {
	bad := fmt.Errorf("%q is no Content-Range", s)
	span, ok := strings.CutPrefix(s, "bytes ")
	bounds, total, slash := strings.Cut(span, "/")
	from, to, dash := strings.Cut(bounds, "-")
	if !ok || !slash || !dash {
		return 0, 0, bad
	}
	at, err = strconv.ParseInt(from, 10, 64)
	last, err2 := strconv.ParseInt(to, 10, 64)
	if err != nil || err2 != nil || at < 0 || last < at {
		return 0, 0, bad
	}
	if total == "*" {
		return at, -1, nil
	}
	if size, err = strconv.ParseInt(total, 10, 64); err != nil || size <= last {
		return 0, 0, bad
	}
	return at, size, nil
}

// readAll reads a body of at most limit bytes.
func readAll(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("the answer is longer than %d bytes", limit)
	}
	return data, err
}
