package ort

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stipple-ai/stipple/internal/infer"
)

// BenchmarkMixedJobs is what internal/infer's simulates for a GPU, with a real model on this machine's cores: jobs of 10 to 50 steps, every other one guided, arrive at
// random at 80 % of what the engine draws, and join at the next step ("steps"), when a lane has nothing else to do ("a-lane-each"), or when all that were let in
// together are done ("batches"). Reported are seconds from arrival to picture, and their share of those of step batching.
func BenchmarkMixedJobs(b *testing.B) {
	p := load(b, filepath.Join(root, "testdata", "pipelines", "sd15"))
	lanes := runtime.GOMAXPROCS(0)
	e := start(b, p, lanes, infer.Config{MaxRows: 2, RowShapes: []int{2}})
	const jobs = 60
	at := make([]time.Duration, jobs) // all at once: what the engine draws when there is always enough to do
	serve(b, e, p, at, make(chan struct{}, jobs))
	begin := time.Now()
	serve(b, e, p, at, make(chan struct{}, jobs))
	perSecond := jobs / time.Since(begin).Seconds()

	r := rand.New(rand.NewPCG(1, 1))
	var clock float64
	for i := range at {
		clock += r.ExpFloat64() / (0.8 * perSecond)
		at[i] = time.Duration(clock * float64(time.Second))
	}
	policies := []struct {
		name  string
		serve func() []time.Duration
	}{
		{"steps", func() []time.Duration { return serve(b, e, p, at, make(chan struct{}, jobs)) }},
		{"a-lane-each", func() []time.Duration { return serve(b, e, p, at, make(chan struct{}, lanes)) }},
		{"batches", func() []time.Duration { return serveBatches(b, e, p, at, 2*lanes) }},
	}
	means, p95s := make([]float64, len(policies)), make([]float64, len(policies))
	n := 0.0
	for b.Loop() {
		for i, policy := range policies {
			took := policy.serve()
			slices.Sort(took)
			for _, d := range took {
				means[i] += d.Seconds() / jobs
			}
			p95s[i] += took[jobs*95/100].Seconds()
		}
		n++
	}
	b.ReportMetric(perSecond, "images/s")
	for i, policy := range policies {
		b.ReportMetric(means[i]/n, policy.name+"-mean-s")
		b.ReportMetric(p95s[i]/n, policy.name+"-p95-s")
		if i > 0 {
			b.ReportMetric(means[i]/means[0], policy.name+"/steps-mean")
			b.ReportMetric(p95s[i]/p95s[0], policy.name+"/steps-p95")
		}
	}
	b.ReportMetric(0, "ns/op") // it is the arrivals' time
}

// mixedRequest is the i-th job: the same one for every policy.
func mixedRequest(p *Pipeline, i int) infer.Request {
	r := rand.New(rand.NewPCG(2, uint64(i)))
	return infer.Request{Prompt: fmt.Sprint("prompt ", i), NegativePrompt: "ugly", Steps: 10 + r.IntN(41), Guidance: []float64{1, 7.5}[i%2], Seed: uint64(i),
		Width: p.Info().Width, Height: p.Info().Height}
}

// serve draws the jobs that arrive at these times, as many at once as room holds, and returns how long each took.
func serve(b *testing.B, e *infer.Engine, p *Pipeline, at []time.Duration, room chan struct{}) []time.Duration {
	b.Helper()
	took := make([]time.Duration, len(at))
	begin := time.Now()
	var wg sync.WaitGroup
	for i, d := range at {
		time.Sleep(time.Until(begin.Add(d)))
		wg.Go(func() {
			room <- struct{}{}
			_, err := e.Generate(context.Background(), mixedRequest(p, i))
			<-room
			check(b, err)
			took[i] = time.Since(begin) - d
		})
	}
	wg.Wait()
	return took
}

// serveBatches draws them in whole batches of at most so many rows: those that wait, oldest first, and nobody joins before the last of them is done.
func serveBatches(b *testing.B, e *infer.Engine, p *Pipeline, at []time.Duration, rows int) []time.Duration {
	b.Helper()
	took := make([]time.Duration, len(at))
	begin := time.Now()
	for next := 0; next < len(at); {
		time.Sleep(time.Until(begin.Add(at[next])))
		var wg sync.WaitGroup
		for left := rows; next < len(at) && at[next] <= time.Since(begin); next++ {
			i, q := next, mixedRequest(p, next)
			if left--; q.Guidance > 1 {
				left--
			}
			if left < 0 {
				break
			}
			wg.Go(func() {
				_, err := e.Generate(context.Background(), q)
				check(b, err)
				took[i] = time.Since(begin) - at[i]
			})
		}
		wg.Wait()
	}
	return took
}
