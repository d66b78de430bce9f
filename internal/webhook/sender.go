package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"syscall"
	"time"
)

// Bounds of one attempt.
const (
	dialTimeout = 5 * time.Second  // with the look-up of the name
	tlsTimeout  = 5 * time.Second  // of the handshake
	waitTimeout = 10 * time.Second // for the answer's header
	sendTimeout = 15 * time.Second // for all of it
	maxAnswer   = 64 << 10         // bytes of a body that are read, so that the connection can be used again
	maxHeader   = 16 << 10         // bytes of an answer's header
)

// sender posts events. Its methods may be called from several goroutines.
type sender struct {
	policy    Policy
	keys      []Key
	agent     string
	now       func() time.Time
	transport *http.Transport
}

func newSender(c Config) *sender {
	s := &sender{policy: c.Policy, keys: c.Keys, agent: c.UserAgent, now: time.Now}
	dialer := &net.Dialer{Timeout: dialTimeout, Resolver: c.Resolver, ControlContext: s.control}
	s.transport = &http.Transport{
		Proxy:                  nil, // it would dial in our place, without the policy
		DialContext:            dialer.DialContext,
		TLSHandshakeTimeout:    tlsTimeout,
		ResponseHeaderTimeout:  waitTimeout,
		MaxResponseHeaderBytes: maxHeader,
		MaxIdleConns:           2 * c.AtOnce, MaxIdleConnsPerHost: c.AtOncePerHost, IdleConnTimeout: time.Minute,
		DisableCompression: true, // nothing of an answer is wanted
		ForceAttemptHTTP2:  true,
		TLSClientConfig:    &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.RootCAs},
	}
	return s
}

// control judges the address of each connection, after its name was looked up: a name that leads elsewhere than when it
// was listed is of no use to anyone.
func (s *sender) control(_ context.Context, network, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil || network != "tcp4" && network != "tcp6" {
		return fmt.Errorf("%s %s is %w", network, address, ErrRefused)
	}
	return s.policy.checkAddress(at.Addr())
}

// answer is what a receiver said.
type answer struct {
	status int           // of HTTP
	after  time.Duration // after which it wants to be asked again; 0 for nothing said
}

// taken reports whether the receiver has taken the event.
func (a answer) taken() bool { return a.status >= 200 && a.status <= 299 }

// send posts an event once. The error says why there is no answer, and does not show the URL.
func (s *sender) send(ctx context.Context, u *url.URL, id string, body []byte) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return answer{}, ErrURL
	}
	at := s.now()
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", s.agent)
	req.Header.Set(HeaderID, id)
	req.Header.Set(HeaderTimestamp, strconv.FormatInt(at.Unix(), 10))
	req.Header.Set(HeaderSignature, Sign(s.keys, id, at, body))
	resp, err := s.transport.RoundTrip(req) // which follows no redirects
	if err != nil {
		return answer{}, withoutURL(err)
	}
	a := answer{status: resp.StatusCode, after: retryAfter(resp.Header.Get("Retry-After"))}
	// The answer counts, whatever becomes of its body.
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer))
	_ = resp.Body.Close()
	return a, nil
}

// retryAfter reads a number of seconds; 0 for anything else.
func retryAfter(text string) time.Duration {
	seconds, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// withoutURL is an error without the URL that it may name, which may be a secret.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// close ends the connections that nobody uses.
func (s *sender) close() { s.transport.CloseIdleConnections() }
