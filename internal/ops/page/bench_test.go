package page

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stipple-ai/stipple/internal/local/natsd"
	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/upload"
	"github.com/stipple-ai/stipple/internal/web"
)

// stored is how many results the benchmarks find.
const stored = 100_000

// fill starts a broker with a batch of so many pictures, each with the record that a worker writes.
func fill(b *testing.B) *natsd.Server {
	b.Helper()
	broker, err := natsd.Start(natsd.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := broker.Stop(); err != nil {
			b.Error(err)
		}
	})
	c, err := queue.Connect(b.Context(), queue.Config{URL: broker.URL()})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close(context.WithoutCancel(b.Context()))
	if _, err := c.Setup(b.Context(), queue.Layout{Models: []string{"m"}}); err != nil {
		b.Fatal(err)
	}
	if _, err := c.CreateBatch(b.Context(), queue.Batch{ID: "big", Total: stored, Cursor: stored, State: queue.BatchCommitted, Created: time.Now()}); err != nil {
		b.Fatal(err)
	}
	nc, err := nats.Connect(broker.URL())
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(4096))
	if err != nil {
		b.Fatal(err)
	}
	seed := queue.Seed(7)
	ms := queue.Millis(time.Millisecond)
	for i := range int64(stored) {
		r := queue.Result{BatchID: "big", Index: i, Status: queue.Succeeded, Seed: &seed, Model: "m", Worker: "rembrandt", Attempt: 1, TraceID: "0af7651916cd43dd8448eb211c80319c",
			Image:   &queue.Image{Bucket: bucket, Key: fmt.Sprintf("big/%08d-0123456789abcdef.png", i), ContentType: "image/png", Width: 512, Height: 512, Size: 1 << 20},
			Timings: &queue.Timings{Wait: ms, Denoise: 900 * ms, Decode: 90 * ms, Total: 1000 * ms}}
		data, err := r.Encode()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := js.PublishAsync(c.Names().ResultSubject("big", i), data); err != nil {
			b.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
	return broker
}

// BenchmarkFirstSnapshot is the time from the start of a page to the first snapshot with a batch of 100 000 results, and
// to the one in which all of them are counted, and the memory that the page has then.
func BenchmarkFirstSnapshot(b *testing.B) {
	broker := fill(b)
	var first, counted time.Duration
	var kept uint64
	for b.Loop() {
		before := memory()
		begun := time.Now()
		s, stop := run(b, broker)
		for seen := false; ; {
			changed := s.Changed()
			if st := s.State(); len(st.Batches) == 1 {
				if !seen {
					first, seen = first+time.Since(begun), true
				}
				if st.Batches[0].Done {
					break
				}
			}
			<-changed
		}
		counted += time.Since(begun)
		kept += memory() - min(before, memory())
		stop()
	}
	b.ReportMetric(first.Seconds()*1000/float64(b.N), "first-ms")
	b.ReportMetric(counted.Seconds()*1000/float64(b.N), "counted-ms")
	b.ReportMetric(float64(kept)/float64(b.N)/(1<<20), "kept-MiB")
}

// BenchmarkImages is a page of 200 images out of 100 000, as a browser asks for it.
func BenchmarkImages(b *testing.B) {
	s, stop := run(b, fill(b))
	defer stop()
	for len(s.State().Batches) != 1 || !s.State().Batches[0].Done {
		<-s.Changed()
	}
	server, err := web.New(web.Config{News: s, Records: s, Letters: s, Pictures: s})
	if err != nil {
		b.Fatal(err)
	}
	for name, target := range map[string]string{
		"begin":  "/api/batches/big/images?from=0&limit=200",
		"middle": "/api/batches/big/images?from=50000&limit=200",
		"newest": "/api/images?limit=200",
		"older":  "/api/images?limit=200&after=50000",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w := httptest.NewRecorder()
				server.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://localhost"+target, http.NoBody))
				if w.Code != http.StatusOK || w.Body.Len() < 200*200 {
					b.Fatalf("status %d:\n%s", w.Code, w.Body)
				}
			}
		})
	}
}

// run runs a page of a broker, without a store, until stop.
func run(b *testing.B, broker *natsd.Server) (s *System, stop func()) {
	b.Helper()
	nowhere := upload.Config{Endpoint: "http://127.0.0.1:1", Region: "us-east-1", AccessKeyID: "nobody", SecretAccessKey: "none"}
	s = New(Config{Queue: queue.Config{URL: broker.URL()}, Store: nowhere})
	s.pace.assemble = 20 * time.Millisecond
	ctx, cancel := context.WithCancel(b.Context())
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx) }() // ended by stop
	return s, func() {
		cancel()
		if err := <-ran; err != nil {
			b.Error(err)
		}
	}
}

// memory is what is in use after everything that is not was collected, in bytes.
func memory() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}
