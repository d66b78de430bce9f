package otel

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stipple-ai/stipple/internal/local/otlpd"
)

// exercise calls every method of m once.
func exercise(ctx context.Context, m *Metrics) {
	m.Delivered(ctx, "JOBS", "w-normal-m", 1)
	m.Delivered(ctx, "JOBS", "w-normal-m", 2)
	m.InFlight(ctx, 1)
	m.Slots(ctx, 4)
	m.QueueTime(ctx, "m", -time.Second) // clocks that disagree
	m.Stage(ctx, "m", SpanDenoise, 2*time.Second)
	m.Call(ctx, "m", 3, 50*time.Millisecond)
	m.Inference(ctx, "m", "", 3*time.Second)
	m.Upload(ctx, "m", "", 1, 80*time.Millisecond)
	m.Stored(ctx, "m", 300_000)
	m.Upload(ctx, "m", "storage", 2, time.Second)
	m.Sent(ctx, "JOBS", 2)
	m.Operation(ctx, OperationAck, "", time.Millisecond)
	m.DeadLetter(ctx, "m", "model_error")
	m.Stranded(ctx, "JOBS", "w-normal-m", 3)
	m.UnknownVersion(ctx)
	m.ModelLoaded(ctx, "m", time.Second)
	m.WarmedUp(ctx, "m", time.Second)
	m.JobDone(ctx, JobStats{Model: "m", Outcome: OutcomeCompleted, Stream: "JOBS", Consumer: "w-normal-m", Duration: 4 * time.Second})
	m.JobDone(ctx, JobStats{Outcome: OutcomeInvalid, ErrorType: "invalid_job", Stream: "JOBS", Consumer: "w-normal-m", Duration: time.Millisecond})
}

func TestNilMetrics(t *testing.T) { exercise(t.Context(), nil) }

func scrape(t *testing.T, tel *Telemetry, accept string) string {
	t.Helper()
	req := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	req.Header.Set("Accept", accept)
	rec := httptest.NewRecorder()
	tel.MetricsHandler().ServeHTTP(rec, req)
	body, err := io.ReadAll(rec.Body)
	if err != nil || rec.Code != http.StatusOK {
		t.Fatalf("status %d, %v", rec.Code, err)
	}
	return string(body)
}

func TestPrometheus(t *testing.T) {
	tel, _ := setup(t, nil, nil)
	ctx, span := tel.Tracer().Start(t.Context(), SpanTextToImage)
	exercise(ctx, tel.Metrics)
	tel.losses.add(signalTraces, reasonQueueFull, 7, nil)
	span.End()
	page := scrape(t, tel, "text/plain")
	for _, want := range []string{
		`worker_jobs_total{job_outcome="completed",model_name="m"} 1`,
		`worker_jobs_total{error_type="invalid_job",job_outcome="invalid"} 1`,
		`messaging_client_consumed_messages_total{messaging_consumer_group_name="w-normal-m",messaging_destination_name="JOBS",messaging_operation_name="receive",messaging_system="nats"} 2`,
		`worker_redeliveries_total{messaging_consumer_group_name="w-normal-m",messaging_destination_name="JOBS",messaging_operation_name="receive",messaging_system="nats"} 1`,
		`worker_jobs_in_flight 1`,
		`worker_slots 4`,
		`worker_job_queue_time_seconds_bucket{model_name="m",le="0.1"} 1`,
		`worker_inference_stage_duration_seconds_sum{model_name="m",stage="denoise"} 2`,
		`worker_inference_step_duration_seconds_bucket{model_name="m",le="0.05"} 1`,
		`worker_inference_batch_size_bucket{model_name="m",le="4"} 1`,
		`worker_images_total{model_name="m"} 1`,
		`worker_upload_size_bytes_bucket{model_name="m",le="524288"} 1`,
		`worker_upload_retries_total{model_name="m"} 3`,
		`worker_upload_duration_seconds_count{error_type="storage",model_name="m"} 1`,
		`worker_dead_letters_total{error_type="model_error",model_name="m"} 1`,
		`worker_queue_stranded{messaging_consumer_group_name="w-normal-m",messaging_destination_name="JOBS",messaging_system="nats"} 3`,
		`messaging_client_sent_messages_total{messaging_destination_name="JOBS",messaging_operation_name="publish",messaging_system="nats"} 2`,
		`worker_unknown_versions_total 1`,
		`worker_model_load_duration_seconds{model_name="m"} 1`,
		`worker_warmup_duration_seconds{model_name="m"} 1`,
		`messaging_process_duration_seconds_bucket{messaging_consumer_group_name="w-normal-m",messaging_destination_name="JOBS",messaging_operation_name="process",messaging_system="nats",le="327.68"} 1`,
		`messaging_client_operation_duration_seconds_count{messaging_operation_name="ack",messaging_system="nats"} 1`,
		`gen_ai_server_request_duration_seconds_count{gen_ai_operation_name="generate_content",gen_ai_provider_name="onnxruntime",gen_ai_request_model="m"} 1`,
		`worker_telemetry_dropped_total{reason="queue_full",signal="traces"} 7`,
		`worker_telemetry_export_failures_total{reason="queue_full",signal="traces"} 1`,
		"go_goroutine_count ",
		`service_name="text-to-image"`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	if strings.Contains(page, "otel_scope_name") {
		t.Error("/metrics repeats the scope on every series")
	}
	if t.Failed() {
		t.Log(page)
	}
	if page := scrape(t, tel, "application/openmetrics-text"); !strings.Contains(page, `trace_id="`+TraceID(ctx)+`"`) {
		t.Errorf("no exemplar of %s in\n%s", TraceID(ctx), page)
	}
}

func TestTemporality(t *testing.T) {
	const preference = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
	tests := []struct {
		preference                              string
		counter, upDown, histogram, observables string
	}{
		{"", "CUMULATIVE", "CUMULATIVE", "CUMULATIVE", "CUMULATIVE"},
		{"delta", "DELTA", "CUMULATIVE", "DELTA", "DELTA"},
		{"lowmemory", "DELTA", "CUMULATIVE", "DELTA", "CUMULATIVE"},
	}
	for _, tt := range tests {
		t.Run(tt.preference, func(t *testing.T) {
			s := sink(t)
			tel, _ := setup(t, map[string]string{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": s.Endpoint() + "/v1/metrics", preference: tt.preference}, nil)
			exercise(t.Context(), tel.Metrics)
			if err := tel.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for _, m := range s.Metrics() {
				got[m.Name] = m.Temporality
			}
			want := map[string]string{
				"worker.jobs": tt.counter, "worker.jobs.in_flight": tt.upDown,
				"worker.job.queue_time": tt.histogram, "go.memory.allocated": tt.observables,
			}
			for name, temporality := range want {
				if got[name] != temporality {
					t.Errorf("%s is %q, want %q", name, got[name], temporality)
				}
			}
		})
	}
}

func TestExportedMetrics(t *testing.T) {
	s := sink(t)
	tel, _ := setup(t, map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": s.Endpoint(), "OTEL_METRIC_EXPORT_INTERVAL": "100",
		"OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": "base2_exponential_bucket_histogram",
	}, func(o *Options) { o.InstanceID = "i-1" })
	exercise(t.Context(), tel.Metrics)
	named := func(name string) (otlpd.Metric, bool) {
		all := s.Metrics()
		i := slices.IndexFunc(all, func(m otlpd.Metric) bool { return m.Name == name })
		if i < 0 {
			return otlpd.Metric{}, false
		}
		return all[i], true
	}
	eventually(t, "a periodic export", func() bool { _, ok := named("worker.jobs"); return ok })
	jobs, _ := named("worker.jobs")
	if jobs.Unit != "{job}" || jobs.Kind != "sum" || jobs.Resource["service.instance.id"] != "i-1" || len(jobs.Points) != 2 {
		t.Errorf("worker.jobs: %+v", jobs)
	}
	queue, _ := named("worker.job.queue_time")
	if diff := cmp.Diff("exponential_histogram s", queue.Kind+" "+queue.Unit); diff != "" {
		t.Errorf("worker.job.queue_time (-want +got):\n%s", diff)
	}
}

func TestDisabled(t *testing.T) {
	s := sink(t)
	tel, _ := setup(t, map[string]string{"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": s.Endpoint()}, nil)
	exercise(t.Context(), tel.Metrics)
	header := map[string][]string{"traceparent": {parent}}
	ctx, span := tel.Propagator.StartConsumer(tel.Propagator.Extract(t.Context(), header, nil), tel.Tracer(), SpanTextToImage)
	span.End()
	if span.IsRecording() || TraceID(ctx) != traceHex {
		t.Errorf("recording %t, trace %s", span.IsRecording(), TraceID(ctx))
	}
	if err := tel.Shutdown(t.Context()); err != nil || len(s.Requests()) != 0 {
		t.Errorf("%v, %d requests", err, len(s.Requests()))
	}
	rec := httptest.NewRecorder()
	tel.MetricsHandler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if rec.Code != http.StatusNotFound {
		t.Errorf("/metrics answers %d", rec.Code)
	}
}

// Tracing off, as on fal: metrics go on.
func TestNoTracing(t *testing.T) {
	tel, _ := setup(t, map[string]string{"ENABLE_TRACING": "false"}, nil)
	_, span := tel.Tracer().Start(t.Context(), "s")
	span.End()
	exercise(t.Context(), tel.Metrics)
	if span.IsRecording() || !strings.Contains(scrape(t, tel, ""), "worker_jobs_total") {
		t.Errorf("recording %t", span.IsRecording())
	}
}
