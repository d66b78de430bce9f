package schedule

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"testing"

	"github.com/stipple-ai/stipple/internal/infer/rng"
)

// golden is one run of a diffusers scheduler on a toy model, as testdata/README.md describes.
type golden struct {
	Scheduler      string          `json:"scheduler"`
	Config         json.RawMessage `json:"config"`
	Steps          int             `json:"steps"`
	Seed           uint64          `json:"seed"`
	Timesteps      []float32       `json:"timesteps"`
	Sigmas         []float32       `json:"sigmas"`
	InitNoiseSigma float32         `json:"init_noise_sigma"`
	ModelCalls     int             `json:"model_calls"`
	Checkpoints    [][]float64     `json:"checkpoints"` // four values, mean, standard deviation after each call
	Final          []float64       `json:"final"`
}

func (g golden) String() string {
	return fmt.Sprintf("%s/%d/%.60s", g.Scheduler, g.Steps, g.Config)
}

const latentLen = 4 * 8 * 8

func readGoldens(t testing.TB, path string) []golden {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var runs []golden
	if err := json.Unmarshal(quoteNonFinite(data), &runs); err != nil {
		t.Fatal(err)
	}
	if len(runs) == 0 {
		t.Fatal("no runs")
	}
	return runs
}

// sampler makes the run's sampler as from_config of its class does.
func (g golden) sampler(t testing.TB) Sampler {
	t.Helper()
	config := fmt.Appendf(nil, `{"_class_name": %q, %s`, g.Scheduler, g.Config[1:])
	c, err := ParseConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	s, err := New("", c, g.Steps)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// toy is the goldens' model.
func toy(dst, x []float32, t float32) {
	phase, shift := float64(t/250), float32(0.02)*float32(math.Cos(float64(t/70)))
	for j, v := range x {
		dst[j] = 0.35*v + 0.15*float32(math.Sin(float64(3*v+float32(phase)))) + shift
	}
}

// drive makes the calls from first on and tells after each.
func drive(s Sampler, x []float32, first int, noise func([]float32), after func(i int)) {
	in, out := make([]float32, len(x)), make([]float32, len(x))
	for i := first; i < s.Len(); i++ {
		s.ScaleInput(in, x, i)
		toy(out, in, s.Timestep(i))
		s.Step(x, out, i, noise)
		after(i)
	}
}

func (g golden) start(s Sampler) (x []float32, noise *rng.Generator) {
	x = make([]float32, latentLen)
	rng.New(g.Seed).Normal(x)
	for j := range x {
		x[j] *= s.InitNoiseSigma()
	}
	return x, rng.New(1000 + g.Seed)
}

func TestGoldens(t *testing.T) {
	for _, g := range goldenClasses(readGoldens(t, "testdata/schedulers.json")) {
		t.Run(g.String(), func(t *testing.T) { g.check(t) })
	}
}

func (g golden) check(t *testing.T) {
	s := g.sampler(t)
	if s.Len() != g.ModelCalls || s.Len() != len(g.Timesteps) {
		t.Fatalf("%d calls, want %d", s.Len(), g.ModelCalls)
	}
	for i, want := range g.Timesteps {
		if got := s.Timestep(i); !sameTimestep(got, want) {
			t.Errorf("timestep %d is %v, want %v", i, got, want)
		}
	}
	if !near(float64(s.InitNoiseSigma()), float64(g.InitNoiseSigma), 1e-6) {
		t.Errorf("init noise sigma %v, want %v", s.InitNoiseSigma(), g.InitNoiseSigma)
	}
	if got := sigmasOf(s); len(g.Sigmas) > 0 && len(got) > 0 {
		for i, want := range g.Sigmas {
			if i < len(got) && !near(float64(got[i]), float64(want), 1e-5) {
				t.Errorf("sigma %d is %v, want %v", i, got[i], want)
			}
		}
	}
	x, noise := g.start(s)
	drive(s, x, 0, noise.Normal, func(i int) {
		want := g.Checkpoints[i]
		for j, v := range x[:4] {
			if !near(float64(v), want[j], 1e-4) {
				t.Fatalf("call %d: value %d is %v, want %v", i, j, v, want[j])
			}
		}
		mean, deviation := moments(x)
		if !near(mean, want[4], 1e-4) || !near(deviation, want[5], 1e-4) {
			t.Fatalf("call %d: mean %v, deviation %v, want %v, %v", i, mean, deviation, want[4], want[5])
		}
	})
	for j, want := range g.Final {
		if !near(float64(x[j]), want, 1e-4) {
			t.Fatalf("final value %d is %v, want %v", j, x[j], want)
		}
	}
}

// near compares relative to the latent's scale: to the value, or to 1 for values below it.
func near(got, want, tolerance float64) bool {
	return math.Abs(got-want) <= tolerance*max(1, math.Abs(want))
}

// sameTimestep demands whole timesteps exactly and allows fractional ones, which diffusers looks up with
// a logarithm that differs between builds of numpy and torch, two units in the last place.
func sameTimestep(got, want float32) bool {
	if want == float32(int(want)) {
		return got == want
	}
	unit := math.Nextafter32(want, 2000) - want
	return math.Abs(float64(got-want)) <= float64(2*unit)
}

func moments(x []float32) (mean, deviation float64) {
	for _, v := range x {
		mean += float64(v)
	}
	mean /= float64(len(x))
	for _, v := range x {
		deviation += (float64(v) - mean) * (float64(v) - mean)
	}
	return mean, math.Sqrt(deviation / float64(len(x)-1))
}

// sigmasOf is the list that diffusers shows as scheduler.sigmas.
func sigmasOf(s Sampler) []float32 {
	return s.(interface{ noiseLevels() []float32 }).noiseLevels()
}

func (t *table) noiseLevels() []float32 { return t.sigmas }
