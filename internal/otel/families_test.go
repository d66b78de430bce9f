package otel

import (
	"flag"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the names of metrics anew")

// families are the metrics on /metrics, "name type label,label", once everything has been measured.
func families(t *testing.T) []string {
	t.Helper()
	s := sink(t)
	tel, _ := setup(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": s.Endpoint(), "OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_BLRP_SCHEDULE_DELAY": "100", "OTEL_METRIC_EXPORT_INTERVAL": "100"}, nil)
	exercise(t.Context(), tel.Metrics)
	tel.Metrics.Operation(t.Context(), OperationReceive, "", time.Millisecond)
	if err := tel.ObserveBacklog(func() []Backlog { return []Backlog{{Stream: "JOBS", Consumer: "c"}} }); err != nil {
		t.Fatal(err)
	}
	if err := tel.ObserveGPUs(func() []GPU {
		return []GPU{{ID: "g", Model: "m", Vendor: "v", Driver: "d", Utilization: new(.5), MemoryUsed: new(1.), MemoryTotal: new(2.), Temperature: new(1.), Power: new(1.), Errors: new(0.)}}
	}); err != nil {
		t.Fatal(err)
	}
	if err := tel.ObserveReady(func() bool { return true }); err != nil {
		t.Fatal(err)
	}
	for _, signal := range []string{signalTraces, signalMetrics, signalLogs} {
		tel.losses.add(signal, reasonQueueFull, 1, nil)
		tel.losses.add(signal, reasonAuth, 1, nil)
	}
	spans(t, tel, 1)
	records(t, tel, 1)
	eventually(t, "exports of all signals", func() bool {
		page := scrape(t, tel, "")
		return strings.Contains(page, "otlp_http_span_exporter/0") && strings.Contains(page, `otel_sdk_exporter_operation_duration_seconds_count{otel_component_name="otlp_http_log_exporter/0"`)
	})
	labels := map[string]map[string]bool{}
	types := map[string]string{}
	for line := range strings.Lines(scrape(t, tel, "")) {
		if head, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, kind, _ := strings.Cut(strings.TrimSpace(head), " ")
			types[name], labels[name] = kind, map[string]bool{}
			continue
		}
		m := series.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		name := m[1]
		if _, known := types[name]; !known { // of a histogram
			name = histogram.ReplaceAllString(name, "")
		}
		for _, l := range label.FindAllStringSubmatch(m[2], -1) {
			labels[name][l[1]] = true
		}
	}
	var out []string
	for name, kind := range types {
		if strings.HasPrefix(name, "go_memory_limit") || name == "target_info" {
			continue // the first is there where a limit is set, the labels of the second are the resource's
		}
		out = append(out, strings.TrimSpace(name+" "+kind+" "+strings.Join(slices.Sorted(maps.Keys(labels[name])), ",")))
	}
	slices.Sort(out)
	return out
}

var (
	series    = regexp.MustCompile(`^([a-z_]+)(?:\{(.*)\})? `)
	label     = regexp.MustCompile(`([a-z_]+)="(?:[^"\\]|\\.)*"`)
	histogram = regexp.MustCompile(`_(bucket|sum|count)$`)
)

// TestFamilies holds the names on /metrics, which dashboards and alerts are made of: deploy/grafana is checked against
// this list, and docs/telemetry.md has a line for each that is this program's own.
func TestFamilies(t *testing.T) {
	const list = "../../deploy/grafana/metrics.txt"
	got := families(t)
	if *update {
		if err := os.WriteFile(list, []byte(strings.Join(got, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSpace(string(data)), "\n")
	if diff := diffLines(want, got); diff != "" {
		t.Errorf("metrics.txt and /metrics differ; go test ./internal/otel -run Families -update writes it anew:\n%s", diff)
	}
	page, err := os.ReadFile("../../docs/telemetry.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range got {
		if name, _, _ := strings.Cut(line, " "); !strings.HasPrefix(name, "go_") && !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("docs/telemetry.md does not name %s", name)
		}
	}
}

// diffLines are the lines that are in one list alone.
func diffLines(want, got []string) string {
	var b strings.Builder
	for _, line := range want {
		if !slices.Contains(got, line) {
			b.WriteString("- " + line + "\n")
		}
	}
	for _, line := range got {
		if !slices.Contains(want, line) {
			b.WriteString("+ " + line + "\n")
		}
	}
	return b.String()
}
