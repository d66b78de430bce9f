package otel

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stipple-ai/stipple/internal/local/otlpd"
)

// lossesOf are the items lost by signal and reason.
func lossesOf(tel *Telemetry) map[string]int64 {
	out := map[string]int64{}
	for _, c := range tel.losses.counts() {
		out[c.signal+" "+c.reason] = c.items
	}
	return out
}

// spans ends n spans.
func spans(t *testing.T, tel *Telemetry, n int) {
	t.Helper()
	for range n {
		_, span := tel.Tracer().Start(t.Context(), "s")
		span.End()
	}
}

// records logs n lines.
func records(t *testing.T, tel *Telemetry, n int) {
	t.Helper()
	for range n {
		tel.Logger().InfoContext(t.Context(), "record")
	}
}

// tracesOnly are the variables that send traces, and nothing else, to an endpoint.
func tracesOnly(endpoint string) map[string]string {
	return map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none",
		"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Basic%20c3VwZXJzZWNyZXQ=",
	}
}

func TestDelivery(t *testing.T) {
	s := sink(t)
	tel, log := setup(t, map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": s.Endpoint(),
		"OTEL_EXPORTER_OTLP_HEADERS":  "x-honeycomb-team=k3yk3y",
		"OTEL_SERVICE_NAME":           "mine",
		"OTEL_RESOURCE_ATTRIBUTES":    "deployment.environment.name=test",
	}, func(o *Options) { o.ServiceVersion, o.InstanceID = "v1", "i-1" })
	ctx, span := tel.Tracer().Start(t.Context(), SpanTextToImage)
	tel.Metrics.InFlight(ctx, 1)
	span.SetAttributes(ModelName.String("m"), GuidanceScale.Float64(7), PromptLength.Int(3))
	records(t, tel, 1)
	span.End()
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := s.Spans()
	if len(got) != 1 || got[0].Name != SpanTextToImage || got[0].Status.Code != "UNSET" || got[0].TraceID != TraceID(ctx) {
		t.Fatalf("spans %+v", got)
	}
	if diff := cmp.Diff(map[string]any{"model.name": "m", "guidance_scale": 7., "prompt.length": int64(3)}, got[0].Attributes); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	want := map[string]any{"service.name": "mine", "service.version": "v1", "service.instance.id": "i-1", "deployment.environment.name": "test"}
	for k, v := range want {
		if got[0].Resource[k] != v {
			t.Errorf("resource %s is %v, want %v", k, got[0].Resource[k], v)
		}
	}
	for _, k := range []string{"host.name", "process.pid", "process.runtime.version", "telemetry.sdk.language"} {
		if got[0].Resource[k] == nil {
			t.Errorf("resource lacks %s", k)
		}
	}
	for k := range got[0].Resource {
		if strings.Contains(k, "command") || strings.Contains(k, "executable") {
			t.Errorf("resource has %s, which may hold secrets", k)
		}
	}
	paths := map[string]bool{}
	for _, r := range s.Requests() {
		paths[r.Path] = true
		if r.Header.Get("X-Honeycomb-Team") != "k3yk3y" || r.Header.Get("Content-Encoding") != "gzip" {
			t.Errorf("%s: headers %v", r.Path, r.Header)
		}
	}
	if !paths["/v1/traces"] || !paths["/v1/metrics"] || !paths["/v1/logs"] || len(s.Metrics()) == 0 || len(s.Logs()) != 1 {
		t.Errorf("paths %v, %d metrics, %d log records", paths, len(s.Metrics()), len(s.Logs()))
	}
	if strings.Contains(log.String(), "k3yk3y") {
		t.Errorf("key in the log: %s", log)
	}
}

// Failures for good: one request, one line in the log, everything counted, nothing secret said.
func TestFailuresForGood(t *testing.T) {
	elsewhere := sink(t)
	tests := []struct {
		name     string
		mode     otlpd.Mode
		reason   string
		lost     int64
		requests int
		says     string
	}{
		{"unauthorized", otlpd.Echo(401, "Authorization"), reasonAuth, 2, 1, "[redacted]"},
		{"forbidden", otlpd.Respond(403, 0), reasonAuth, 2, 1, "403"},
		{"not found", otlpd.Respond(404, 0), reasonNotFound, 2, 1, "404"},
		{"bad request", otlpd.Respond(400, 0), reasonRejected, 2, 1, "400"},
		{"server error", otlpd.Respond(500, 0), reasonRejected, 2, 1, "500"},
		{"page", otlpd.HTML, reasonHTML, 2, 1, "web page"},
		{"redirect", otlpd.Redirect(elsewhere.Endpoint() + "/v1/traces"), reasonRedirect, 2, 1, "302"},
		{"garbage", otlpd.Garbage, reasonBadAnswer, 2, 1, "no OTLP"},
		{"partial success, whatever the charset", otlpd.Partial(1, "bad span"), reasonPartial, 1, 1, "bad span"},
		{"a warning loses nothing", otlpd.Partial(0, "deprecated"), reasonPartial, 0, 1, "deprecated"},
		{"too large: halved until single", otlpd.Respond(413, 0), reasonTooLarge, 2, 3, "413"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := sink(t)
			s.SetMode(tt.mode)
			vars := tracesOnly(s.Endpoint())
			vars["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"] = "2"
			tel, log := setup(t, vars, nil)
			spans(t, tel, 2)
			eventually(t, "the loss", func() bool {
				n, seen := lossesOf(tel)["traces "+tt.reason]
				return seen && n == tt.lost
			})
			if err := tel.Shutdown(t.Context()); err != nil && tt.reason != reasonTooLarge {
				t.Errorf("Shutdown reports what has been logged: %v", err)
			}
			if diff := cmp.Diff(map[string]int64{"traces " + tt.reason: tt.lost}, lossesOf(tel)); diff != "" {
				t.Errorf("losses (-want +got):\n%s", diff)
			}
			if n := len(s.Requests()); n != tt.requests {
				t.Errorf("%d requests, want %d", n, tt.requests)
			}
			lines := append(log.lines(t, "telemetry lost"), log.lines(t, "telemetry warning")...)
			if len(lines) != 1 || !strings.Contains(lines[0]["error"].(string), tt.says) {
				t.Errorf("log %s", log)
			}
			if strings.Contains(log.String(), "c3VwZXJzZWNyZXQ") {
				t.Errorf("key in the log: %s", log)
			}
		})
	}
	if n := len(elsewhere.Requests()); n != 0 {
		t.Errorf("%d requests followed a redirect, with the key", n)
	}
}

// Failures that pass: nothing is lost, though the SDK gives some of them up.
func TestFailuresThatPass(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]otlpd.Mode{
		"connection closed": otlpd.Close,
		"throttled":         otlpd.Respond(429, time.Second),
		"bad gateway":       otlpd.Respond(502, 0),
		"unavailable":       otlpd.Respond(503, 0),
		"gateway timeout":   otlpd.Respond(504, 0),
		"no answer":         otlpd.Hang,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // each waits for a pause of its own
			s := sink(t)
			s.SetMode(mode)
			vars := tracesOnly(s.Endpoint())
			vars["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"], vars["OTEL_EXPORTER_OTLP_TIMEOUT"] = "2", "100"
			tel, log := setup(t, vars, nil)
			spans(t, tel, 2)
			eventually(t, "a request", func() bool { return len(s.Requests()) > 0 })
			s.SetMode(otlpd.Accept)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if _, err := s.WaitFor(ctx, func(spans []otlpd.Span) bool { return len(spans) == 2 }); err != nil {
				t.Error(err)
			}
			if err := tel.Shutdown(ctx); err != nil || len(tel.losses.counts()) != 0 {
				t.Errorf("Shutdown: %v, losses %v, log %s", err, lossesOf(tel), log)
			}
		})
	}
}

// A collector that is not there yet gets what waited for it.
func TestRefusedUntilItIsThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	vars := tracesOnly("http://" + addr)
	vars["OTEL_BSP_SCHEDULE_DELAY"] = "100"
	network := newTransport(nil)
	defer network.CloseIdleConnections()
	refused := make(chan struct{}, 100)
	tel, _ := setup(t, vars, func(o *Options) {
		o.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			resp, err := network.RoundTrip(r)
			if err != nil {
				refused <- struct{}{}
			}
			return resp, err
		})
	})
	spans(t, tel, 3)
	<-refused
	s, err := otlpd.Start(otlpd.Options{Addr: addr})
	if err != nil {
		t.Fatal(err)
	}
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if n := len(s.Spans()); n != 3 {
		t.Errorf("%d spans arrived", n)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}

func TestHints(t *testing.T) {
	plain := sink(t)
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains of the handshake that is to fail
	secure.StartTLS()
	defer secure.Close()
	for _, tt := range []struct{ name, endpoint, reason, says string }{
		{"gRPC port", "http://" + grpcPort(t), reasonConnection, "gRPC port"},
		{"https to http", strings.Replace(plain.Endpoint(), "http", "https", 1), reasonTLS, "speaks http"},
		{"unknown authority", secure.URL, reasonTLS, "certificate"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tel, log := setup(t, tracesOnly(tt.endpoint), nil)
			spans(t, tel, 1)
			err := tel.Shutdown(t.Context())
			if err == nil || !strings.Contains(err.Error(), tt.says) || lossesOf(tel)["traces "+tt.reason] != 1 {
				t.Errorf("Shutdown: %v; losses %v; log %s", err, lossesOf(tel), log)
			}
		})
	}
}

// More spans than the queue holds: the rest is counted, not one silently dropped, and nobody waits.
func TestQueueFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		vars := tracesOnly("http://collector")
		vars["OTEL_BSP_MAX_QUEUE_SIZE"], vars["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"] = "50", "10"
		tel, log := setup(t, vars, func(o *Options) { o.Transport = roundTrip(hang) })
		spans(t, tel, 200)
		if diff := cmp.Diff(map[string]int64{"traces queue_full": 150}, lossesOf(tel)); diff != "" {
			t.Errorf("losses (-want +got):\n%s", diff)
		}
		if got := log.lines(t, "telemetry lost"); len(got) != 1 {
			t.Errorf("log %s", log)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := tel.Shutdown(ctx)
		var sum int64
		for _, n := range lossesOf(tel) {
			sum += n
		}
		if sum != 200 || err == nil {
			t.Errorf("lost %v of 200, %v", lossesOf(tel), err)
		}
	})
}

// The collector is away for a while: what fits the queue arrives, once each.
func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var accepted int
		tel, _ := setup(t, tracesOnly("http://collector"), func(o *Options) {
			o.Transport = roundTrip(func(*http.Request) (*http.Response, error) {
				if time.Since(start) < 25*time.Second {
					return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", IsNotFound: true}}
				}
				accepted++
				return ok(), nil
			})
		})
		for range 60 {
			spans(t, tel, 10)
			time.Sleep(time.Second)
		}
		if err := tel.Shutdown(t.Context()); err != nil || len(tel.losses.counts()) != 0 || accepted == 0 {
			t.Errorf("Shutdown: %v; losses %v; %d requests", err, lossesOf(tel), accepted)
		}
	})
}
