package otel

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func getenv(vars map[string]string) func(string) string {
	return func(name string) string { return vars[name] }
}

// problemVars are the variables that problems name, in order.
func problemVars(problems []Problem) []string {
	var out []string
	for _, p := range problems {
		out = append(out, p.Variable)
	}
	return out
}

func TestNothingSet(t *testing.T) {
	c, problems := ParseConfig(nil)
	if len(problems) != 0 {
		t.Errorf("problems: %v", problems)
	}
	if c.Traces.Exported() || c.Metrics.Exported() || c.Logs.Exported() || c.Disabled || c.NoTracing {
		t.Errorf("an empty environment exports or disables something: %+v", c)
	}
	want := Batch{Delay: 2 * time.Second, Timeout: 30 * time.Second, Queue: 4096, Size: 512}
	if diff := cmp.Diff(want, c.Batch); diff != "" {
		t.Errorf("batch (-want +got):\n%s", diff)
	}
	if c.Sampler != samplerParentBasedOn || c.Mode != ModeParent || c.Temporality != temporalityCumulative || c.Limits.AttributeValueLengthLimit != 4095 {
		t.Errorf("defaults: %+v", c)
	}
	if diff := cmp.Diff([]string{"tracecontext", "baggage"}, c.Propagators); diff != "" {
		t.Errorf("propagators (-want +got):\n%s", diff)
	}
}

// The BSP rows of the notes' section 4: what makes the SDK panic, spin or drop. Log records wait by the same rules.
func TestBatch(t *testing.T) {
	t.Run("spans", func(t *testing.T) { testBatch(t, "OTEL_BSP_", 2*time.Second, func(c Config) Batch { return c.Batch }) })
	t.Run("log records", func(t *testing.T) {
		testBatch(t, "OTEL_BLRP_", time.Second, func(c Config) Batch { return c.LogBatch })
	})
}

func testBatch(t *testing.T, prefix string, defaultDelay time.Duration, of func(Config) Batch) {
	t.Helper()
	def := Batch{Delay: defaultDelay, Timeout: 30 * time.Second, Queue: 4096, Size: 512}
	with := func(change func(*Batch)) Batch {
		b := def
		change(&b)
		return b
	}
	delay, timeout, queue, size := prefix+"SCHEDULE_DELAY", prefix+"EXPORT_TIMEOUT", prefix+"MAX_QUEUE_SIZE", prefix+"MAX_EXPORT_BATCH_SIZE"
	tests := []struct {
		name, variable, value string
		want                  Batch
		problem               bool
	}{
		{"delay", delay, "500", with(func(b *Batch) { b.Delay = 500 * time.Millisecond }), false},
		{"delay quoted", delay, ` "500" `, with(func(b *Batch) { b.Delay = 500 * time.Millisecond }), false},
		{"delay of zero would spin", delay, "0", with(func(b *Batch) { b.Delay = 100 * time.Millisecond }), true},
		{"delay below zero would spin", delay, "-1", with(func(b *Batch) { b.Delay = 100 * time.Millisecond }), true},
		{"delay beyond int64", delay, "9223372036854775807", with(func(b *Batch) { b.Delay = 5 * time.Minute }), true},
		{"delay is no integer", delay, "5s", def, true},
		{"timeout", timeout, "1000", with(func(b *Batch) { b.Timeout = time.Second }), false},
		{"timeout too short", timeout, "5", with(func(b *Batch) { b.Timeout = 100 * time.Millisecond }), true},
		{"timeout of zero would lose all", timeout, "0", def, true},
		{"timeout below zero", timeout, "-5", def, true},
		{"queue", queue, "600", with(func(b *Batch) { b.Queue = 600 }), false},
		{"queue below the default batch shrinks it quietly", queue, "100", with(func(b *Batch) { b.Queue, b.Size = 100, 100 }), false},
		{"queue of zero would drop nearly all", queue, "0", def, true},
		{"queue below zero would panic", queue, "-1", def, true},
		{"queue too large", queue, "99999999", with(func(b *Batch) { b.Queue = 1 << 20 }), true},
		{"batch", size, "64", with(func(b *Batch) { b.Size = 64 }), false},
		{"batch of zero would post span by span", size, "0", def, true},
		{"batch below zero would panic", size, "-1", def, true},
		{"batch larger than the queue", size, "5000", with(func(b *Batch) { b.Size = 4096 }), true},
		{"batch is no integer", size, "many", def, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, problems := ParseConfig(getenv(map[string]string{tt.variable: tt.value}))
			if diff := cmp.Diff(tt.want, of(c)); diff != "" {
				t.Errorf("batch (-want +got):\n%s", diff)
			}
			checkProblem(t, problems, tt.variable, tt.problem)
		})
	}
}

// checkProblem wants one problem that names the variable, or none.
func checkProblem(t *testing.T, problems []Problem, variable string, want bool) {
	t.Helper()
	if want != (len(problems) == 1) || len(problems) > 1 || want && problems[0].Variable != variable {
		t.Errorf("problems %v, want one about %s: %t", problems, variable, want)
	}
}

func TestSampler(t *testing.T) {
	tests := []struct {
		name    string
		vars    map[string]string
		sampler string
		ratio   float64
		problem string
	}{
		{"ratio", map[string]string{"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25"}, samplerRatio, .25, ""},
		{"case", map[string]string{"OTEL_TRACES_SAMPLER": "ParentBased_Always_Off"}, samplerParentBasedOff, 1, ""},
		{"no argument", map[string]string{"OTEL_TRACES_SAMPLER": "parentbased_traceidratio"}, samplerParentBasedRatio, 1, ""},
		{"bad argument", map[string]string{"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "1.5"}, samplerRatio, 1, "OTEL_TRACES_SAMPLER_ARG"},
		{"NaN", map[string]string{"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "nan"}, samplerRatio, 1, "OTEL_TRACES_SAMPLER_ARG"},
		{"unknown", map[string]string{"OTEL_TRACES_SAMPLER": "xray"}, samplerParentBasedOn, 1, "OTEL_TRACES_SAMPLER"},
		{"fal's rate", map[string]string{"OTEL_SAMPLE_RATE": "0.1"}, samplerParentBasedRatio, .1, ""},
		{"fal's rate, bad", map[string]string{"OTEL_SAMPLE_RATE": "10%"}, samplerParentBasedRatio, 1, "OTEL_SAMPLE_RATE"},
		{"the standard's name wins", map[string]string{"OTEL_SAMPLE_RATE": "0.1", "OTEL_TRACES_SAMPLER": "always_on"}, samplerAlwaysOn, 1, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, problems := ParseConfig(getenv(tt.vars))
			if c.Sampler != tt.sampler || c.Ratio != tt.ratio {
				t.Errorf("got %s %g, want %s %g", c.Sampler, c.Ratio, tt.sampler, tt.ratio)
			}
			checkProblem(t, problems, tt.problem, tt.problem != "")
		})
	}
}

func TestSwitches(t *testing.T) {
	const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
	tests := []struct {
		name                                         string
		vars                                         map[string]string
		disabled, noTracing, otlp, console, mConsole bool
		problem                                      string
	}{
		{"endpoint", map[string]string{endpoint: "http://h"}, false, false, true, false, false, ""},
		{"disabled", map[string]string{"OTEL_SDK_DISABLED": "TRUE"}, true, false, false, false, false, ""},
		{"disabled, nonsense", map[string]string{"OTEL_SDK_DISABLED": "1"}, false, false, false, false, false, "OTEL_SDK_DISABLED"},
		{"fal's switch", map[string]string{"ENABLE_TRACING": "false", endpoint: "http://h"}, false, true, true, false, false, ""},
		{"fal's switch, nonsense", map[string]string{"ENABLE_TRACING": "never"}, false, false, false, false, false, "ENABLE_TRACING"},
		{"the standard's switch wins", map[string]string{"ENABLE_TRACING": "false", "OTEL_SDK_DISABLED": "false"}, false, false, false, false, false, ""},
		{"none", map[string]string{endpoint: "http://h", "OTEL_TRACES_EXPORTER": "none"}, false, false, false, false, false, ""},
		{"console", map[string]string{endpoint: "http://h", "OTEL_TRACES_EXPORTER": "console"}, false, false, false, true, false, ""},
		{"both", map[string]string{endpoint: "http://h", "OTEL_TRACES_EXPORTER": "otlp, Console"}, false, false, true, true, false, ""},
		{"otlp without an endpoint", map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, false, false, false, false, false, ""},
		{"unknown", map[string]string{endpoint: "http://h", "OTEL_TRACES_EXPORTER": "zipkin,otlp"}, false, false, true, false, false, "OTEL_TRACES_EXPORTER"},
		{"unknown alone", map[string]string{endpoint: "http://h", "OTEL_TRACES_EXPORTER": "oltp"}, false, false, true, false, false, "OTEL_TRACES_EXPORTER"},
		{"metrics console", map[string]string{"OTEL_METRICS_EXPORTER": "console"}, false, false, false, false, true, ""},
		{"logs have no prometheus", map[string]string{"OTEL_LOGS_EXPORTER": "prometheus"}, false, false, false, false, false, "OTEL_LOGS_EXPORTER"},
		{"prometheus is always there", map[string]string{"OTEL_METRICS_EXPORTER": "prometheus"}, false, false, false, false, false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, problems := ParseConfig(getenv(tt.vars))
			if c.Disabled != tt.disabled || c.NoTracing != tt.noTracing || (c.Traces.URL != nil) != tt.otlp ||
				c.Traces.Console != tt.console || c.Metrics.Console != tt.mConsole {
				t.Errorf("got %+v", c)
			}
			checkProblem(t, problems, tt.problem, tt.problem != "")
		})
	}
}

func TestResourceAttributes(t *testing.T) {
	c, problems := ParseConfig(getenv(map[string]string{
		"OTEL_RESOURCE_ATTRIBUTES": ` deployment.environment.name=prod, k8s.pod.name=a%2Cb , service.name=ignored,broken,=x,pct=100%,`,
		"OTEL_SERVICE_NAME":        "mine",
	}))
	got := map[string]string{}
	for _, kv := range c.Resource {
		got[string(kv.Key)] = kv.Value.AsString()
	}
	want := map[string]string{"deployment.environment.name": "prod", "k8s.pod.name": "a,b", "service.name": "mine", "pct": "100%"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	v := "OTEL_RESOURCE_ATTRIBUTES"
	if diff := cmp.Diff([]string{v, v, v}, problemVars(problems)); diff != "" {
		t.Errorf("problems (-want +got):\n%s\n%v", diff, problems)
	}
}

func TestOtherValues(t *testing.T) {
	const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
	tests := []struct {
		name, variable, value string
		ok                    func(Config) bool
		problem               bool
	}{
		{"propagators", "OTEL_PROPAGATORS", "baggage", func(c Config) bool { return len(c.Propagators) == 1 && c.Propagators[0] == "baggage" }, false},
		{"no propagators", "OTEL_PROPAGATORS", "none", func(c Config) bool { return len(c.Propagators) == 0 }, false},
		{"foreign propagator", "OTEL_PROPAGATORS", "b3,tracecontext", func(c Config) bool { return len(c.Propagators) == 1 }, true},
		{"mode", "TRACE_PROPAGATION", "Link", func(c Config) bool { return c.Mode == ModeLink }, false},
		{"bad mode", "TRACE_PROPAGATION", "child", func(c Config) bool { return c.Mode == ModeParent }, true},
		{"gzip by default", "X", "", func(c Config) bool { return c.Traces.Gzip && c.Metrics.Gzip }, false},
		{"no compression", "OTEL_EXPORTER_OTLP_COMPRESSION", "none", func(c Config) bool { return !c.Traces.Gzip }, false},
		{"zstd", "OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", func(c Config) bool { return c.Traces.Gzip }, true},
		{"grpc", "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", func(c Config) bool { return c.Traces.URL != nil }, true},
		{"json", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", func(c Config) bool { return c.Traces.URL != nil }, true},
		{"timeout", "OTEL_EXPORTER_OTLP_TIMEOUT", "1500", func(c Config) bool { return c.Traces.Timeout == 1500*time.Millisecond }, false},
		{"timeout of traces", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "1", func(c Config) bool {
			return c.Traces.Timeout == time.Millisecond && c.Metrics.Timeout == 10*time.Second
		}, false},
		{"timeout of zero would lose all", "OTEL_EXPORTER_OTLP_TIMEOUT", "0", func(c Config) bool { return c.Traces.Timeout == 10*time.Second }, true},
		{"timeout below zero", "OTEL_EXPORTER_OTLP_TIMEOUT", "-1", func(c Config) bool { return c.Traces.Timeout == 10*time.Second }, true},
		{"metric timeout of zero", "OTEL_METRIC_EXPORT_TIMEOUT", "0", func(c Config) bool { return c.MetricTimeout == 30*time.Second }, true},
		{"bad timeout", "OTEL_EXPORTER_OTLP_TIMEOUT", "10s", func(c Config) bool { return c.Traces.Timeout == 10*time.Second }, true},
		{"temporality", "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "DELTA", func(c Config) bool { return c.Temporality == temporalityDelta }, false},
		{"bad temporality", "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "both", func(c Config) bool { return c.Temporality == temporalityCumulative }, true},
		{"histograms", "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "base2_exponential_bucket_histogram", func(c Config) bool { return c.ExponentialHistograms }, false},
		{"interval", "OTEL_METRIC_EXPORT_INTERVAL", "0", func(c Config) bool { return c.MetricInterval == 100*time.Millisecond }, true},
		{"length", "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "100", func(c Config) bool { return c.Limits.AttributeValueLengthLimit == 100 }, false},
		{"general length", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "100", func(c Config) bool { return c.Limits.AttributeValueLengthLimit == 100 }, false},
		{"bad count", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "-3", func(c Config) bool { return c.Limits.AttributeCountLimit == 128 }, true},
		{"length of logs", "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", "100", func(c Config) bool {
			return c.LogLimits == LogLimits{AttributeCount: 128, AttributeValueLength: 100} && c.Limits.AttributeValueLengthLimit == 4095
		}, false},
		{"bad count of logs", "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "many", func(c Config) bool { return c.LogLimits.AttributeCount == 128 }, true},
		{"timeout of logs", "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "7", func(c Config) bool {
			return c.Logs.Timeout == 7*time.Millisecond && c.Traces.Timeout == 10*time.Second
		}, false},
		{"exemplars", "OTEL_METRICS_EXEMPLAR_FILTER", "always_off", func(c Config) bool { return c.Exemplars == exemplarsAlwaysOff }, false},
		{"bad exemplars", "OTEL_METRICS_EXEMPLAR_FILTER", "some", func(c Config) bool { return c.Exemplars == exemplarsTraceBased }, true},
		{"configuration file", "OTEL_CONFIG_FILE", "otel.yaml", func(c Config) bool { return c.Traces.URL != nil }, true},
		{"no such CA", "OTEL_EXPORTER_OTLP_CERTIFICATE", "/does/not/exist.pem", func(c Config) bool { return c.Traces.URL != nil }, true},
		{"key without certificate", "OTEL_EXPORTER_OTLP_CLIENT_KEY", "/k.pem", func(c Config) bool { return len(c.Traces.TLS.Certificates) == 0 }, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, problems := ParseConfig(getenv(map[string]string{endpoint: "https://h.example", tt.variable: tt.value}))
			if !tt.ok(c) {
				t.Errorf("got %+v", c)
			}
			checkProblem(t, problems, tt.variable, tt.problem)
		})
	}
}

// FuzzParseConfig: no value may panic, stop the worker, or come back in a problem as a secret.
func FuzzParseConfig(f *testing.F) {
	f.Add("http://user:hunter22@h:4318/v1/traces", "api-key=hunter22,b", "5s")
	f.Add("10.0.0.1:4318", `"Authorization=Basic hunter22=="`, "-1")
	f.Add("unix:///x%zz", "hunter22", "9999999999999999999999")
	f.Fuzz(func(t *testing.T, endpoint, headers, number string) {
		c, problems := ParseConfig(getenv(map[string]string{
			"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": endpoint,
			"OTEL_EXPORTER_OTLP_HEADERS": headers, "OTEL_BSP_MAX_QUEUE_SIZE": number, "OTEL_BSP_SCHEDULE_DELAY": number,
			"OTEL_BLRP_MAX_QUEUE_SIZE": number, "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE": number,
			"OTEL_TRACES_SAMPLER": number, "OTEL_RESOURCE_ATTRIBUTES": headers,
		}))
		for _, b := range []Batch{c.Batch, c.LogBatch} {
			if b.Queue < 1 || b.Size < 1 || b.Size > b.Queue || b.Delay < 100*time.Millisecond {
				t.Errorf("batch %+v", b)
			}
		}
		for _, s := range []Signal{c.Traces, c.Metrics, c.Logs} {
			if s.URL != nil && (s.URL.Host == "" || s.URL.User != nil || s.URL.Path == "") {
				t.Errorf("URL %q", s.URL)
			}
		}
		for _, p := range problems {
			if strings.Contains(p.Variable, "HEADERS") && strings.Contains(p.Reason, "hunter22") {
				t.Errorf("secret in %v", p)
			}
		}
	})
}
