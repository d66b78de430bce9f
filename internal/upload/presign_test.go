package upload

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stipple-ai/stipple/internal/local/s3d"
)

// storeDomain is the domain of the buckets where a test addresses them by name.
const storeDomain = "store.test"

// startVirtual runs a store whose bucket is addressed as bucket.domain, and returns it with what dials it: no name server
// knows the domain.
func startVirtual(t *testing.T) (c Config, dial func(ctx context.Context, network, addr string) (net.Conn, error)) {
	t.Helper()
	server, c := startS3With(t, s3d.Options{Domain: storeDomain})
	addr := strings.TrimPrefix(server.Endpoint(), "http://")
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	c.Endpoint, c.Addressing = "http://"+storeDomain+":"+port, AddressingVirtual
	return c, func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, addr)
	}
}

// openVirtual opens the store and makes it dial by dial.
func openVirtual(t *testing.T, c Config, dial func(ctx context.Context, network, addr string) (net.Conn, error)) *Store {
	t.Helper()
	s := open(t, c, nil)
	transport, ok := s.http.client.Transport.(*http.Transport)
	if !ok {
		t.Fatalf("the transport is a %T", s.http.client.Transport)
	}
	transport.DialContext = dial
	return s
}

func TestVirtualHosts(t *testing.T) {
	c, dial := startVirtual(t)
	s := openVirtual(t, c, dial)
	if err := s.Check(t.Context()); err != nil {
		t.Fatalf("Check: %v", err)
	}
	for _, key := range []string{testKey, "größe/a b+c.png"} {
		mustPut(t, s, key, cat())
		if got, err := s.Put(t.Context(), key, cat()); err != nil || got.Existing == nil {
			t.Errorf("second Put: %+v, %v", got, err)
		}
		if o, err := s.Get(t.Context(), key); err != nil || string(o.Body) != "a picture" {
			t.Errorf("Get: %q, %v", o.Body, err)
		}
	}
	n := 0
	for _, err := range s.List(t.Context(), "") {
		if err != nil {
			t.Errorf("List: %v", err)
		}
		n++
	}
	if n != 2 {
		t.Errorf("%d objects, want 2", n)
	}
	c.Bucket = "pictuers"
	checkMessage(t, openVirtual(t, c, dial).Check(t.Context()), TypeConfig, "the bucket does not exist")
}

func TestPresignedURLsReadAndCannotBeForged(t *testing.T) {
	for _, style := range []string{AddressingPath, AddressingVirtual} {
		t.Run(style, func(t *testing.T) {
			var c Config
			dial := (&net.Dialer{}).DialContext
			var prefix string
			if style == AddressingVirtual {
				c, dial = startVirtual(t)
				prefix = "http://pictures." + storeDomain + ":"
			} else {
				_, c = startS3(t)
				prefix = c.Endpoint + "/pictures/"
			}
			s := openVirtual(t, c, dial)
			for _, key := range []string{testKey, "größe/a b+c&d=e?f#g.png"} {
				mustPut(t, s, key, cat())
				signed, err := s.Presign(t.Context(), key, time.Minute)
				if err != nil || !strings.HasPrefix(signed, prefix) {
					t.Fatalf("Presign: %s, %v, want %s…", signed, err, prefix)
				}
				if strings.Contains(strings.ToLower(signed), "checksum") {
					t.Errorf("the URL asks for a checksum, which not every store knows: %s", signed)
				}
				if status, body := httpGet(t, dial, signed); status != http.StatusOK || body != "a picture" {
					t.Errorf("GET %s: %d %q", signed, status, body)
				}
				plain, _, _ := strings.Cut(signed, "?")
				for _, forged := range []string{
					plain, strings.Replace(signed, "X-Amz-Expires=60", "X-Amz-Expires=61", 1), strings.Replace(signed, ".png?", ".pnG?", 1),
				} {
					if status, _ := httpGet(t, dial, forged); status != http.StatusForbidden {
						t.Errorf("GET of a forged URL %s: %d, want 403", forged, status)
					}
				}
			}
			for _, expires := range []time.Duration{0, -time.Second, 8 * 24 * time.Hour} {
				if _, err := s.Presign(t.Context(), testKey, expires); err == nil {
					t.Errorf("a URL of %v was signed", expires)
				}
			}
		})
	}
}

// A URL is good until it expires. The shortest lasts a second.
func TestPresignedURLsExpire(t *testing.T) {
	_, c := startS3(t)
	s := open(t, c, nil)
	mustPut(t, s, testKey, cat())
	signed, err := s.Presign(t.Context(), testKey, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	dial := (&net.Dialer{}).DialContext
	for ends := time.Now().Add(10 * time.Second); ; {
		status, body := httpGet(t, dial, signed)
		if status == http.StatusForbidden && strings.Contains(body, "expired") {
			return
		}
		if status != http.StatusOK || time.Now().After(ends) {
			t.Fatalf("GET: %d %s, want that it is good, and then that it has expired", status, body)
		}
	}
}

func httpGet(t *testing.T, dial func(ctx context.Context, network, addr string) (net.Conn, error), url string) (status int, body string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: dial}}
	resp, err := client.Get(url)
	if err != nil {
		t.Fatalf("GET: %v", err)
	}
	read, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatalf("GET: %v", err)
	}
	return resp.StatusCode, string(read)
}
