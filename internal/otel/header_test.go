package otel

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Every row of the notes' section 2.2, and more of the kind.
func TestHeaders(t *testing.T) {
	tests := []struct {
		name, value string
		want        map[string]string
		problem     bool
	}{
		{"padding and a space", "Authorization=Basic MTIzPQ==", map[string]string{"Authorization": "Basic MTIzPQ=="}, false},
		{"escaped", "Authorization=Basic%20abc%3D%3D", map[string]string{"Authorization": "Basic abc=="}, false},
		{"plus and slash", "k=a+b/c", map[string]string{"K": "a+b/c"}, false},
		{"comma", `dd-otel-metric-config={"a": true%2C"b": 1}`, map[string]string{"Dd-Otel-Metric-Config": `{"a": true,"b": 1}`}, false},
		{"raw comma", `dd-otel-metric-config={"a": true,"b": 1}`, map[string]string{"Dd-Otel-Metric-Config": `{"a": true`}, true},
		{"bad escape", "key=100%", map[string]string{"Key": "100%"}, true},
		{"quoted whole", `"Authorization=Basic x"`, map[string]string{"Authorization": "Basic x"}, false},
		{"quoted value", `api-key="abc"`, map[string]string{"Api-Key": "abc"}, false},
		{"one quote", `"api-key=abc`, map[string]string{}, true},
		{"colon", "api-key:hunter22", map[string]string{}, true},
		{"colon and padding", "Authorization: Basic hunter22=", map[string]string{}, true},
		{"a key alone", "hunter22", map[string]string{}, true},
		{"trailing comma", "a=1,", map[string]string{"A": "1"}, false},
		{"spaces", " a = 1 , b=2 ", map[string]string{"A": "1", "B": "2"}, false},
		{"line feed", "a=hunter22%0A1,b=2", map[string]string{"B": "2"}, true},
		{"line feed at the end", "a=1%0A", map[string]string{"A": "1"}, false},
		{"metadata", "a=1;meta=2", map[string]string{"A": "1;meta=2"}, false},
		{"host", "Host=h,a=1", map[string]string{"A": "1"}, true},
		{"content type", "content-type=text/plain", map[string]string{}, true},
		{"user agent", "User-Agent=me", map[string]string{"User-Agent": "me"}, false},
		{"last wins", "a=1,A=2", map[string]string{"A": "2"}, false},
		{"empty value", "a=", map[string]string{"A": ""}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, problems := ParseConfig(getenv(map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "https://h", "OTEL_EXPORTER_OTLP_HEADERS": tt.value}))
			if diff := cmp.Diff(tt.want, c.Traces.Headers); diff != "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
			for _, other := range []Signal{c.Metrics, c.Logs} {
				if diff := cmp.Diff(c.Traces.Headers, other.Headers); diff != "" {
					t.Errorf("the signals differ:\n%s", diff)
				}
			}
			checkProblem(t, problems, "OTEL_EXPORTER_OTLP_HEADERS", tt.problem)
			for _, p := range problems {
				if strings.Contains(p.String(), "hunter22") {
					t.Errorf("secret in %v", p)
				}
			}
		})
	}
}

func TestOwnHeadersReplaceTheGeneralOnes(t *testing.T) {
	c, _ := ParseConfig(getenv(map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": "https://h", "OTEL_EXPORTER_OTLP_HEADERS": "a=1", "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "b=2",
	}))
	if diff := cmp.Diff(map[string]string{"B": "2"}, c.Traces.Headers); diff != "" {
		t.Errorf("traces (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"A": "1"}, c.Metrics.Headers); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}
