package grafana_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/promqltest"
	"go.yaml.in/yaml/v3"
)

type rule struct {
	Alert       string
	Expr        string
	For         string
	Labels      map[string]string
	Annotations map[string]string
}

func rules(t *testing.T) []rule {
	t.Helper()
	data, err := os.ReadFile("alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var f struct {
		Groups []struct {
			Name  string
			Rules []rule
		}
	}
	d := yaml.NewDecoder(strings.NewReader(string(data)))
	d.KnownFields(true)
	if err := d.Decode(&f); err != nil {
		t.Fatal(err)
	}
	var all []rule
	for _, g := range f.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

var named = regexp.MustCompile(`\$labels\.(\w+)`)

func TestRules(t *testing.T) {
	known := metrics(t)
	seen := map[string]bool{}
	for _, r := range rules(t) {
		check(t, known, r.Alert, r.Expr)
		if seen[r.Alert] || !strings.HasPrefix(r.Alert, "Stipple") || !slices.Contains([]string{"warning", "critical"}, r.Labels["severity"]) ||
			r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("rule %+v", r)
		}
		seen[r.Alert] = true
		if _, err := time.ParseDuration(r.For); r.For != "" && err != nil {
			t.Errorf("%s: for %q", r.Alert, r.For)
		}
	}
}

// scene is what workers serve in half an hour, a sample a minute (in the language of Prometheus' own tests), and the
// rules that fire at its end, with the label that tells which.
var scenes = []struct {
	name, series string
	fires        []string
}{
	{"all is well", healthy, nil},
	{"no worker", `worker_slots{job="s",instance="a"} 4x30`, []string{"StippleNoWorker"}},
	{"none is ready", strings.Replace(healthy, `worker_ready{job="s",instance="a"} 1x30`, `worker_ready{job="s",instance="a"} 0x30`, 1), []string{"StippleNoWorker", "StippleNotReady"}},
	{"stuck", healthy + `
worker_queue_pending{job="s",instance="a",messaging_consumer_group_name="w-low-m"} 40x30
messaging_client_consumed_messages_total{job="s",instance="a",messaging_consumer_group_name="w-low-m"} 12x30`, []string{"StippleQueueStuck w-low-m"}},
	{"stuck from the beginning", healthy + `
worker_queue_pending{job="s",instance="a",messaging_consumer_group_name="w-high-m"} 1x30`, []string{"StippleQueueStuck w-high-m"}},
	{"slow", healthy + `
worker_job_queue_time_seconds_bucket{job="s",model_name="slow",le="900"} 0+1x30
worker_job_queue_time_seconds_bucket{job="s",model_name="slow",le="3600"} 0+10x30
worker_job_queue_time_seconds_bucket{job="s",model_name="slow",le="+Inf"} 0+10x30`, []string{"StippleQueueSlow slow"}},
	{"hangs", `worker_ready{job="s",instance="a"} 1x30
worker_jobs_in_flight{job="s",instance="a"} 4x30
worker_slots{job="s",instance="a"} 4x30
worker_jobs_total{job="s",instance="a",job_outcome="completed"} 12x30`, []string{"StippleWorkerHangs a"}},
	{"stranded", healthy + `
worker_queue_stranded{job="s",instance="a",messaging_consumer_group_name="w-low-m"} 2x30`, []string{"StippleStrandedJobs w-low-m"}},
	{"dead letters", healthy + `
worker_dead_letters_total{job="s",instance="a",model_name="m",error_type="bad_image"} 0x20 1x10`, []string{"StippleDeadLetters bad_image"}},
	{"failures", healthy + `
worker_jobs_total{job="s",instance="a",job_outcome="retry",error_type="model_error"} 0+5x30`, []string{"StippleJobsFail s"}},
	{"lost telemetry", healthy + `
worker_telemetry_dropped_total{job="s",instance="a",signal="traces",reason="auth"} 0+512x30`, []string{"StippleTelemetryLost auth"}},
	{"telemetry waits", healthy + `
otel_sdk_processor_span_queue_size{job="s",instance="a",otel_component_type="batching_span_processor"} 4000x30
otel_sdk_processor_span_queue_capacity{job="s",instance="a",otel_component_type="batching_span_processor"} 4096x30`, []string{"StippleTelemetryQueueFull batching_span_processor"}},
	{"a sick card", healthy + `
hw_errors_total{job="s",instance="a",hw_id="GPU-1",hw_type="gpu"} 0x25 3x5`, []string{"StippleGPUErrors GPU-1"}},
}

const healthy = `worker_ready{job="s",instance="a"} 1x30
worker_jobs_in_flight{job="s",instance="a"} 4x30
worker_slots{job="s",instance="a"} 4x30
worker_jobs_total{job="s",instance="a",job_outcome="completed"} 0+60x30
worker_queue_pending{job="s",instance="a",messaging_consumer_group_name="w-normal-m"} 100x30
messaging_client_consumed_messages_total{job="s",instance="a",messaging_consumer_group_name="w-normal-m"} 0+60x30
worker_queue_stranded{job="s",instance="a",messaging_consumer_group_name="w-normal-m"} 0x30
worker_dead_letters_total{job="s",instance="a",model_name="m",error_type="invalid_job"} 7x30
worker_telemetry_dropped_total{job="s",instance="a",signal="logs",reason="queue_full"} 3x30
worker_job_queue_time_seconds_bucket{job="s",model_name="m",le="1"} 0+60x30
worker_job_queue_time_seconds_bucket{job="s",model_name="m",le="+Inf"} 0+60x30
hw_errors_total{job="s",instance="a",hw_id="GPU-0",hw_type="gpu"} 2x30`

// TestRulesFire: each rule's expression holds in the scene that is its own, and in no other.
func TestRulesFire(t *testing.T) {
	engine := promqltest.NewTestEngine(t, false, 0, promqltest.DefaultMaxSamplesPerQuery)
	fired := map[string]bool{}
	for _, scene := range scenes {
		t.Run(scene.name, func(t *testing.T) {
			storage := promqltest.LoadedStorage(t, "load 1m\n  "+strings.ReplaceAll(scene.series, "\n", "\n  "))
			var got []string
			for _, r := range rules(t) {
				query, err := engine.NewInstantQuery(t.Context(), storage, nil, r.Expr, time.Unix(0, 0).Add(30*time.Minute))
				if err != nil {
					t.Fatal(err)
				}
				result := query.Exec(t.Context())
				vector, err := result.Vector()
				if err != nil {
					t.Fatalf("%s: %v", r.Alert, err)
				}
				for _, sample := range vector {
					fired[r.Alert] = true
					got = append(got, strings.TrimSpace(r.Alert+" "+which(sample, scene.fires)))
					for _, m := range named.FindAllStringSubmatch(r.Annotations["summary"]+r.Annotations["description"], -1) {
						if sample.Metric.Get(m[1]) == "" && m[1] != "hw_model" { // the scene's card has no model
							t.Errorf("%s speaks of the label %s, which what fires does not have: %v", r.Alert, m[1], sample.Metric)
						}
					}
				}
				query.Close()
			}
			if !slices.Equal(got, scene.fires) {
				t.Errorf("fires %q, want %q", got, scene.fires)
			}
		})
	}
	for _, r := range rules(t) {
		if !fired[r.Alert] {
			t.Errorf("no scene makes %s fire", r.Alert)
		}
	}
}

// which is the label's value by which one of the expected alerts is named.
func which(s promql.Sample, want []string) string {
	for _, w := range want {
		_, value, _ := strings.Cut(w, " ")
		for _, l := range strings.Split(s.Metric.String(), ",") {
			if value != "" && strings.Contains(l, `"`+value+`"`) {
				return value
			}
		}
	}
	return ""
}
