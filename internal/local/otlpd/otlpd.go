// Package otlpd is an OTLP/HTTP collector inside the process: it speaks
// protobuf (plain or gzip) on /v1/traces, /v1/metrics and /v1/logs and keeps
// what it is sent in bounded memory. cmd/dev draws its waterfalls from it, and
// tests make it misbehave with SetMode as real collectors and proxies do.
package otlpd

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"sync"
	"time"

	colmetricspb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

// contentType is the only encoding spoken: OTLP/HTTP with binary protobuf.
const contentType = "application/x-protobuf"

// Options configure a Server. The zero value listens on a random loopback port.
type Options struct {
	// Addr is the host:port to listen on; "" means 127.0.0.1:0.
	Addr string
	// MaxSpans bounds the spans kept, oldest dropped first; 0 means 50,000.
	MaxSpans int
	// MaxRequests bounds the requests kept for Requests, oldest dropped first; 0 means 1,000.
	MaxRequests int
	// MaxBytes bounds one request's body after decompression; larger is answered 413. 0 means 64 MiB.
	MaxBytes int64
	// KeepBodies keeps each request's decompressed body, for tests that search the payload.
	KeepBodies bool
}

// Server is a running sink. All methods are safe for concurrent use.
type Server struct {
	opts     Options
	listener net.Listener
	http     *http.Server
	served   chan error // written once by the serving goroutine, read by Stop
	stopOnce sync.Once
	stopErr  error

	mu       sync.Mutex
	mode     Mode
	spans    []Span
	dropped  int
	metrics  []Metric
	logs     []LogRecord
	requests []Request
	changed  chan struct{} // closed and replaced when spans arrive
}

// Request is one request as it came in, whatever the answer was.
type Request struct {
	Time   time.Time
	Method string
	Path   string
	Header http.Header
	Bytes  int    // size of the body after decompression
	Body   []byte // decompressed; nil unless Options.KeepBodies
}

// Start listens and serves until Stop.
func Start(o Options) (*Server, error) {
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if o.MaxSpans <= 0 {
		o.MaxSpans = 50_000
	}
	if o.MaxRequests <= 0 {
		o.MaxRequests = 1_000
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = 64 << 20
	}
	l, err := net.Listen("tcp", o.Addr)
	if err != nil {
		return nil, fmt.Errorf("listening for OTLP on %s: %w", o.Addr, err)
	}
	s := &Server{opts: o, listener: l, served: make(chan error, 1), mode: Accept, changed: make(chan struct{})}
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	// This goroutine belongs to the Server; it ends when Stop closes the listener.
	go func() { s.served <- s.http.Serve(l) }()
	return s, nil
}

// Endpoint is the base URL for OTEL_EXPORTER_OTLP_ENDPOINT, without a path.
func (s *Server) Endpoint() string { return "http://" + s.listener.Addr().String() }

// Stop closes the listener and every connection, hanging ones too, and waits
// for the serving goroutine. What was kept stays readable.
func (s *Server) Stop() error {
	s.stopOnce.Do(func() {
		s.stopErr = s.http.Close()
		if err := <-s.served; !errors.Is(err, http.ErrServerClosed) {
			s.stopErr = errors.Join(s.stopErr, err)
		}
	})
	return s.stopErr
}

// SetMode changes how later requests are answered; a nil mode means Accept.
// Requests that hang already go on hanging until their client leaves.
func (s *Server) SetMode(m Mode) {
	if m == nil {
		m = Accept
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mode = m
}

// Spans returns the spans kept, in order of arrival.
func (s *Server) Spans() []Span {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Span(nil), s.spans...)
}

// Dropped is how many spans were let go to stay within Options.MaxSpans.
func (s *Server) Dropped() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dropped
}

// Metrics returns the metrics of the last requests (at most Options.MaxRequests metrics), in order of arrival.
func (s *Server) Metrics() []Metric {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Metric(nil), s.metrics...)
}

// Logs returns the log records kept (at most Options.MaxSpans), in order of arrival.
func (s *Server) Logs() []LogRecord {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]LogRecord(nil), s.logs...)
}

// Requests returns the requests seen, answered well or not, in order of arrival.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.requests...)
}

// WaitFor returns the spans as soon as done says they are enough, or ctx's
// error with the spans there were. done is called with every new arrival, never concurrently.
func (s *Server) WaitFor(ctx context.Context, done func([]Span) bool) ([]Span, error) {
	for {
		s.mu.Lock()
		spans, changed := append([]Span(nil), s.spans...), s.changed
		s.mu.Unlock()
		if done(spans) {
			return spans, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return spans, fmt.Errorf("waiting for spans (%d there): %w", len(spans), ctx.Err())
		}
	}
}

// ServeHTTP implements the three export services of OTLP/HTTP.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// The body is read before the mode has its say: net/http notices a client
	// that leaves only once the body has been consumed.
	body, status, err := s.readBody(r)
	s.mu.Lock()
	mode := s.mode
	s.record(r, body)
	s.mu.Unlock()
	if err != nil {
		http.Error(w, err.Error(), status)
		return
	}
	if !mode(w, r) {
		return
	}
	reply, status, err := s.keep(r, body)
	if err != nil {
		http.Error(w, err.Error(), status)
		return
	}
	w.Header().Set("Content-Type", contentType)
	// A client that left before the answer has its own error; there is nobody else to tell.
	_, _ = w.Write(reply)
}

// readBody returns the decompressed body, or the status that says why not.
func (s *Server) readBody(r *http.Request) (body []byte, status int, err error) {
	var src io.Reader = r.Body
	switch enc := r.Header.Get("Content-Encoding"); enc {
	case "", "identity":
	case "gzip":
		zr, err := gzip.NewReader(r.Body)
		if err != nil {
			return nil, http.StatusBadRequest, fmt.Errorf("reading gzip body: %w", err)
		}
		src = zr
	default:
		return nil, http.StatusUnsupportedMediaType, fmt.Errorf("content-encoding %q: only gzip is understood", enc)
	}
	var buf bytes.Buffer
	n, err := io.Copy(&buf, io.LimitReader(src, s.opts.MaxBytes+1))
	if err != nil {
		return nil, http.StatusBadRequest, fmt.Errorf("reading body: %w", err)
	}
	if n > s.opts.MaxBytes {
		return nil, http.StatusRequestEntityTooLarge, fmt.Errorf("body is larger than %d bytes", s.opts.MaxBytes)
	}
	return buf.Bytes(), http.StatusOK, nil
}

// record notes the request; the caller holds s.mu.
func (s *Server) record(r *http.Request, body []byte) {
	req := Request{Time: time.Now(), Method: r.Method, Path: r.URL.RequestURI(), Header: r.Header.Clone(), Bytes: len(body)}
	if s.opts.KeepBodies {
		req.Body = body
	}
	s.requests, _ = keepLast(append(s.requests, req), s.opts.MaxRequests)
}

// keep decodes and stores one export request and returns the protobuf answer.
func (s *Server) keep(r *http.Request, body []byte) (reply []byte, status int, err error) {
	if r.Method != http.MethodPost {
		return nil, http.StatusMethodNotAllowed, fmt.Errorf("method %s: OTLP/HTTP is POST only", r.Method)
	}
	if mt, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mt != contentType {
		return nil, http.StatusUnsupportedMediaType, fmt.Errorf("content-type %q: only %s is understood", r.Header.Get("Content-Type"), contentType)
	}
	var spans []Span
	var metrics []Metric
	var logs []LogRecord
	var answer proto.Message
	switch r.URL.Path {
	case "/v1/traces":
		spans, err = decodeTraces(body)
		answer = &coltracepb.ExportTraceServiceResponse{}
	case "/v1/metrics":
		metrics, err = decodeMetrics(body)
		answer = &colmetricspb.ExportMetricsServiceResponse{}
	case "/v1/logs":
		// ExportLogsServiceResponse is empty on success, as the others are.
		logs, err = decodeLogs(body)
		answer = &coltracepb.ExportTraceServiceResponse{}
	default:
		return nil, http.StatusNotFound, fmt.Errorf("path %s: OTLP lives at /v1/traces, /v1/metrics and /v1/logs", r.URL.Path)
	}
	if err != nil {
		return nil, http.StatusBadRequest, err
	}
	reply, err = proto.Marshal(answer)
	if err != nil {
		return nil, http.StatusInternalServerError, fmt.Errorf("encoding the answer: %w", err)
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	var gone int
	s.spans, gone = keepLast(append(s.spans, spans...), s.opts.MaxSpans)
	s.dropped += gone
	s.metrics, _ = keepLast(append(s.metrics, metrics...), s.opts.MaxRequests)
	s.logs, _ = keepLast(append(s.logs, logs...), s.opts.MaxSpans)
	if len(spans) > 0 {
		close(s.changed)
		s.changed = make(chan struct{})
	}
	return reply, http.StatusOK, nil
}

// keepLast returns the last n elements of list and how many it let go. Those
// are cleared so that the array, which append renews in time, does not hold them.
func keepLast[T any](list []T, n int) (kept []T, gone int) {
	gone = max(0, len(list)-n)
	clear(list[:gone])
	return list[gone:], gone
}
