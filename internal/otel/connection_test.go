package otel

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// failureOf is why a request to address through base got no answer.
func failureOf(t *testing.T, base http.RoundTripper, address string) *exportError {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: &transport{base: base, url: u}}).Post(address, "application/x-protobuf", strings.NewReader("spans"))
	if err == nil {
		t.Fatalf("answered %s: %v", resp.Status, resp.Body.Close())
	}
	e, ok := errors.AsType[*exportError](err)
	if !ok {
		t.Fatalf("%T: %v", err, err)
	}
	return e
}

// A connection that is dropped in the middle of a request is retried, whichever HTTP was spoken: every backend over TLS speaks the second.
func TestDroppedConnectionsAreRetried(t *testing.T) {
	for _, protocol := range []int{1, 2} {
		collector := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if _, err := io.Copy(io.Discard, r.Body); err != nil || r.ProtoMajor != protocol {
				t.Errorf("%s, %v", r.Proto, err)
			}
			panic(http.ErrAbortHandler)
		}))
		collector.EnableHTTP2 = protocol == 2
		collector.StartTLS()
		if e := failureOf(t, collector.Client().Transport, collector.URL); e.reason != reasonConnection || !e.retryable {
			t.Errorf("HTTP/%d: %s, retryable %t: %v", protocol, e.reason, e.retryable, e)
		}
		collector.Close()
	}
}

// A proxy that cannot reach the collector just now may reach it later; one that wants a password will always want it.
func TestProxyFailures(t *testing.T) {
	for code, want := range map[int]bool{http.StatusBadGateway: true, http.StatusServiceUnavailable: true, http.StatusGatewayTimeout: true, http.StatusProxyAuthRequired: false} {
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }))
		through := newTransport(nil)
		through.Proxy = func(*http.Request) (*url.URL, error) { return url.Parse(proxy.URL) }
		if e := failureOf(t, through, "https://collector.invalid/v1/traces"); e.retryable != want {
			t.Errorf("%d: retryable %t: %v", code, e.retryable, e)
		}
		through.CloseIdleConnections()
		proxy.Close()
	}
}

// A key that is echoed where a long answer is cut is not shown in part.
func TestEchoedKeyIsNotShownInPart(t *testing.T) {
	const key = "c3VwZXJzZWNyZXQ=" // of tracesOnly
	for length := 150; length < 600; length += len(key) / 3 {
		tel, log := setup(t, tracesOnly("http://collector"), func(o *Options) {
			o.Transport = answering(http.StatusUnauthorized, nil, strings.Repeat("x", length)+key+strings.Repeat("y", 1000))
		})
		spans(t, tel, 1)
		err := tel.Shutdown(t.Context())
		if err == nil || strings.Contains(err.Error()+log.String(), key[:3]) {
			t.Errorf("after %d characters: %v; %s", length, err, log)
		}
	}
}
