package worker

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stipple-ai/stipple/internal/otel"
)

// TestTheQueueIsMeasured: what waits in each consumer is on /metrics.
func TestTheQueueIsMeasured(t *testing.T) {
	w := startWorker(t, func(c *Config) { c.HTTPAddr = "127.0.0.1:0" })
	w.awaitReady()
	for _, consumer := range []string{"w-high-sd15", "w-normal-sd15", "w-low-sd15"} {
		series := `worker_queue_pending{messaging_consumer_group_name="` + consumer + `"`
		for limit := time.Now().Add(20 * time.Second); w.metric(series) == ""; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(limit) {
				t.Fatalf("no metric of the backlog of %s", consumer)
			}
		}
	}
}

// TestDevicesAreMeasured, as far as the driver's own program tells of them.
func TestDevicesAreMeasured(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "nvidia-smi"), []byte("#!/bin/sh\necho 'GPU-1, NVIDIA H200, 570, 37, 1, 2, 41, [N/A], 0'\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	w, g := &Worker{}, &gauges{}
	if err := w.lookAtDevices(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	want := []otel.GPU{{ID: "GPU-1", Model: "NVIDIA H200", Vendor: "NVIDIA", Driver: "570", Utilization: new(.37), MemoryUsed: new(1048576.), MemoryTotal: new(2097152.), Temperature: new(41.), Errors: new(0.)}}
	if diff := cmp.Diff(want, g.devices); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	t.Setenv("PATH", t.TempDir())
	if err := w.lookAtDevices(t.Context(), g); err == nil || g.devices != nil {
		t.Errorf("without the program: %v, %v", err, g.devices)
	}
}

// TestExchangesAreMeasured: what is said to the broker is counted and timed.
func TestExchangesAreMeasured(t *testing.T) {
	w := startWorker(t, func(c *Config) { c.HTTPAddr = "127.0.0.1:0" })
	bad := quick("b", 1)
	bad.Scheduler = new("warp")
	w.publish(quick("b", 0), bad)
	w.result("b", 0)
	w.result("b", 1)
	for series, want := range map[string]string{
		`messaging_client_operation_duration_seconds_count{messaging_operation_name="ack"`:                                                              "1",
		`messaging_client_operation_duration_seconds_count{messaging_operation_name="term"`:                                                             "1",
		`messaging_client_operation_duration_seconds_count{messaging_operation_name="publish"`:                                                          "3",
		`messaging_client_sent_messages_total{messaging_destination_name="` + w.client.Names().ResultsStream() + `",messaging_operation_name="publish"`: "2.0",
		`messaging_client_sent_messages_total{messaging_destination_name="` + w.client.Names().DeadStream() + `",messaging_operation_name="publish"`:    "1.0",
	} {
		var got string
		for limit := time.Now().Add(20 * time.Second); got != want && time.Now().Before(limit); time.Sleep(10 * time.Millisecond) {
			got = w.metric(series)
		}
		if got != want {
			t.Errorf("%s is %q, want %s", series, got, want)
		}
	}
	if w.metric(`messaging_client_operation_duration_seconds_count{messaging_operation_name="receive"`) == "" {
		t.Error("fetching is not timed")
	}
}
