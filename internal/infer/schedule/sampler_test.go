package schedule

import (
	"math"
	"slices"
	"testing"

	"github.com/stipple-ai/stipple/internal/infer/rng"
)

var models = []string{"sd15", "sd21-v", "sdxl", "sdxl-turbo", "lcm", "tiny-emoji"}

// TestStepCounts drives every name on every model to its end, at the least and the greatest numbers of
// steps. The few that cannot be are listed.
func TestStepCounts(t *testing.T) {
	refused := func(model, name string, steps int) bool {
		leading := model != "sdxl-turbo"
		base, _, _ := cutSuffix(name)
		switch base {
		case "flow_euler": // these are models of diffusion
			return true
		case "lcm", "tcd": // 50 steps of distillation
			return steps > 50
		case "pndm": // the Runge-Kutta start, where the model does not say skip_prk_steps
			return steps < 4 && model != "sd15" && model != "tiny-emoji" || steps == 1000 && leading
		case "ddim", "ddpm": // timestep 1000 by steps_offset
			return steps == 1000 && leading
		case "lms": // likewise; its level is that of 999
			return steps == 1000 && leading && name == base
		case "deis", "dpmpp_2m", "dpmpp_2m_sde", "dpmpp_3m", "unipc": // likewise, one step earlier
			return steps >= 999 && leading && name == base
		}
		return false
	}
	for _, model := range models {
		c := readModel(t, model)
		for _, name := range append(Names(), c.Class()) {
			for _, steps := range []int{1, 2, 3, 999, 1000} {
				s, err := New(name, c, steps)
				if job := jobName(name); (err != nil) != refused(model, job, steps) {
					t.Errorf("%s, %s, %d steps: error is %v", model, name, steps, err)
				}
				if err != nil {
					continue
				}
				x := []float32{-1.5, -0.5, 0.1, 2}
				for j := range x {
					x[j] *= s.InitNoiseSigma()
				}
				drive(s, x, 0, rng.New(1).Normal, func(int) {})
				for _, v := range x {
					if math.IsNaN(float64(v)) || math.Abs(float64(v)) > 1e3 {
						t.Errorf("%s, %s, %d steps: ends at %v", model, name, steps, x)
						break
					}
				}
			}
		}
	}
}

// cutSuffix splits a job name from its variant.
func cutSuffix(name string) (base, suffix string, ok bool) {
	for _, a := range aliases() {
		for _, v := range variants {
			if name == a.name+v.suffix {
				return a.name, v.suffix, true
			}
		}
	}
	return name, "", false
}

// jobName is the job name of a class, or the name itself.
func jobName(name string) string {
	i := slices.IndexFunc(aliases(), func(a alias) bool { return a.class.name == name })
	if i < 0 {
		return name
	}
	return aliases()[i].name
}

// TestStepCountsExactly holds that trailing spacing gives as many timesteps as steps where
// numpy.arange is one off.
func TestStepCountsExactly(t *testing.T) {
	c := readModel(t, "sdxl-turbo")
	for steps := 1; steps <= 1000; steps++ {
		s, err := New("euler", c, steps)
		if err != nil {
			t.Fatal(err)
		}
		if s.Len() != steps || s.Timestep(0) != 999 || s.Timestep(steps-1) < 0 {
			t.Fatalf("%d steps: %d timesteps from %v to %v", steps, s.Len(), s.Timestep(0), s.Timestep(s.Len()-1))
		}
	}
}

func TestStepDoesNotAllocate(t *testing.T) {
	for _, g := range readGoldens(t, "testdata/options.json") {
		s := g.sampler(t)
		x, noise := g.start(s)
		in, out := make([]float32, len(x)), make([]float32, len(x))
		i, draw := 0, noise.Normal
		step := func() {
			s.ScaleInput(in, x, i)
			toy(out, in, s.Timestep(i))
			s.Step(x, out, i, draw)
			i++
		}
		step()
		if n := testing.AllocsPerRun(s.Len()-2, step); n != 0 {
			t.Errorf("%s: %v allocations a step", g, n)
		}
	}
}

// TestStepPanics holds what Step's contract says of a caller's mistakes.
func TestStepPanics(t *testing.T) {
	x := make([]float32, 8)
	tests := []struct {
		name string
		step func(s Sampler)
	}{
		{"a call left out", func(s Sampler) { s.Step(x, x, 1, nil) }},
		{"a call twice", func(s Sampler) { s.Step(x, x, 0, nil); s.Step(x, x, 0, nil) }},
		{"past the end", func(s Sampler) { s.Step(x, x, 0, nil); s.Step(x, x, 1, nil); s.Step(x, x, 2, nil) }},
		{"an output of another length", func(s Sampler) { s.Step(x, x[:4], 0, nil) }},
		{"a latent of another length", func(s Sampler) { s.Step(x, x, 0, nil); s.Step(x[:4], x[:4], 1, nil) }},
		{"an empty latent", func(s Sampler) { s.Step(nil, nil, 0, nil) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, err := New("euler", readModel(t, "sdxl"), 2)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			test.step(s)
		})
	}
}

func TestScaleInputMayOverwrite(t *testing.T) {
	s, err := New("euler", readModel(t, "sdxl"), 5)
	if err != nil {
		t.Fatal(err)
	}
	x, dst := []float32{1, -2, 3}, make([]float32, 3)
	s.ScaleInput(dst, x, 0)
	s.ScaleInput(x, x, 0)
	if !slices.Equal(x, dst) {
		t.Errorf("in place %v, into another slice %v", x, dst)
	}
}

func BenchmarkNew(b *testing.B) {
	c := readModel(b, "sdxl")
	for _, name := range []string{"euler", "dpmpp_2m_karras", "unipc", "dpm2_a_beta"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := New(name, c, 30); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkResolve is what a job's check of its scheduler costs.
func BenchmarkResolve(b *testing.B) {
	c := readModel(b, "sdxl")
	for _, name := range []string{"euler", "dpmpp_2m_karras"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Resolve(name, c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkStep is one step on the latent of a 1024x1024 picture.
func BenchmarkStep(b *testing.B) {
	c := readModel(b, "sdxl")
	for _, name := range []string{"ddim", "dpmpp_2m", "dpmpp_2m_sde", "euler", "euler_a", "heun", "unipc"} {
		b.Run(name, func(b *testing.B) {
			x, out := make([]float32, 4*128*128), make([]float32, 4*128*128)
			noise := func([]float32) {}
			s, err := New(name, c, 900)
			if err != nil {
				b.Fatal(err)
			}
			start := s.AppendState(nil)
			i := 0
			for b.Loop() {
				if i == s.Len() {
					if err := s.RestoreState(start); err != nil {
						b.Fatal(err)
					}
					i = 0
				}
				s.Step(x, out, i, noise)
				i++
			}
		})
	}
}
