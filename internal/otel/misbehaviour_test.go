package otel

import (
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/stipple-ai/stipple/internal/local/otlpd"
)

// jobsEach is how many jobs each kind of bad collector is tried with.
func jobsEach() int {
	if os.Getenv("STIPPLE_SOAK") != "" {
		return 200
	}
	return 20
}

// spansOfAJob are those that job makes.
const spansOfAJob = 8

// TestMisbehavingCollectors: whatever a collector does over a whole run, every span arrives or is counted as lost, none
// of them stays in memory, and the process leaves in time.
func TestMisbehavingCollectors(t *testing.T) {
	const budget = 500 * time.Millisecond
	for _, tt := range []struct {
		name  string
		mode  otlpd.Mode // nil: nobody listens
		keeps bool       // the sink keeps what it is sent, and so does the heap
		again bool       // what was cut off while leaving may have arrived, and is sent again
	}{
		{name: "healthy", mode: otlpd.Accept, keeps: true},
		{name: "down"},
		{name: "hanging", mode: otlpd.Hang},
		{name: "slow", mode: otlpd.Slow(100 * time.Millisecond), keeps: true, again: true},
		{name: "unauthorized", mode: otlpd.Respond(http.StatusUnauthorized, 0)},
		{name: "too large", mode: otlpd.Respond(http.StatusRequestEntityTooLarge, 0)},
		{name: "throttled", mode: otlpd.Respond(http.StatusTooManyRequests, time.Second)},
		{name: "throttled for long", mode: otlpd.Respond(http.StatusTooManyRequests, time.Hour)},
		{name: "unavailable", mode: otlpd.Respond(http.StatusServiceUnavailable, 0)},
		{name: "page", mode: otlpd.HTML},
		{name: "redirect", mode: otlpd.Redirect("http://elsewhere.invalid/")},
		{name: "garbage", mode: otlpd.Garbage},
		{name: "cut off", mode: otlpd.Close},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := otlpd.Start(otlpd.Options{MaxRequests: 1})
			if err != nil {
				t.Fatal(err)
			}
			stop := func() {
				if err := s.Stop(); err != nil {
					t.Error(err)
				}
			}
			if s.SetMode(tt.mode); tt.mode == nil {
				stop()
			} else {
				defer stop()
			}
			tel, _ := setup(t, map[string]string{
				"OTEL_EXPORTER_OTLP_ENDPOINT": s.Endpoint(), "OTEL_BSP_MAX_QUEUE_SIZE": "64", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "16",
				"OTEL_BLRP_MAX_QUEUE_SIZE": "64", "OTEL_METRIC_EXPORT_INTERVAL": "100",
			}, nil)
			n := jobsEach()
			for range n {
				job(t.Context(), tel, nil)
				records(t, tel, 2)
			}
			before := heap()
			const flood = 20_000 // of 1 kB each; buffers of requests and compressors come and go
			for range flood {
				_, span := tel.Tracer().Start(t.Context(), "flood", trace.WithAttributes(attribute.String("text", strings.Repeat("x", 1000))))
				span.End()
			}
			if grown := heap() - before; !tt.keeps && grown > 8<<20 {
				t.Errorf("%d spans of 1 kB took %d bytes of memory", flood, grown)
			}
			took, _ := timedShutdown(t, tel, budget)
			if took > budget+time.Second {
				t.Errorf("took %v to leave", took)
			}
			unique := map[string]bool{}
			for _, span := range s.Spans() {
				unique[span.SpanID] = true
			}
			arrived, lost := int64(len(unique)), lostOf(tel, signalTraces)
			if made := int64(n*spansOfAJob + flood); arrived+lost != made && (!tt.again || arrived+lost < made) {
				t.Errorf("%d spans were made, %d arrived, %d are counted as lost: %v", made, arrived, lost, lossesOf(tel))
			}
			if lines := int64(n * 2); int64(len(s.Logs()))+lostOf(tel, signalLogs) < lines {
				t.Errorf("%d log records were made, %d arrived, %d are counted as lost", lines, len(s.Logs()), lostOf(tel, signalLogs))
			}
		})
	}
}

// lostOf are the items of a signal that are counted as lost.
func lostOf(tel *Telemetry, signal string) (n int64) {
	for _, c := range tel.losses.counts() {
		if c.signal == signal {
			n += c.items
		}
	}
	return n
}

// heap is the memory in use.
func heap() int64 {
	runtime.GC()
	runtime.GC() // what the first made free of pools
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
