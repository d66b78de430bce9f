package upload

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// proxy puts a handler in front of a real store: it may answer by itself or pass the request on.
func proxy(t *testing.T, endpoint string, handle func(w http.ResponseWriter, r *http.Request, pass http.Handler)) string {
	t.Helper()
	target, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	pass := &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // what was signed
	}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handle(w, r, pass) }))
	t.Cleanup(func() {
		server.Close()
		transport.CloseIdleConnections()
	})
	return server.URL
}

// fail answers as S3 does.
func fail(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("X-Amz-Request-Id", "4442587FB7D0A2F9")
	w.WriteHeader(status)
	fmt.Fprintf(w, `<?xml version="1.0"?><Error><Code>%s</Code><Message>%s</Message></Error>`, code, message)
}

// isPut tells PUTs of pictures from probes and other requests.
func isPut(r *http.Request) bool {
	return r.Method == http.MethodPut && !strings.Contains(r.URL.Path, ".probe/")
}

func TestTransientAnswersAreTriedAgain(t *testing.T) {
	server, c := startS3(t)
	for _, answer := range []struct {
		status int
		code   string
	}{{503, "SlowDown"}, {500, "InternalError"}, {409, "ConditionalRequestConflict"}, {409, "OperationAborted"}, {429, "TooManyRequests"}} {
		t.Run(answer.code, func(t *testing.T) {
			var puts atomic.Int32
			c.Endpoint = proxy(t, server.Endpoint(), func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
				if isPut(r) && puts.Add(1) <= 2 {
					fail(w, answer.status, answer.code, "try again")
					return
				}
				pass.ServeHTTP(w, r)
			})
			mustPut(t, open(t, c, nil), answer.code, cat())
			if puts.Load() != 3 {
				t.Errorf("%d attempts, want 3", puts.Load())
			}
		})
	}
}

func TestAnAnswerThatIsLostIsFoundAgain(t *testing.T) {
	server, c := startS3(t)
	var puts atomic.Int32
	c.Endpoint = proxy(t, server.Endpoint(), func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if isPut(r) && puts.Add(1) == 1 {
			pass.ServeHTTP(httptest.NewRecorder(), r) // it is stored, and the client is told otherwise
			fail(w, 500, "InternalError", "internal error")
			return
		}
		pass.ServeHTTP(w, r)
	})
	got, err := open(t, c, nil).Put(t.Context(), testKey, cat())
	if err != nil || got.Created || got.Existing == nil || got.Existing.Metadata != catMetadata() || puts.Load() != 2 {
		t.Errorf("Put: %+v, %v after %d attempts, want our own object by the second", got, err, puts.Load())
	}
}

func TestAStoreThatFailsForGoodIsGivenUp(t *testing.T) {
	var puts atomic.Int32
	server, c := startS3(t)
	c.MaxAttempts = 3
	c.Endpoint = proxy(t, server.Endpoint(), func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if isPut(r) {
			puts.Add(1)
			fail(w, 503, "SlowDown", "reduce your\nrequest rate")
			return
		}
		pass.ServeHTTP(w, r)
	})
	_, err := open(t, c, nil).Put(t.Context(), testKey, cat())
	want := "putting s3://pictures/" + testKey + ": the store is failing or too busy (503 SlowDown; reduce your request rate; request 4442587FB7D0A2F9)"
	if err == nil || err.Error() != want || puts.Load() != 3 {
		t.Errorf("Put after %d attempts:\n got %v\nwant %s", puts.Load(), err, want)
	}
}

func TestAnObjectThatComesAndGoes(t *testing.T) {
	server, c := startS3(t)
	c.Endpoint = proxy(t, server.Endpoint(), func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if isPut(r) {
			fail(w, http.StatusPreconditionFailed, "PreconditionFailed", "it is there")
			return
		}
		pass.ServeHTTP(w, r) // and never there
	})
	var e *Error
	if got, err := open(t, c, nil).Put(t.Context(), testKey, cat()); !errors.As(err, &e) || e.Type != TypeStorage {
		t.Errorf("Put: %+v, %v, want a storage error", got, err)
	}
}

func TestTheDeadlineGrowsWithTheTransfer(t *testing.T) {
	for _, tt := range []struct {
		n    int64
		want time.Duration
	}{{-1, 0}, {0, 0}, {minRate, time.Second}, {8 << 20, 128 * time.Second}} {
		if got := (&attemptClient{rate: minRate}).transferTime(tt.n); got != tt.want {
			t.Errorf("transferTime(%d) = %v, want %v", tt.n, got, tt.want)
		}
	}
}
