package otel

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stipple-ai/stipple/internal/local/otlpd"
)

// A collector that takes small requests only gets everything, in halves.
func TestTooLargeGoesInHalves(t *testing.T) {
	s, err := otlpd.Start(otlpd.Options{MaxBytes: 4000})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	tel, _ := setup(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": s.Endpoint()}, nil)
	exercise(t.Context(), tel.Metrics)
	spans(t, tel, 100)
	records(t, tel, 100)
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if len(s.Spans()) != 100 || len(s.Logs()) != 100 {
		t.Errorf("%d spans and %d log records arrived", len(s.Spans()), len(s.Logs()))
	}
	count := map[string]int{}
	for _, m := range s.Metrics() {
		count[m.Name]++
	}
	for _, want := range []string{"worker.jobs", "worker.upload.duration", "go.goroutine.count"} {
		if count[want] != 1 {
			t.Errorf("%s arrived %d times", want, count[want])
		}
	}
	refused := map[string]bool{}
	for _, r := range s.Requests() {
		refused[r.Path] = refused[r.Path] || r.Bytes == 0 // a body that is not read to its end is not kept
	}
	if diff := cmp.Diff(map[string]bool{"/v1/traces": true, "/v1/metrics": true, "/v1/logs": true}, refused); diff != "" {
		t.Errorf("requests that were too large (-want +got):\n%s", diff)
	}
}

// What fails is counted for each signal, in spans, data points and log records.
func TestLossesOfEachSignal(t *testing.T) {
	for name, tt := range map[string]struct {
		mode   otlpd.Mode
		reason string
	}{
		"unauthorized": {otlpd.Respond(401, 0), reasonAuth}, "page": {otlpd.HTML, reasonHTML},
		"garbage": {otlpd.Garbage, reasonBadAnswer}, "too large": {otlpd.Respond(413, 0), reasonTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			s := sink(t)
			s.SetMode(tt.mode)
			tel, _ := setup(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": s.Endpoint()}, nil)
			exercise(t.Context(), tel.Metrics)
			spans(t, tel, 3)
			records(t, tel, 5)
			err := tel.Shutdown(t.Context())
			got := lossesOf(tel)
			points := got["metrics "+tt.reason]
			if points < 30 {
				t.Errorf("%d data points counted", points)
			}
			want := map[string]int64{"traces " + tt.reason: 3, "metrics " + tt.reason: points, "logs " + tt.reason: 5}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("losses (-want +got):\n%s", diff)
			}
			if err == nil || !strings.Contains(err.Error(), "3 spans") || !strings.Contains(err.Error(), "5 log records") {
				t.Errorf("Shutdown: %v", err)
			}
		})
	}
}

func TestPartialSuccessOfEachSignal(t *testing.T) {
	s := sink(t)
	s.SetMode(otlpd.Partial(1, "one is bad"))
	tel, _ := setup(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": s.Endpoint()}, nil)
	exercise(t.Context(), tel.Metrics)
	spans(t, tel, 3)
	records(t, tel, 5)
	if err := tel.Shutdown(t.Context()); err == nil || !strings.Contains(err.Error(), "one is bad") {
		t.Errorf("Shutdown: %v", err)
	}
	want := map[string]int64{"traces partial_success": 1, "metrics partial_success": 1, "logs partial_success": 1}
	if diff := cmp.Diff(want, lossesOf(tel)); diff != "" {
		t.Errorf("losses (-want +got):\n%s", diff)
	}
}

// Telemetry's own metrics, under the conventions' names.
func TestSelfMetrics(t *testing.T) {
	var fail atomic.Bool
	tel, _ := setup(t, map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_BSP_MAX_QUEUE_SIZE": "10", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "10",
		"OTEL_BLRP_SCHEDULE_DELAY": "100",
	}, func(o *Options) {
		o.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			if fail.Load() && strings.HasSuffix(r.URL.Path, "traces") {
				return &http.Response{StatusCode: http.StatusUnauthorized, Status: "401 no", Header: http.Header{}, Body: http.NoBody}, nil
			}
			return ok(), nil
		})
	})
	const exporter = `otel_component_name="otlp_http_span_exporter/0",otel_component_type="otlp_http_span_exporter",server_address="collector",server_port="4318"`
	const queue = `otel_component_name="batching_span_processor/0",otel_component_type="batching_span_processor"`
	spans(t, tel, 10)
	eventually(t, "an export", func() bool {
		return strings.Contains(scrape(t, tel, ""), "otel_sdk_exporter_span_exported_total{"+exporter+"} 10")
	})
	records(t, tel, 5)
	eventually(t, "an export of logs", func() bool {
		return strings.Contains(scrape(t, tel, ""), `server_port="4318"} 5`)
	})
	_, open := tel.Tracer().Start(t.Context(), "open")
	page := scrape(t, tel, "")
	for _, want := range []string{
		"otel_sdk_processor_span_queue_capacity{" + queue + "} 10",
		"otel_sdk_processor_span_queue_size{" + queue + "} 0",
		"otel_sdk_processor_span_processed_total{" + queue + "} 10",
		"otel_sdk_exporter_span_inflight{" + exporter + "} 0",
		`otel_sdk_span_started_total{otel_span_sampling_result="RECORD_AND_SAMPLE"} 11`,
		`otel_sdk_span_live{otel_span_sampling_result="RECORD_AND_SAMPLE"} 1`,
		"otel_sdk_exporter_operation_duration_seconds_count{" + exporter + "} 1",
		`otel_sdk_processor_log_processed_total{otel_component_name="batching_log_processor/0",otel_component_type="batching_log_processor"} 5`,
		`otel_sdk_exporter_log_exported_total{otel_component_name="otlp_http_log_exporter/0"`,
		`otel_sdk_exporter_metric_data_point_exported_total{otel_component_name="otlp_http_metric_exporter/0"`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	if t.Failed() {
		t.Log(page)
	}
	open.End()
	fail.Store(true)
	if err := tel.Shutdown(context.Background()); err == nil {
		t.Error("the last span is not told to be lost")
	}
	// The Prometheus reader has ended with its provider; the counters behind it say the rest.
	if got := slices.Collect(maps.Values(lossesOf(tel))); !slices.Equal(got, []int64{1}) {
		t.Errorf("losses %v", lossesOf(tel))
	}
}
