package queue

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/stipple-ai/stipple/internal/local/natsd"
)

// benchQueue is a broker and a client with a queue for model m.
func benchQueue(b *testing.B) *Client {
	b.Helper()
	s, err := natsd.Start(natsd.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Stop(); err != nil {
			b.Error(err)
		}
	})
	c, err := Connect(b.Context(), Config{URL: s.URL()})
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
	if _, err := c.Setup(b.Context(), Layout{Models: []string{"m"}}); err != nil {
		b.Fatal(err)
	}
	return c
}

func BenchmarkPublish(b *testing.B) {
	c := benchQueue(b)
	var i int64
	for b.Loop() {
		if _, err := c.Publish(b.Context(), Message{Priority: Normal, Job: plainJob(i)}); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

// BenchmarkPublishChunk reports the time for a chunk of 1 000 jobs.
func BenchmarkPublishChunk(b *testing.B) {
	c := benchQueue(b)
	var from int64
	for b.Loop() {
		if _, err := c.PublishChunk(b.Context(), chunk(from, ChunkSize), 0); err != nil {
			b.Fatal(err)
		}
		from += ChunkSize
	}
	b.ReportMetric(float64(from)/b.Elapsed().Seconds(), "jobs/s")
}

// BenchmarkPublishShare publishes chunks in turns with a bare loop that publishes messages of the same subjects, ids and
// sizes by the same atomic batches, as `nats bench js pub batch` does, and reports our rate as a share of its own.
func BenchmarkPublishShare(b *testing.B) {
	c := benchQueue(b)
	var ours, bare time.Duration
	var from int64
	for b.Loop() {
		start := time.Now()
		if _, err := c.PublishChunk(b.Context(), chunk(from, ChunkSize), 0); err != nil {
			b.Fatal(err)
		}
		ours += time.Since(start)
		start = time.Now()
		publishBare(b, c, from, ChunkSize)
		bare += time.Since(start)
		from += ChunkSize
	}
	b.ReportMetric(float64(from)/ours.Seconds(), "ours/s")
	b.ReportMetric(float64(from)/bare.Seconds(), "bare/s")
	b.ReportMetric(bare.Seconds()/ours.Seconds(), "share")
}

// publishBare is the least that an atomic batch of n messages takes.
func publishBare(b *testing.B, c *Client, from int64, n int) {
	b.Helper()
	body, err := plainJob(1_000_000).Encode() // as large as they become
	if err != nil {
		b.Fatal(err)
	}
	msgs := make([]*nats.Msg, n)
	for i := range msgs {
		msgs[i] = &nats.Msg{Subject: "jobs.normal.m.bare", Data: body, Header: nats.Header{jetstream.MsgIDHeader: {"bare/" + strconv.FormatInt(from+int64(i), 10)}}}
	}
	if _, err := jetstreamext.PublishMsgBatch(b.Context(), c.js, msgs); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkJob is what the queue adds to a job in a worker: fetch, look-up, count, record, acknowledge.
func BenchmarkJob(b *testing.B) {
	c := benchQueue(b)
	source, err := c.NewSource(SourceConfig{Layout: Layout{Models: []string{"m"}}})
	if err != nil {
		b.Fatal(err)
	}
	var published int64
	for b.Loop() {
		got, err := source.Fetch(b.Context(), 1)
		if err != nil {
			b.Fatal(err)
		}
		if len(got) == 0 {
			b.StopTimer()
			if _, err := c.PublishChunk(b.Context(), chunk(published, ChunkSize), 0); err != nil {
				b.Fatal(err)
			}
			published += ChunkSize
			b.StartTimer()
			continue
		}
		d := got[0]
		if _, _, err := c.Lookup(b.Context(), d.ID.Batch, d.ID.Index); err != nil {
			b.Fatal(err)
		}
		if _, err := c.Begin(b.Context(), d); err != nil {
			b.Fatal(err)
		}
		r := result(Succeeded, 0, "w")
		r.Index = d.ID.Index
		if _, err := c.Record(b.Context(), r); err != nil {
			b.Fatal(err)
		}
		if err := d.Ack(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	job := testJob()
	data, err := job.Encode()
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := Decode(data, job.Identity()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSpec16(b *testing.B) {
	job := testJob()
	for b.Loop() {
		if _, err := job.Spec16(); err != nil {
			b.Fatal(err)
		}
	}
}
