package infer

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"
)

// BenchmarkGap reports how long a device waits between two full calls: 16 rows of 512² pixels in one lane, by sampler, and for those that draw noise at each step
// guided (8 samples) and not (16). The median of all steps counts.
func BenchmarkGap(b *testing.B) {
	const rows, steps = 16, 100
	for _, c := range []struct {
		name, scheduler string
		guidance        float64
		samples         int
	}{
		{"euler guided", "euler", 5, rows / 2},
		{"dpmpp_2m guided", "dpmpp_2m", 5, rows / 2},
		{"euler_a guided", "euler_a", 5, rows / 2},
		{"euler_a unguided", "euler_a", 1, rows},
	} {
		b.Run(c.name, func(b *testing.B) {
			m := &instant{fakeModel: newFakeModel(b), full: rows}
			m.info.Width, m.info.Height = 512, 512
			e, _ := start(b, m, 1, Config{MaxRows: rows, RowShapes: []int{rows}})
			for b.Loop() {
				var all sync.WaitGroup
				for i := range c.samples {
					r := request(uint64(i))
					r.Width, r.Height, r.Steps, r.Scheduler, r.Guidance = 512, 512, steps, c.scheduler, c.guidance
					all.Go(func() {
						if _, err := e.Generate(b.Context(), r); err != nil {
							b.Error(err)
						}
					})
				}
				all.Wait()
			}
			if len(m.gaps) == 0 {
				b.Fatal("the samples never filled a call: other programs take the cores")
			}
			slices.Sort(m.gaps)
			b.ReportMetric(float64(m.gaps[len(m.gaps)/2].Microseconds()), "µs/gap")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// instant is a device that takes no time, and counts the time between full calls.
type instant struct {
	*fakeModel

	full int
	last time.Time // a full call's end; zero after any other
	gaps []time.Duration
}

// Denoise implements [Denoiser], for one lane.
func (m *instant) Denoise(_ context.Context, c *Call) error {
	if !m.last.IsZero() && len(c.Rows) == m.full {
		m.gaps = append(m.gaps, time.Since(m.last))
	}
	m.last = time.Time{}
	if len(c.Rows) == m.full {
		m.last = time.Now()
	}
	return nil
}
