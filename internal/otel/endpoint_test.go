package otel

import (
	"strings"
	"testing"
)

// Every row of the notes' section 2.1, and more of the kind.
func TestEndpoint(t *testing.T) {
	const general, traces, insecure = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_INSECURE"
	type vars = map[string]string
	tests := []struct {
		name            string
		vars            vars
		traces, metrics string // "" for none
		problem         string // the variable it names
	}{
		{"host", vars{general: "http://h"}, "http://h/v1/traces", "http://h/v1/metrics", ""},
		{"slash", vars{general: "http://h/"}, "http://h/v1/traces", "http://h/v1/metrics", ""},
		{"path", vars{general: "https://h/otlp"}, "https://h/otlp/v1/traces", "https://h/otlp/v1/metrics", ""},
		{"path and slash", vars{general: "https://h/otlp/"}, "https://h/otlp/v1/traces", "https://h/otlp/v1/metrics", ""},
		{"doubled path", vars{general: "http://h/v1/traces"}, "http://h/v1/traces", "http://h/v1/metrics", general},
		{"doubled path of logs", vars{general: "http://h/v1/logs"}, "http://h/v1/traces", "http://h/v1/metrics", general},
		{"doubled path and slash", vars{general: "http://h/otlp/v1/metrics/"}, "http://h/otlp/v1/traces", "http://h/otlp/v1/metrics", general},
		{"own endpoint is used as it stands", vars{traces: "http://h/x"}, "http://h/x", "", ""},
		{"own endpoint in full", vars{traces: "http://h/v1/traces"}, "http://h/v1/traces", "", ""},
		{"own endpoint without a path", vars{traces: "http://h"}, "http://h/", "", traces},
		{"own beside general", vars{traces: "http://a/t", general: "http://b"}, "http://a/t", "http://b/v1/metrics", ""},
		{"query stays", vars{general: "https://h/o?k=v"}, "https://h/o/v1/traces?k=v", "https://h/o/v1/metrics?k=v", ""},
		{"fragment goes", vars{general: "https://h/o#f"}, "https://h/o/v1/traces", "https://h/o/v1/metrics", ""},
		{"escapes stay", vars{general: "https://h/a%20b%2Fc"}, "https://h/a%20b%2Fc/v1/traces", "https://h/a%20b%2Fc/v1/metrics", ""},
		{"no scheme, neighbour", vars{general: "localhost:4318"}, "http://localhost:4318/v1/traces", "http://localhost:4318/v1/metrics", general},
		{"no scheme, service", vars{general: "collector:4318/otlp"}, "http://collector:4318/otlp/v1/traces", "http://collector:4318/otlp/v1/metrics", general},
		{"no scheme, any address of this machine", vars{general: "0.0.0.0:4318"}, "http://0.0.0.0:4318/v1/traces", "http://0.0.0.0:4318/v1/metrics", general},
		{"no scheme, private address", vars{general: "10.0.0.1:4318"}, "http://10.0.0.1:4318/v1/traces", "http://10.0.0.1:4318/v1/metrics", general},
		{"no scheme, IPv6", vars{general: "[::1]:4318"}, "http://[::1]:4318/v1/traces", "http://[::1]:4318/v1/metrics", general},
		{"no scheme, cluster", vars{general: "otel.obs.svc:4318"}, "http://otel.obs.svc:4318/v1/traces", "http://otel.obs.svc:4318/v1/metrics", general},
		{"no scheme, internet", vars{general: "api.honeycomb.io:443"}, "https://api.honeycomb.io:443/v1/traces", "https://api.honeycomb.io:443/v1/metrics", general},
		{"no scheme, internet, odd port", vars{general: "otlp.nr-data.net:4318"}, "https://otlp.nr-data.net:4318/v1/traces", "https://otlp.nr-data.net:4318/v1/metrics", general},
		{"no scheme, told", vars{general: "otlp.example.com", insecure: "true"}, "http://otlp.example.com/v1/traces", "http://otlp.example.com/v1/metrics", general},
		{"no scheme, told otherwise", vars{general: "localhost", insecure: "false"}, "https://localhost/v1/traces", "https://localhost/v1/metrics", general},
		{"scheme-relative", vars{general: "//localhost:4318"}, "http://localhost:4318/v1/traces", "http://localhost:4318/v1/metrics", general},
		{"spaces and quotes", vars{general: ` "http://h" `}, "http://h/v1/traces", "http://h/v1/metrics", ""},
		{"capitals", vars{general: "HTTP://h"}, "http://h/v1/traces", "http://h/v1/metrics", ""},
		{"http, secure: the scheme wins", vars{general: "http://h", insecure: "false"}, "http://h/v1/traces", "http://h/v1/metrics", insecure},
		{"https, insecure: the scheme wins", vars{general: "https://h", insecure: "true"}, "https://h/v1/traces", "https://h/v1/metrics", insecure},
		{"https, not insecure", vars{general: "https://h", insecure: "false"}, "https://h/v1/traces", "https://h/v1/metrics", ""},
		{"insecure is nonsense", vars{general: "https://h", insecure: "no"}, "https://h/v1/traces", "https://h/v1/metrics", insecure},
		{"http and a certificate", vars{general: "http://h", "OTEL_EXPORTER_OTLP_CERTIFICATE": "/ca.pem"}, "http://h/v1/traces", "http://h/v1/metrics", "OTEL_EXPORTER_OTLP_CERTIFICATE"},
		{"grpc scheme", vars{general: "grpc://h:4317"}, "", "", general},
		{"one slash", vars{general: "http:/h"}, "", "", general},
		{"no host", vars{general: "http://"}, "", "", general},
		{"port alone", vars{general: ":4318"}, "", "", general},
		{"bad port", vars{general: "http://h:port"}, "", "", general},
		{"port too large", vars{general: "http://h:70000"}, "", "", general},
		{"space inside", vars{general: "http://h h"}, "", "", general},
		{"bad escape", vars{general: "http://h/%zz"}, "", "", general},
		{"empty is unset", vars{general: ""}, "", "", ""},
		{"blank is unset", vars{general: `  `}, "", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, problems := ParseConfig(getenv(tt.vars))
			var gotTraces, gotMetrics string
			if c.Traces.URL != nil {
				gotTraces = c.Traces.URL.String()
				if !strings.HasPrefix(c.Traces.URL.RequestURI(), "/") {
					t.Errorf("request URI %q", c.Traces.URL.RequestURI())
				}
			}
			if c.Metrics.URL != nil {
				gotMetrics = c.Metrics.URL.String()
			}
			if (c.Logs.URL == nil) != (c.Metrics.URL == nil) || c.Logs.URL != nil && c.Logs.URL.String() != strings.Replace(gotMetrics, "/v1/metrics", "/v1/logs", 1) {
				t.Errorf("logs go to %v, metrics to %q", c.Logs.URL, gotMetrics)
			}
			if gotTraces != tt.traces || gotMetrics != tt.metrics {
				t.Errorf("got %q and %q, want %q and %q", gotTraces, gotMetrics, tt.traces, tt.metrics)
			}
			checkProblem(t, problems, tt.problem, tt.problem != "")
		})
	}
}

func TestCredentialsInTheEndpoint(t *testing.T) {
	c, problems := ParseConfig(getenv(map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "https://12345:glc_secret@h/otlp"}))
	if got, want := c.Traces.Headers["Authorization"], "Basic MTIzNDU6Z2xjX3NlY3JldA=="; got != want {
		t.Errorf("Authorization %q, want %q", got, want)
	}
	if c.Traces.URL.User != nil || len(problems) != 0 {
		t.Errorf("URL %v, problems %v", c.Traces.URL, problems)
	}
	c, _ = ParseConfig(getenv(map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": "https://u:p@h", "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20x",
	}))
	if got := c.Traces.Headers["Authorization"]; got != "Bearer x" {
		t.Errorf("Authorization %q: the header must win", got)
	}
	_, problems = ParseConfig(getenv(map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://user:glc_secret@h:99999/x"}))
	if len(problems) != 1 || strings.Contains(problems[0].String(), "glc_secret") {
		t.Errorf("problems %v", problems)
	}
}
