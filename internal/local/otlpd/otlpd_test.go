package otlpd

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, o Options) *Server {
	t.Helper()
	s, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("Stop: %v", err)
		}
	})
	return s
}

// client is closed with the test so that no idle connection outlives it.
func client(t *testing.T) *http.Client {
	t.Helper()
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func str(s string) *commonpb.AnyValue {
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: s}}
}

// request is an export request with n spans, named s0, s1 and so on.
func request(n int) []byte {
	spans := make([]*tracepb.Span, n)
	for i := range spans {
		spans[i] = &tracepb.Span{
			TraceId: bytes.Repeat([]byte{0xab}, 16), SpanId: []byte{0, 0, 0, 0, 0, 0, 0, byte(i + 1)},
			Name: fmt.Sprintf("s%d", i), Kind: tracepb.Span_SPAN_KIND_CONSUMER,
			StartTimeUnixNano: 1e9, EndTimeUnixNano: 2e9,
		}
	}
	b, err := proto.Marshal(&coltracepb.ExportTraceServiceRequest{ResourceSpans: []*tracepb.ResourceSpans{{
		Resource:   &resourcepb.Resource{Attributes: []*commonpb.KeyValue{{Key: "service.name", Value: str("x")}}},
		ScopeSpans: []*tracepb.ScopeSpans{{Scope: &commonpb.InstrumentationScope{Name: "lib"}, Spans: spans}},
	}}})
	if err != nil {
		panic(err)
	}
	return b
}

func zipped(b []byte) []byte {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := w.Write(b); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return buf.Bytes()
}

func TestFlattensSpans(t *testing.T) {
	intV := func(i int64) *commonpb.AnyValue {
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: i}}
	}
	body, err := proto.Marshal(&coltracepb.ExportTraceServiceRequest{ResourceSpans: []*tracepb.ResourceSpans{{
		Resource: &resourcepb.Resource{Attributes: []*commonpb.KeyValue{{Key: "service.name", Value: str("text-to-image")}}},
		ScopeSpans: []*tracepb.ScopeSpans{{Scope: &commonpb.InstrumentationScope{Name: "lib"}, Spans: []*tracepb.Span{{
			TraceId: bytes.Repeat([]byte{1}, 16), SpanId: bytes.Repeat([]byte{2}, 8), ParentSpanId: bytes.Repeat([]byte{3}, 8),
			TraceState: "a=b", Name: "upload", Kind: tracepb.Span_SPAN_KIND_CLIENT,
			StartTimeUnixNano: 1_000_000_001, EndTimeUnixNano: 1_500_000_000,
			Attributes: []*commonpb.KeyValue{
				{Key: "s", Value: str("v")},
				{Key: "i", Value: intV(-7)},
				{Key: "d", Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_DoubleValue{DoubleValue: 7.5}}},
				{Key: "b", Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_BoolValue{BoolValue: true}}},
				{Key: "a", Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_ArrayValue{ArrayValue: &commonpb.ArrayValue{Values: []*commonpb.AnyValue{intV(1), str("2")}}}}},
			},
			Events: []*tracepb.Span_Event{{Name: "exception", TimeUnixNano: 1_200_000_000, Attributes: []*commonpb.KeyValue{{Key: "exception.type", Value: str("E")}}}},
			Links:  []*tracepb.Span_Link{{TraceId: bytes.Repeat([]byte{4}, 16), SpanId: bytes.Repeat([]byte{5}, 8)}},
			Status: &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR, Message: "m"},
		}}}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeTraces(body)
	if err != nil {
		t.Fatal(err)
	}
	want := []Span{{
		TraceID: strings.Repeat("01", 16), SpanID: strings.Repeat("02", 8), ParentID: strings.Repeat("03", 8),
		TraceState: "a=b", Name: "upload", Kind: "CLIENT", Start: time.Unix(1, 1), End: time.Unix(1, 5e8),
		Attributes: map[string]any{"s": "v", "i": int64(-7), "d": 7.5, "b": true, "a": []any{int64(1), "2"}},
		Events:     []Event{{"exception", time.Unix(1, 2e8), map[string]any{"exception.type": "E"}}},
		Links:      []Link{{TraceID: strings.Repeat("04", 16), SpanID: strings.Repeat("05", 8)}},
		Status:     Status{"ERROR", "m"}, Resource: map[string]any{"service.name": "text-to-image"}, Scope: "lib",
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
}

func TestAnswers(t *testing.T) {
	one := request(1)
	tests := []struct {
		name, method, path, ctype, enc string
		body                           []byte
		status, spans                  int
	}{
		{"plain", "POST", "/v1/traces", contentType, "", one, 200, 1},
		{"gzip", "POST", "/v1/traces", contentType, "gzip", zipped(one), 200, 1},
		{"charset", "POST", "/v1/traces", contentType + "; charset=utf-8", "", one, 200, 1},
		{"metrics", "POST", "/v1/metrics", contentType, "", nil, 200, 0},
		{"logs", "POST", "/v1/logs", contentType, "", nil, 200, 0},
		{"doubled path", "POST", "/v1/traces/v1/traces", contentType, "", one, 404, 0},
		{"json", "POST", "/v1/traces", "application/json", "", []byte("{}"), 415, 0},
		{"zstd", "POST", "/v1/traces", contentType, "zstd", one, 415, 0},
		{"not gzip", "POST", "/v1/traces", contentType, "gzip", one, 400, 0},
		{"not protobuf", "POST", "/v1/traces", contentType, "", []byte("\xff"), 400, 0},
		{"GET", "GET", "/v1/traces", contentType, "", nil, 405, 0},
		{"too large", "POST", "/v1/traces", contentType, "gzip", zipped(make([]byte, 1<<20+1)), 413, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, Options{MaxBytes: 1 << 20})
			req, err := http.NewRequest(tt.method, s.Endpoint()+tt.path, bytes.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", tt.ctype)
			req.Header.Set("Content-Encoding", tt.enc)
			resp, err := client(t).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.StatusCode != tt.status || len(s.Spans()) != tt.spans || len(s.Requests()) != 1 {
				t.Errorf("got status %d, %d spans, %d requests; want %d, %d, 1", resp.StatusCode, len(s.Spans()), len(s.Requests()), tt.status, tt.spans)
			}
		})
	}
}

// post sends n spans and reads the answer to its end.
func post(s *Server, c *http.Client, n int) (*http.Response, error) {
	resp, err := c.Post(s.Endpoint()+"/v1/traces", contentType, bytes.NewReader(request(n)))
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return resp, errors.Join(err, resp.Body.Close())
}

func TestKeepsTheNewest(t *testing.T) {
	s := start(t, Options{MaxSpans: 10, MaxRequests: 2})
	for range 4 {
		if _, err := post(s, client(t), 4); err != nil {
			t.Fatal(err)
		}
	}
	got := s.Spans()
	if len(got) != 10 || s.Dropped() != 6 || got[0].Name != "s2" || got[9].Name != "s3" || len(s.Requests()) != 2 {
		t.Errorf("kept %d spans %s..%s, dropped %d, %d requests", len(got), got[0].Name, got[len(got)-1].Name, s.Dropped(), len(s.Requests()))
	}
}

func TestWaitFor(t *testing.T) {
	s := start(t, Options{})
	c := client(t)
	errs := make(chan error, 1)
	go func() { // ends after its two posts; errs is read below
		_, err1 := post(s, c, 1)
		_, err2 := post(s, c, 2)
		errs <- errors.Join(err1, err2)
	}()
	got, err := s.WaitFor(t.Context(), func(spans []Span) bool { return len(spans) >= 3 })
	if err != nil || len(got) != 3 {
		t.Errorf("WaitFor: %d spans, %v", len(got), err)
	}
	if err := <-errs; err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := s.WaitFor(ctx, func([]Span) bool { return false }); err == nil {
		t.Error("WaitFor returned without an error though its context ended")
	}
}

func TestModes(t *testing.T) {
	tests := []struct {
		name   string
		mode   Mode
		status int    // 0: the request fails
		header string // that must be there, "Name: value"
		kept   int
	}{
		{"accept", nil, 200, "Content-Type: application/x-protobuf", 1},
		{"slow", Slow(5 * time.Millisecond), 200, "", 1},
		{"hang", Hang, 0, "", 0},
		{"too slow", Slow(time.Hour), 0, "", 0},
		{"throttled", Respond(429, 3*time.Second), 429, "Retry-After: 3", 0},
		{"html", HTML, 200, "Content-Type: text/html; charset=utf-8", 0},
		{"redirect", Redirect("http://elsewhere.invalid/"), 302, "Location: http://elsewhere.invalid/", 0},
		{"garbage", Garbage, 200, "Content-Type: application/x-protobuf", 0},
		{"close", Close, 0, "", 0},
		{"partial", Partial(1, "bad span"), 200, "Content-Type: application/x-protobuf; charset=utf-8", 0},
		{"echo", Echo(401, "User-Agent"), 401, "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, Options{})
			s.SetMode(tt.mode)
			c := client(t)
			if tt.status == 0 {
				c.Timeout = 50 * time.Millisecond
			}
			resp, err := post(s, c, 1)
			if (err != nil) != (tt.status == 0) {
				t.Fatalf("error %v", err)
			}
			if err == nil && resp.StatusCode != tt.status {
				t.Errorf("status %d, want %d", resp.StatusCode, tt.status)
			}
			if name, value, ok := strings.Cut(tt.header, ": "); ok && resp.Header.Get(name) != value {
				t.Errorf("%s is %q, want %q", name, resp.Header.Get(name), value)
			}
			if len(s.Spans()) != tt.kept {
				t.Errorf("kept %d spans, want %d", len(s.Spans()), tt.kept)
			}
			s.SetMode(Accept)
			c.Timeout = 0
			if _, err := post(s, c, 1); err != nil || len(s.Spans()) != tt.kept+1 {
				t.Errorf("after coming back to life: %d spans, %v", len(s.Spans()), err)
			}
		})
	}
}

func TestStopEndsHangingRequests(t *testing.T) {
	s, err := Start(Options{KeepBodies: true})
	if err != nil {
		t.Fatal(err)
	}
	s.SetMode(Hang)
	c := client(t)
	done := make(chan error, 1)
	go func() { // ends when Stop drops the connection
		_, err := post(s, c, 1)
		done <- err
	}()
	for len(s.Requests()) == 0 {
		time.Sleep(time.Millisecond)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil {
		t.Error("a hanging request ended well")
	}
	if got := s.Requests()[0].Body; !bytes.Equal(got, request(1)) {
		t.Errorf("kept body of %d bytes, want %d", len(got), len(request(1)))
	}
	if err := s.Stop(); err != nil {
		t.Errorf("second Stop: %v", err)
	}
}

// FuzzDecode: no payload may panic the sink, whichever signal it is taken for.
func FuzzDecode(f *testing.F) {
	f.Add(request(2))
	f.Add([]byte("\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		spans, err := decodeTraces(b)
		if err != nil && spans != nil {
			t.Errorf("spans beside the error %v", err)
		}
		for _, s := range spans {
			if _, err := fmt.Fprint(io.Discard, s.Attributes, s.Start, s.Kind); err != nil {
				t.Error(err)
			}
		}
		// Any bytes may be well-formed for these; that they come back at all is the test.
		metrics, _ := decodeMetrics(b)
		logs, _ := decodeLogs(b)
		if _, err := fmt.Fprint(io.Discard, metrics, logs); err != nil {
			t.Error(err)
		}
	})
}
