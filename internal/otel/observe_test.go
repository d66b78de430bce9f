package otel

import (
	"strings"
	"testing"
)

func TestObserve(t *testing.T) {
	tel, _ := setup(t, nil, nil)
	backlog := []Backlog{{Stream: "JOBS", Consumer: "w-normal-m", Pending: 7, Held: 2, Redelivered: 1}}
	if err := tel.ObserveBacklog(func() []Backlog { return backlog }); err != nil {
		t.Fatal(err)
	}
	if err := tel.ObserveGPUs(func() []GPU {
		return []GPU{
			{ID: "GPU-1", Model: "NVIDIA H200", Vendor: "NVIDIA", Driver: "570", Utilization: new(.5), MemoryUsed: new(1e9), MemoryTotal: new(4e9), Temperature: new(41.5), Power: new(120.25), Errors: new(0.)},
			{ID: "GPU-2"},
		}
	}); err != nil {
		t.Fatal(err)
	}
	ready := true
	if err := tel.ObserveReady(func() bool { return ready }); err != nil {
		t.Fatal(err)
	}
	const queue = `{messaging_consumer_group_name="w-normal-m",messaging_destination_name="JOBS",messaging_system="nats"} `
	const gpu = `{hw_driver_version="570",hw_id="GPU-1",hw_model="NVIDIA H200",hw_type="gpu",hw_vendor="NVIDIA"} `
	page := scrape(t, tel, "")
	for _, want := range []string{
		"worker_ready 1\n",
		"worker_queue_pending" + queue + "7", "worker_queue_ack_pending" + queue + "2", "worker_queue_redelivered" + queue + "1",
		"hw_gpu_utilization_ratio" + gpu + "0.5", "hw_gpu_memory_usage_bytes" + gpu + "1e+09", "hw_gpu_memory_limit_bytes" + gpu + "4e+09",
		"hw_gpu_memory_utilization_ratio" + gpu + "0.25", "hw_temperature_celsius" + gpu + "41.5", "hw_power_watts" + gpu + "120.25", "hw_errors_total" + gpu + "0",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	if strings.Contains(page, "GPU-2") {
		t.Error("a device that tells nothing has a value")
	}
	if t.Failed() {
		t.Log(page)
	}
	backlog, ready = nil, false
	page = scrape(t, tel, "")
	if strings.Contains(page, "worker_queue_pending{") {
		t.Error("a consumer that is gone is still told of")
	}
	if !strings.Contains(page, "worker_ready 0\n") {
		t.Error("a worker that is not ready is told to be")
	}
}

// Without an SDK nothing is observed, and nothing fails.
func TestObserveDisabled(t *testing.T) {
	tel, _ := setup(t, map[string]string{"OTEL_SDK_DISABLED": "true"}, nil)
	if err := tel.ObserveBacklog(func() []Backlog { t.Error("read"); return nil }); err != nil {
		t.Error(err)
	}
	if err := tel.ObserveGPUs(func() []GPU { t.Error("read"); return nil }); err != nil {
		t.Error(err)
	}
	if err := tel.ObserveReady(func() bool { t.Error("read"); return true }); err != nil {
		t.Error(err)
	}
}
