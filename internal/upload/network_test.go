package upload

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// serveRaw runs a server that does with every connection what handle does, and then closes it. gone is closed when the test
// ends.
func serveRaw(t *testing.T, handle func(conn *net.TCPConn, gone <-chan struct{})) (endpoint string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { // ends when the listener is closed
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { // ends with the test, or when the client gives up
				handle(conn.(*net.TCPConn), gone)
				if err := conn.Close(); err != nil {
					t.Logf("closing a connection: %v", err)
				}
			})
		}
	})
	t.Cleanup(func() {
		close(gone)
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
	})
	return "http://" + l.Addr().String()
}

// counter counts the requests that go through it.
type counter struct {
	http.RoundTripper
	n atomic.Int32
}

func (c *counter) RoundTrip(r *http.Request) (*http.Response, error) {
	c.n.Add(1)
	return c.RoundTripper.RoundTrip(r)
}

// The ways in which a network or a dying store fails. answer is what the store says after it has read the request's headers,
// if it says anything.
func networkFaults() []networkFault {
	drip := func(conn *net.TCPConn, gone <-chan struct{}, text string) {
		for _, b := range []byte(text) {
			if !say(conn, string(b)) {
				return
			}
			select {
			case <-time.After(10 * time.Millisecond):
			case <-gone:
				return
			}
		}
	}
	return []networkFault{
		{"a black hole", "no answer within", true, func(conn *net.TCPConn, _ <-chan struct{}) {
			listen(conn)
		}},
		{"a store that reads nothing", "no answer within", true, func(_ *net.TCPConn, gone <-chan struct{}) { <-gone }},
		{"headers that drip", "no answer within", true, func(conn *net.TCPConn, gone <-chan struct{}) {
			swallow(conn, 100) // net/http has words of its own for a store that speaks before it is asked
			drip(conn, gone, "HTTP/1.1 200 OK\r\nX-Long: "+strings.Repeat("x", 1000))
		}},
		{"a body that drips", "no answer within", false, func(conn *net.TCPConn, gone <-chan struct{}) {
			begin(conn, 1000, "")
			drip(conn, gone, strings.Repeat("x", 1000))
		}},
		{"half a body", "unexpected EOF", false, func(conn *net.TCPConn, _ <-chan struct{}) { begin(conn, 1000, strings.Repeat("x", 500)) }},
		{"a reset in the middle of the body", "connection reset by peer", false, func(conn *net.TCPConn, _ <-chan struct{}) {
			begin(conn, 1000, strings.Repeat("x", 500))
			reset(conn)
		}},
		{"a reset in the middle of the request", "", true, func(conn *net.TCPConn, _ <-chan struct{}) {
			swallow(conn, 100)
			reset(conn)
		}},
		{"a connection that is closed at once", "", true, func(*net.TCPConn, <-chan struct{}) {}},
		{"something that is not HTTP", "", true, func(conn *net.TCPConn, _ <-chan struct{}) {
			swallow(conn, 100)
			say(conn, "220 mail.example.org ESMTP\r\n")
			listen(conn)
		}},
	}
}

type networkFault struct {
	name   string
	cause  string // in the message; "" for the operating system's choice
	writes bool   // meets a PUT or DELETE, too, whose answer has no body
	handle func(conn *net.TCPConn, gone <-chan struct{})
}

// begin reads the headers of a request and writes those of an answer with a body of n bytes, and the beginning of it.
func begin(conn *net.TCPConn, n int, body string) {
	r := bufio.NewReader(conn)
	for {
		line, err := r.ReadString('\n')
		if err != nil || line == "\r\n" {
			break
		}
	}
	say(conn, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n%s", n, body))
}

// say writes to a client that may be gone: what becomes of it is the client's to tell.
func say(conn net.Conn, text string) bool {
	_, err := io.WriteString(conn, text)
	return err == nil
}

// listen reads until the client is gone.
func listen(conn net.Conn) { swallow(conn, 1<<40) }

// swallow reads n bytes, or fewer from a client that goes.
func swallow(conn net.Conn, n int64) bool {
	_, err := io.CopyN(io.Discard, conn, n)
	return err == nil
}

// reset makes the end of the connection a reset.
func reset(conn *net.TCPConn) {
	if err := conn.SetLinger(0); err != nil {
		panic(err)
	}
}

// calls are all the ways to use a store.
func calls(s *Store) map[string]func(context.Context) error {
	image := bigCat(8 << 20) // more than the system takes off our hands
	return map[string]func(context.Context) error{
		"Put": func(ctx context.Context) error {
			_, err := s.Put(ctx, testKey, image)
			return err
		},
		"PutCheckpoint":    func(ctx context.Context) error { return s.PutCheckpoint(ctx, testKey, image.Body) },
		"DeleteCheckpoint": func(ctx context.Context) error { return s.DeleteCheckpoint(ctx, testKey) },
		"Head": func(ctx context.Context) error {
			_, err := s.Head(ctx, testKey)
			return err
		},
		"Check": s.Check,
		"Get": func(ctx context.Context) error {
			_, err := s.Get(ctx, testKey)
			return err
		},
		"GetCheckpoint": func(ctx context.Context) error {
			_, err := s.GetCheckpoint(ctx, testKey)
			return err
		},
		"List": func(ctx context.Context) error {
			for _, err := range s.List(ctx, "") {
				return err
			}
			return nil
		},
	}
}

// Whatever the network does, every call comes back in time, tries again, and says that the store is to blame.
func TestNetworkFaults(t *testing.T) {
	quietAWS(t)
	reads := []string{"Get", "GetCheckpoint", "List"}
	for _, fault := range networkFaults() {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			endpoint := serveRaw(t, fault.handle)
			s, err := Open(t.Context(), Config{
				Bucket: "pictures", Endpoint: endpoint, AccessKeyID: "a", SecretAccessKey: "s",
				AttemptTimeout: 100 * time.Millisecond, MaxAttempts: 2, MaxBackoff: time.Millisecond,
			}, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			s.http.rate = 1 << 30
			attempts := &counter{RoundTripper: s.http.client.Transport}
			s.http.client.Transport = attempts
			s.found.Store(&Capabilities{Conditional: true, Read: true, Delete: true, Encrypt: true})
			names := reads
			if fault.writes {
				names = append(names, "Put", "PutCheckpoint", "DeleteCheckpoint", "Head", "Check")
			}
			for _, name := range names {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				attempts.n.Store(0)
				err := calls(s)[name](ctx)
				if ctx.Err() != nil {
					t.Errorf("%s: it hung", name)
				}
				cancel()
				var e *Error
				if !errors.As(err, &e) || e.Type != TypeStorage || !strings.Contains(e.Error(), "no answer from 127.0.0.1:") ||
					!strings.Contains(e.Error(), fault.cause) || !strings.Contains(e.Error(), "is the store up, and AWS_ENDPOINT_URL_S3 right?") {
					t.Errorf("%s: %v\nwant a storage error: %s", name, err, fault.cause)
				}
				if n := attempts.n.Load(); fault.writes && n != 2 && name != "Check" {
					t.Errorf("%s: %d attempts, want 2", name, n)
				}
			}
		})
	}
}

// A caller that gives up is not told that the store is slow.
func TestGivingUpInTheMiddle(t *testing.T) {
	endpoint := serveRaw(t, func(_ *net.TCPConn, gone <-chan struct{}) { <-gone })
	s := open(t, Config{Bucket: "pictures", Endpoint: endpoint, AccessKeyID: "a", SecretAccessKey: "s"}, nil)
	s.found.Store(&Capabilities{Conditional: true, Read: true, Delete: true, Encrypt: true})
	for name, call := range calls(s) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		err := call(ctx)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "given up: context deadline exceeded") {
			t.Errorf("%s: %v, want that it was given up", name, err)
		}
	}
}
