package ort

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stipple-ai/stipple/internal/infer"
)

// BenchmarkEngine holds the engine against a bare loop that makes the same ONNX Runtime calls on as many goroutines as there are lanes, in turns
// within one run, since machines are noisy: engine/bare is the share of the runtime's own speed that the engine keeps.
func BenchmarkEngine(b *testing.B) {
	for _, c := range []struct {
		name, dir string
		steps     int
		rows      int // of a call: both of a guided picture, or one
		images    int
	}{
		{"tiny-emoji-20-steps", tiny(), 20, 2, 16},
		{"tiny-emoji-20-steps-1-row", tiny(), 20, 1, 16},
		{"sd15-4-steps", filepath.Join(root, "testdata", "pipelines", "sd15"), 4, 2, 100},
		{"sd15-4-steps-1-row", filepath.Join(root, "testdata", "pipelines", "sd15"), 4, 1, 100},
	} {
		b.Run(c.name, func(b *testing.B) {
			p := load(b, c.dir)
			lanes := runtime.GOMAXPROCS(0)
			e := start(b, p, lanes, infer.Config{MaxRows: c.rows, RowShapes: []int{c.rows}})
			images := c.images                                          // many, so that the last ones, which leave a lane idle, do not count
			drawMany(b, e, p, c.steps, lanes*c.rows+2, -images, images) // warm
			bareLoop(b, p, c.steps, c.rows, lanes, images)
			var engine, bare, engineCPU, bareCPU time.Duration
			n := 0
			for b.Loop() {
				begin, cpu := time.Now(), cpuTime(b)
				drawMany(b, e, p, c.steps, lanes*c.rows+2, n*images, images)
				middle, middleCPU := time.Now(), cpuTime(b)
				bareLoop(b, p, c.steps, c.rows, lanes, images)
				engine, engineCPU = engine+middle.Sub(begin), engineCPU+middleCPU-cpu
				bare, bareCPU = bare+time.Since(middle), bareCPU+cpuTime(b)-middleCPU
				n++
			}
			b.ReportMetric(bare.Seconds()/engine.Seconds(), "engine/bare")
			b.ReportMetric(bareCPU.Seconds()/engineCPU.Seconds(), "engine/bare-by-cpu") // tells more where other programs take the cores
			b.ReportMetric(float64(n*images)/engine.Seconds(), "images/s")
			b.ReportMetric(0, "ns/op") // an op is both loops: of no use
		})
	}
}

// cpuTime is what the process has used of the cores.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	check(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// drawMany draws images with new prompts, inFlight at once.
func drawMany(b *testing.B, e *infer.Engine, p *Pipeline, steps, inFlight, from, images int) {
	b.Helper()
	info := p.Info()
	next := make(chan int)
	var wg sync.WaitGroup
	for range inFlight {
		wg.Go(func() {
			for i := range next {
				r := infer.Request{Prompt: fmt.Sprint("prompt ", i), NegativePrompt: "ugly", Steps: steps, Guidance: 5, Seed: uint64(i), Width: info.Width, Height: info.Height}
				if _, err := e.Generate(context.Background(), r); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for i := range images {
		next <- from + i
	}
	close(next)
	wg.Wait()
}

// bareLoop makes the calls of so many images and nothing else: one text encoding (the negative prompt's is cached by the engine), two rows a step in calls of so many, one decoding.
func bareLoop(b *testing.B, p *Pipeline, steps, rows, goroutines, images int) {
	b.Helper()
	next := make(chan int)
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			info := p.Info()
			bare, err := p.Bare(info.Width, info.Height, rows)
			check(b, err)
			for range next {
				check(b, bare.Encode(context.Background()))
				for range 2 * steps / rows {
					check(b, bare.Denoise(context.Background()))
				}
				check(b, bare.Decode(context.Background()))
			}
			check(b, bare.Close())
		})
	}
	for i := range images {
		next <- i
	}
	close(next)
	wg.Wait()
}

func check(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Error(err)
	}
}
