package otel

import (
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stipple-ai/stipple/internal/local/otlpd"
)

func TestProbeAHealthyCollector(t *testing.T) {
	s := sink(t)
	problems, answers := Probe(t.Context(), Options{Getenv: getenv(map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": s.Endpoint(), "OTEL_EXPORTER_OTLP_HEADERS": "api-key=hunter22,x=y",
	})})
	if len(problems) != 0 {
		t.Errorf("problems %v", problems)
	}
	want := []Answer{}
	for _, signal := range []string{"traces", "metrics", "logs"} {
		want = append(want, Answer{Signal: signal, URL: s.Endpoint() + "/v1/" + signal, Headers: []string{"Api-Key", "X"}, Detail: "answered 200 OK, application/x-protobuf"})
	}
	if diff := cmp.Diff(want, answers); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	if len(s.Requests()) != 3 || len(s.Spans())+len(s.Metrics())+len(s.Logs()) != 0 {
		t.Errorf("%d requests left %d spans, %d metrics and %d log records", len(s.Requests()), len(s.Spans()), len(s.Metrics()), len(s.Logs()))
	}
	for _, r := range s.Requests() {
		if r.Header.Get("Api-Key") != "hunter22" || r.Header.Get("Content-Encoding") != "gzip" {
			t.Errorf("headers %v", r.Header)
		}
	}
}

func TestProbeWithoutACollector(t *testing.T) {
	for name, tt := range map[string]struct {
		vars map[string]string
		want []string
	}{
		"nothing set": {nil, []string{"not exported: neither", "not exported: neither", "not exported: neither"}},
		"off":         {map[string]string{"OTEL_SDK_DISABLED": "true"}, []string{"off: OTEL_SDK_DISABLED"}},
		"console":     {map[string]string{"OTEL_TRACES_EXPORTER": "console", "ENABLE_TRACING": "false", "OTEL_LOGS_EXPORTER": "console"}, []string{"off: ENABLE_TRACING", "not exported: neither", "console"}},
	} {
		_, answers := Probe(t.Context(), Options{Getenv: getenv(tt.vars)})
		for i, a := range answers {
			if len(answers) != len(tt.want) || !strings.HasPrefix(a.Detail, tt.want[i]) || a.Err != nil {
				t.Errorf("%s: %+v", name, answers)
				break
			}
		}
	}
}

// answering is a collector that answers everything alike.
func answering(code int, header map[string]string, body string) http.RoundTripper {
	return roundTrip(func(*http.Request) (*http.Response, error) {
		h := http.Header{}
		for k, v := range header {
			h.Set(k, v)
		}
		return &http.Response{StatusCode: code, Status: fmt.Sprint(code, " ", http.StatusText(code)), Header: h, Body: io.NopCloser(strings.NewReader(body))}, nil
	})
}

// TestProbeMends: each way in which a collector is not what it should be has its mend.
func TestProbeMends(t *testing.T) {
	const endpoint, headers = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS"
	type vars = map[string]string
	html := map[string]string{"Content-Type": "text/html; charset=utf-8"}
	const local = "http://collector:4318"
	for _, tt := range []struct {
		name      string
		vars      vars
		collector http.RoundTripper
		says      string // in the mend of traces
		warning   bool
	}{
		{"no key", vars{endpoint: local}, answering(401, nil, ""), "no header is sent", false},
		{"key without its name", vars{endpoint: local, headers: "c2VzYW1lb3Blbg=="}, answering(401, nil, ""), "put the header's name and = before the key", false},
		{"wrong key", vars{endpoint: local, headers: "api-key=hunter22"}, answering(403, nil, "bad key hunter22"), "check value and name of Api-Key", false},
		{"New Relic without a key", vars{endpoint: "https://otlp.nr-data.net"}, answering(403, nil, ""), "New Relic wants the header api-key", false},
		{"New Relic of the other region", vars{endpoint: "https://otlp.nr-data.net:4318", headers: "api-key=hunter22"}, answering(403, nil, ""), "otlp.eu01.nr-data.net", false},
		{"Datadog, wrong header", vars{endpoint: "https://otlp.datadoghq.eu", headers: "api-key=hunter22"}, answering(403, nil, ""), "wants the header dd-api-key", false},
		{"Honeycomb", vars{endpoint: "https://api.eu1.honeycomb.io", headers: "x-honeycomb-team=hunter22"}, answering(401, nil, ""), "environment in the EU", false},
		{"Grafana without a path", vars{endpoint: "https://otlp-gateway-prod-eu-west-2.grafana.net"}, answering(404, nil, ""), "ends in /otlp", false},
		{"doubled path", vars{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": local + "/v1/traces/v1/traces"}, answering(404, nil, ""), "doubled", false},
		{"wrong path", vars{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": local + "/api/traces"}, answering(404, nil, ""), "want /v1/traces", false},
		{"takes no such signal", vars{endpoint: local}, answering(404, nil, ""), "OTEL_TRACES_EXPORTER=none", false},
		{"takes no POST", vars{endpoint: local}, answering(405, nil, ""), "want /v1/traces", false},
		{"page", vars{endpoint: local}, answering(200, html, "<html>Sign in"), "user interface", false},
		{"page without a type", vars{endpoint: local}, answering(200, nil, "<!DOCTYPE html>"), "user interface", false},
		{"redirect", vars{endpoint: local}, answering(302, map[string]string{"Location": "https://sso.example/login?next=x"}, ""), "https://sso.example/login?[redacted]", false},
		{"redirect that repeats the query", vars{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": local + "/v1/traces?key=hunter22"}, answering(301, map[string]string{"Location": "/v1/traces/?key=hunter22"}, ""), "/v1/traces/?[redacted]", false},
		{"garbage", vars{endpoint: local}, answering(200, map[string]string{"Content-Type": "application/x-protobuf"}, "\xff\xff"), "something other than", false},
		{"throttled", vars{endpoint: local}, answering(429, map[string]string{"Retry-After": "60"}, ""), "quota", true},
		{"unavailable", vars{endpoint: local}, answering(503, nil, ""), "not ready", true},
		{"bad request", vars{endpoint: local}, answering(400, nil, "no"), "read what it answered", false},
		{"partial success", vars{endpoint: local}, answering(200, map[string]string{"Content-Type": "application/x-protobuf"}, "\x0a\x04\x12\x02hm"), "read what it answered", true},
		{"clear text", vars{endpoint: "http://otlp.example.com", headers: "k=hunter22"}, answering(200, nil, ""), "write https://", true},
		{"nothing sampled", vars{endpoint: local, "OTEL_TRACES_SAMPLER": "always_off"}, answering(200, nil, ""), "parentbased_always_on", true},
		{"good", vars{endpoint: local}, answering(202, nil, "{}"), "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, answers := Probe(t.Context(), Options{Getenv: getenv(tt.vars), Transport: tt.collector})
			a := answers[0]
			if (a.Err != nil) != (tt.says != "") || !strings.Contains(a.Mend, tt.says) || a.Warning != tt.warning {
				t.Errorf("%+v", a)
			}
			if text := strings.ToLower(fmt.Sprintf("%+v", a)); strings.Contains(text, "hunter22") || strings.Contains(text, "c2vzyw1l") {
				t.Errorf("a key in %+v", a)
			}
		})
	}
}

func TestProbeMetrics(t *testing.T) {
	for _, tt := range []struct {
		vars map[string]string
		says string
	}{
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "https://otlp.datadoghq.com"}, "TEMPORALITY_PREFERENCE=delta"},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "https://otlp.datadoghq.com", "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta"}, ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "https://api.honeycomb.io"}, "x-honeycomb-dataset"},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "https://api.honeycomb.io", "OTEL_EXPORTER_OTLP_METRICS_HEADERS": "x-honeycomb-dataset=a"}, ""},
	} {
		_, answers := Probe(t.Context(), Options{Getenv: getenv(tt.vars), Transport: answering(200, nil, "")})
		if a := answers[1]; !strings.Contains(a.Mend, tt.says) || (tt.says == "") != (a.Err == nil) {
			t.Errorf("%v: %+v", tt.vars, a)
		}
	}
}

// TestProbeTheNetwork: what only a real network does.
func TestProbeTheNetwork(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	hanging := sink(t)
	hanging.SetMode(otlpd.Hang)
	plain := sink(t)
	secure := httptest.NewUnstartedServer(plain)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains of the handshake that is to fail
	secure.StartTLS()
	defer secure.Close()
	for name, tt := range map[string]struct {
		vars map[string]string
		says string
	}{
		"nobody there":      {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": closed}, "usually at 4318"},
		"no such host":      {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://no-such-host.invalid:4318"}, "no such host"},
		"hanging":           {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": hanging.Endpoint(), "OTEL_EXPORTER_OTLP_TIMEOUT": "100"}, "nothing comes back in time"},
		"http for https":    {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": strings.Replace(plain.Endpoint(), "http", "https", 1)}, "write http://"},
		"unknown authority": {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": secure.URL}, "OTEL_EXPORTER_OTLP_CERTIFICATE"},
		"gRPC":              {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://" + grpcPort(t)}, "port of OTLP over gRPC"},
	} {
		t.Run(name, func(t *testing.T) {
			vars := map[string]string{"OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
			maps.Copy(vars, tt.vars)
			_, answers := Probe(t.Context(), Options{Getenv: getenv(vars)})
			if a := answers[0]; a.Err == nil || !strings.Contains(a.Mend, tt.says) || a.Detail != "no answer" {
				t.Errorf("%+v", a)
			}
		})
	}
}
