package infer

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// mixedJobs is a stream of jobs of 10 to 50 steps, every other one guided, that arrive at random (Poisson).
func mixedJobs(n int, perSecond float64) []arrival {
	r := rand.New(rand.NewPCG(1, 1))
	jobs := make([]arrival, n)
	var at float64
	for i := range jobs {
		at += r.ExpFloat64() / perSecond
		q := unguided(uint64(i), 10+r.IntN(41))
		if r.IntN(2) == 0 {
			q.Guidance = 7.5
		}
		jobs[i] = arrival{q, time.Duration(at * float64(time.Second))}
	}
	return jobs
}

type arrival struct {
	Request

	at time.Duration
}

func (a arrival) rows() int {
	if a.Guidance > 1 {
		return 2
	}
	return 1
}

// gpu is a model that takes its time, on the clock of synctest: Stable Diffusion 1.5, 512 × 512, float16, on an A100. diffusers' documentation of PyTorch 2.0 has 49.74,
// 17.27 and 4.68 steps a second for 1, 4 and 16 guided pictures (torch.compile); that is base + row for each of 2, 8 and 32 rows, within 2 %. Texts and pictures are
// free, which flatters whoever lets the UNet wait for them.
type gpu struct{ *fakeModel }

const (
	gpuBase = 7300 * time.Microsecond
	gpuRow  = 6450 * time.Microsecond
	gpuRows = 16 // the worker's default
)

func gpuCall(rows int) time.Duration { return gpuBase + time.Duration(rows)*gpuRow }

func (gpu) Denoise(ctx context.Context, c *Call) error { return sleep(ctx, gpuCall(c.Pad)) }

// policy is a way to serve jobs: it draws them by e, and returns when the job is drawn.
type policy struct {
	name  string
	serve func(e *Engine) func(arrival) error
}

// policies are what there is to choose from. All of them make the same calls of the same engine; what differs is when a job may join.
func policies() []policy {
	return []policy{
		{"steps", func(e *Engine) func(arrival) error {
			return func(a arrival) error { return generate(e, a) }
		}},
		{"one-at-a-time", func(e *Engine) func(arrival) error {
			free := make(chan struct{}, 1)
			return func(a arrival) error {
				free <- struct{}{}
				defer func() { <-free }()
				return generate(e, a)
			}
		}},
		// As diffusers' pipelines batch: one number of steps, one guidance for all.
		{"batches-of-like", func(e *Engine) func(arrival) error {
			return batches(e, func(a, b arrival) bool { return a.Steps == b.Steps && a.Guidance == b.Guidance })
		}},
		// Better than they: any jobs, each of which is handed out after its own steps; but nobody joins before the last one is done.
		{"batches-of-any", func(e *Engine) func(arrival) error {
			return batches(e, func(arrival, arrival) bool { return true })
		}},
	}
}

func generate(e *Engine, a arrival) error {
	_, err := e.Generate(context.Background(), a.Request)
	return err
}

// batches draws whole batches, one after the other: the oldest job that waits, and those behind it that may ride with it, as far as there are rows.
func batches(e *Engine, together func(a, b arrival) bool) func(arrival) error {
	type ticket struct {
		arrival

		done chan error
	}
	var mu sync.Mutex
	var waiting []ticket
	var drawing bool
	var next func()
	next = func() { // with mu held; whoever ends a batch begins the next one
		var batch []ticket
		rows := 0
		waiting = slices.DeleteFunc(waiting, func(t ticket) bool {
			rides := rows+t.rows() <= gpuRows && (len(batch) == 0 || together(batch[0].arrival, t.arrival))
			if rides {
				batch, rows = append(batch, t), rows+t.rows()
			}
			return rides
		})
		if drawing = len(batch) > 0; !drawing {
			return
		}
		var wg sync.WaitGroup
		for _, t := range batch {
			wg.Go(func() { t.done <- generate(e, t.arrival) })
		}
		go func() { // ends with the batch
			wg.Wait()
			mu.Lock()
			defer mu.Unlock()
			next()
		}()
	}
	return func(a arrival) error {
		t := ticket{a, make(chan error, 1)}
		mu.Lock()
		waiting = append(waiting, t)
		if !drawing {
			next()
		}
		mu.Unlock()
		return <-t.done
	}
}

// latencies is how long the jobs take from their arrival to their picture, sorted.
type latencies []time.Duration

func (l latencies) mean() float64 {
	var sum time.Duration
	for _, d := range l {
		sum += d
	}
	return sum.Seconds() / float64(len(l))
}

func (l latencies) p95() float64 { return l[len(l)*95/100].Seconds() }

// simulate serves the jobs, inside a bubble of synctest.
func simulate(t *testing.T, p policy, jobs []arrival) latencies {
	m := gpu{newFakeModel(t)}
	e, _ := start(t, m, 1, Config{MaxRows: gpuRows, RowShapes: []int{1, 2, 4, 8, 16}, Encoders: 1, Decoders: 1})
	serve := p.serve(e)
	all := make(latencies, len(jobs))
	begin := time.Now()
	var wg sync.WaitGroup
	for i, a := range jobs {
		time.Sleep(time.Until(begin.Add(a.at)))
		wg.Go(func() {
			if err := serve(a); err != nil {
				t.Error(err)
			}
			all[i] = time.Since(begin) - a.at
		})
	}
	wg.Wait()
	slices.Sort(all)
	return all
}

// capacities are how many mixed jobs a second the device draws one at a time, and with every call full.
func capacities() (oneAtATime, full float64) {
	const steps, rows = 30, 1.5 // on average
	return 1 / (steps * (gpuCall(1) + gpuCall(2)).Seconds() / 2), 1 / (steps * rows * gpuCall(gpuRows).Seconds() / gpuRows)
}

// TestStepBatchingWaitsLess: whoever joins at the next step has the picture sooner than who waits for those before to be done. The clock is synctest's, so the figures
// do not depend on the machine.
func TestStepBatchingWaitsLess(t *testing.T) {
	_, full := capacities()
	jobs := mixedJobs(200, 0.8*full)
	var steps latencies
	for _, p := range policies() {
		synctest.Test(t, func(t *testing.T) {
			l := simulate(t, p, jobs)
			t.Logf("%s: mean %.2f s, p95 %.2f s", p.name, l.mean(), l.p95())
			if steps == nil {
				steps = l
				return
			}
			if l.mean() < 1.2*steps.mean() || l.p95() < 1.2*steps.p95() {
				t.Errorf("%s: mean %.2f s, p95 %.2f s; with step batching %.2f s and %.2f s", p.name, l.mean(), l.p95(), steps.mean(), steps.p95())
			}
		})
	}
}

// BenchmarkMixedJobs reports how long mixed jobs take from arrival to picture when they join at the next step, against whole batches and one at a time, at 80 % of what
// the device draws one at a time, and at 80 % of what it draws with full calls, which is more than one at a time keeps up with: there its figure grows with the number
// of jobs.
func BenchmarkMixedJobs(b *testing.B) {
	one, full := capacities()
	for _, load := range []struct {
		name      string
		perSecond float64
	}{{"80%-of-one-at-a-time", 0.8 * one}, {"80%-of-full-calls", 0.8 * full}} {
		b.Run(load.name, func(b *testing.B) {
			jobs := mixedJobs(2000, load.perSecond)
			var steps latencies
			for b.Loop() {
				steps = nil
				for _, p := range policies() {
					bubble(b, func(t *testing.T) {
						l := simulate(t, p, jobs)
						b.ReportMetric(l.mean(), p.name+"-mean-s")
						b.ReportMetric(l.p95(), p.name+"-p95-s")
						if steps == nil {
							steps = l
							return
						}
						b.ReportMetric(l.mean()/steps.mean(), p.name+"/steps-mean")
						b.ReportMetric(l.p95()/steps.p95(), p.name+"/steps-p95")
					})
				}
			}
			b.ReportMetric(0, "ns/op") // how fast the simulation is tells nothing
		})
	}
}

// bubble runs f on the clock of synctest. That wants a test, and a benchmark has none to give: RunTests makes one.
func bubble(b *testing.B, f func(*testing.T)) {
	b.Helper()
	every := func(string, string) (bool, error) { return true, nil }
	if !testing.RunTests(every, []testing.InternalTest{{Name: b.Name(), F: func(t *testing.T) { synctest.Test(t, f) }}}) {
		b.FailNow()
	}
}
