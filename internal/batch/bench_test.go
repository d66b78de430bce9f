package batch

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/stipple-ai/stipple/internal/local/natsd"
	"github.com/stipple-ai/stipple/internal/queue"
)

// BenchmarkSubmitShare submits batches of 10 000 jobs in turns with a bare loop that publishes as many messages of the
// same subject shape, ids and sizes by the same atomic batches, as `nats bench js pub batch` does, and reports our rate as
// a share of its own. What Submit does besides: it makes and checks the jobs, hashes them, and writes a record a chunk.
func BenchmarkSubmitShare(b *testing.B) {
	const jobs = 10_000
	s, err := natsd.Start(natsd.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Stop(); err != nil {
			b.Error(err)
		}
	})
	c, err := queue.Connect(b.Context(), queue.Config{URL: s.URL()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := c.Close(ctx); err != nil {
			b.Error(err)
		}
	})
	if _, err := c.Setup(b.Context(), queue.Layout{MaxJobs: 1 << 40}); err != nil {
		b.Fatal(err)
	}
	nc, err := nats.Connect(s.URL())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		b.Fatal(err)
	}
	axis, err := ParseAxis("seed", fmt.Sprintf("1..%d", jobs))
	if err != nil {
		b.Fatal(err)
	}
	seeds, err := Zip(axis)
	if err != nil {
		b.Fatal(err)
	}
	var ours, bare time.Duration
	run := 0
	for b.Loop() {
		run++
		start := time.Now()
		if _, err := Submit(b.Context(), c, Submission{
			Batch: fmt.Sprint("ours-", run), Total: jobs,
			Plan: Plan{Rows: Args("a red apple"), Groups: []Group{seeds}, Defaults: queue.Job{Model: "m"}},
		}); err != nil {
			b.Fatal(err)
		}
		ours += time.Since(start)
		start = time.Now()
		publishBare(b, js, fmt.Sprint("bare-", run), jobs)
		bare += time.Since(start)
	}
	b.ReportMetric(float64(run*jobs)/ours.Seconds(), "ours/s")
	b.ReportMetric(float64(run*jobs)/bare.Seconds(), "bare/s")
	b.ReportMetric(bare.Seconds()/ours.Seconds(), "share")
}

// publishBare is the least that n messages in atomic batches take.
func publishBare(b *testing.B, js jetstream.JetStream, batch string, n int) {
	b.Helper()
	prompt, seed := "a red apple", queue.Seed(n)
	body, err := queue.Job{BatchID: batch, Index: int64(n), Model: "m", Prompt: &prompt, Seed: &seed}.Encode()
	if err != nil {
		b.Fatal(err)
	}
	for from := 0; from < n; from += queue.ChunkSize {
		msgs := make([]*nats.Msg, min(queue.ChunkSize, n-from))
		for i := range msgs {
			msgs[i] = &nats.Msg{Subject: "jobs.normal.m." + batch, Data: body, Header: nats.Header{jetstream.MsgIDHeader: {batch + "/" + strconv.Itoa(from+i)}}}
		}
		if _, err := jetstreamext.PublishMsgBatch(b.Context(), js, msgs); err != nil {
			b.Fatal(err)
		}
	}
}
