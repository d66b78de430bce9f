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

	Model string    `json:"model"` // the file under testdata/models that from_config was given
	Name  string    `json:"name"`  // the job name laid over it
	End   []float64 `json:"end"`   // eight values, mean, standard deviation at the end
}

func (g golden) String() string {
	return fmt.Sprintf("%s%s/%d/%s%s", g.Scheduler, g.Model, g.Steps, g.Name, g.Config)
}

const latentLen = 4 * 8 * 8

func readGoldens(t testing.TB, path string) []golden {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var runs []golden
	if err := json.Unmarshal(StandardJSON(data), &runs); err != nil {
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
	var c Config
	if g.Model != "" {
		c = readModel(t, g.Model)
	} else {
		var fields map[string]any
		if err := json.Unmarshal(g.Config, &fields); err != nil {
			t.Fatal(err)
		}
		fields["_class_name"] = g.Scheduler
		data, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		c = parse(t, "%s", data)
	}
	s, err := New(g.Name, c, g.Steps)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func parse(t testing.TB, format string, args ...any) Config {
	t.Helper()
	c, err := ParseConfig(fmt.Appendf(nil, format, args...))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// readModel reads a model's own scheduler_config.json.
func readModel(t testing.TB, name string) Config {
	t.Helper()
	data, err := os.ReadFile("testdata/models/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, "%s", data)
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
	for _, file := range []string{"schedulers", "from_config", "options"} {
		for _, g := range readGoldens(t, "testdata/"+file+".json") {
			t.Run(g.String(), func(t *testing.T) { g.check(t) })
		}
	}
}

func (g golden) check(t *testing.T) {
	s := g.sampler(t)
	if s.Len() != g.ModelCalls || s.Len() != len(g.Timesteps) {
		t.Fatalf("%d calls, want %d", s.Len(), g.ModelCalls)
	}
	for i, want := range g.Timesteps {
		_, interpolates := s.(*kdpm2)
		if got := s.Timestep(i); !sameTimestep(got, want, interpolates && i%2 == 1) {
			t.Errorf("timestep %d is %v, want %v", i, got, want)
		}
	}
	if !near(float64(s.InitNoiseSigma()), float64(g.InitNoiseSigma), 1e-6) {
		t.Errorf("init noise sigma %v, want %v", s.InitNoiseSigma(), g.InitNoiseSigma)
	}
	sigmas := sigmasOf(s)
	if len(sigmas) != len(g.Sigmas) {
		t.Fatalf("%d sigmas, want %d", len(sigmas), len(g.Sigmas))
	}
	for i, want := range g.Sigmas {
		if math.Abs(float64(sigmas[i]-want)) > 1e-5*float64(want) {
			t.Errorf("sigma %d is %v, want %v", i, sigmas[i], want)
		}
	}
	x, noise := g.start(s)
	drive(s, x, 0, noise.Normal, func(i int) {
		if len(g.Checkpoints) > 0 {
			compare(t, i, x[:4], g.Checkpoints[i][:4], 1e-4)
			compare(t, i, moments(x), g.Checkpoints[i][4:], 1e-4)
		}
	})
	compare(t, s.Len(), x[:len(g.Final)], g.Final, 1e-4)
	if len(g.End) > 0 {
		compare(t, s.Len(), x[:8], g.End[:8], 1e-4)
		compare(t, s.Len(), moments(x), g.End[8:], 1e-4)
	}
}

func compare(t *testing.T, call int, got []float32, want []float64, tolerance float64) {
	t.Helper()
	for j, w := range want {
		if !near(float64(got[j]), w, tolerance) {
			t.Fatalf("call %d: value %d is %v, want %v", call, j, got[j], w)
		}
	}
}

// near compares relative to the latent's scale: to the value, or to 1 for values below it.
func near(got, want, tolerance float64) bool {
	return math.Abs(got-want) <= tolerance*max(1, math.Abs(want))
}

// sameTimestep demands whole timesteps exactly. Diffusers looks fractional ones up by sigma with a
// float32 logarithm that differs between builds of numpy and torch: two units in the last place are
// allowed (early timesteps have few units, so 5e-6), and what becomes of them in the levels between two
// steps.
func sameTimestep(got, want float32, between bool) bool {
	difference := math.Abs(float64(got - want))
	if between {
		return difference <= 5e-4
	}
	units := 2 * float64(math.Nextafter32(want, 2000)-want)
	return got == want || want != float32(int(want)) && difference <= max(units, 5e-6)
}

// moments are the mean and the standard deviation.
func moments(x []float32) []float32 {
	var mean, square float64
	for _, v := range x {
		mean += float64(v) / float64(len(x))
	}
	for _, v := range x {
		square += (float64(v) - mean) * (float64(v) - mean)
	}
	return []float32{float32(mean), float32(math.Sqrt(square / float64(len(x)-1)))}
}

// sigmasOf is the list that diffusers shows as scheduler.sigmas.
func sigmasOf(s Sampler) []float32 {
	return s.(interface{ noiseLevels() []float32 }).noiseLevels()
}

func (t *table) noiseLevels() []float32 { return t.sigmas }
