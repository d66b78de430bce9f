package ort

import (
	"context"
	"encoding/json"
	"fmt"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stipple-ai/stipple/internal/infer"
)

// goldenCase is one of cases.json: a job and the picture that diffusers makes of it.
type goldenCase struct {
	Prompt          string          `json:"prompt"`
	NegativePrompt  string          `json:"negative_prompt"`
	Seed            uint64          `json:"seed"`
	Steps           int             `json:"num_inference_steps"`
	Guidance        float64         `json:"guidance_scale"`
	Width           int             `json:"width"`
	Height          int             `json:"height"`
	Scheduler       string          `json:"scheduler"`
	SchedulerConfig map[string]bool `json:"scheduler_config"`
	Image           string          `json:"image"`
	Tolerance       struct {
		MeanAbs float64 `json:"mean_abs"`
	} `json:"tolerance"`
}

func (c goldenCase) request() infer.Request {
	name := c.Scheduler
	if c.SchedulerConfig["use_karras_sigmas"] {
		name = map[string]string{"DPMSolverMultistepScheduler": "dpmpp_2m_karras"}[name]
	}
	return infer.Request{Prompt: c.Prompt, NegativePrompt: c.NegativePrompt, Steps: c.Steps, Guidance: c.Guidance, Seed: c.Seed,
		Width: c.Width, Height: c.Height, Scheduler: name}
}

// golden is a folder of cases and the model they were made with.
type golden struct{ name, cases, model string }

func goldens() []golden {
	pipelines := filepath.Join(root, "testdata", "pipelines")
	var all []golden
	for _, name := range []string{"sd15", "sd15-legacy", "sd21-v", "sdxl", "sdxl-turbo", "sdxl-fp16", "lcm"} {
		dir := filepath.Join(pipelines, name)
		all = append(all, golden{name, dir, dir})
	}
	return append(all, golden{"tiny-emoji", filepath.Join(root, "testdata", "tiny-emoji"), filepath.Join(root, "models", "tiny-emoji")})
}

func readCases(t testing.TB, dir string) []goldenCase {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "cases.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []goldenCase
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	return cases
}

func readPNG(t testing.TB, path string) infer.Image {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	b := m.Bounds()
	img := infer.Image{Width: b.Dx(), Height: b.Dy()}
	for y := range b.Dy() {
		for x := range b.Dx() {
			r, g, b, _ := m.At(x, y).RGBA()
			img.Pix = append(img.Pix, byte(r>>8), byte(g>>8), byte(b>>8))
		}
	}
	return img
}

// difference compares pictures value by value.
func difference(a, b infer.Image) (most int, within1, mean float64) {
	if a.Width != b.Width || a.Height != b.Height {
		return 255, 0, 255
	}
	near, sum := 0, 0
	for i := range a.Pix {
		d := int(a.Pix[i]) - int(b.Pix[i])
		if d = max(d, -d); d <= 1 {
			near++
		}
		most, sum = max(most, d), sum+d
	}
	return most, float64(near) / float64(len(a.Pix)), float64(sum) / float64(len(a.Pix))
}

// check holds a picture against diffusers': no channel value off by more than 2/255 and 99.9 % within 1/255; in float16 by the mean difference.
func (c goldenCase) check(got, want infer.Image) error {
	most, within1, mean := difference(got, want)
	if c.Tolerance.MeanAbs > 0 {
		if mean > c.Tolerance.MeanAbs {
			return fmt.Errorf("mean difference %.3f, want at most %v", mean, c.Tolerance.MeanAbs)
		}
		return nil
	}
	if most > 2 || within1 < 0.999 {
		return fmt.Errorf("largest difference %d, %.3f %% within 1: want at most 2 and 99.9 %%", most, 100*within1)
	}
	return nil
}

// TestGoldens draws every case alone, then all cases of a model at once in a shuffled crowd that arrives at random moments: with calls of one row, and with two in
// each, as the worker has it on a CPU, the same pixels.
func TestGoldens(t *testing.T) {
	for _, g := range goldens() {
		t.Run(g.name, func(t *testing.T) {
			cases := readCases(t, g.cases)
			p := load(t, g.model)
			matches := func(i int, got infer.Image) error {
				return cases[i].check(got, readPNG(t, filepath.Join(g.cases, cases[i].Image)))
			}
			for _, rows := range []int{1, 2} {
				t.Run(fmt.Sprintf("%d rows", rows), func(t *testing.T) {
					e := start(t, p, 2, infer.Config{MaxRows: rows, RowShapes: []int{rows}})
					solo := make([]infer.Image, len(cases))
					for i, c := range cases {
						res, err := e.Generate(context.Background(), c.request())
						if err != nil {
							t.Fatalf("case %d: %v", i, err)
						}
						solo[i] = res.Image
						if err := matches(i, res.Image); err != nil {
							t.Errorf("case %d (%s, seed %d): %v", i, c.Prompt, c.Seed, err)
						}
					}
					crowds := 1
					if soak() {
						crowds = 25 // with eight models, 200
					}
					for range crowds {
						drawCrowd(t, e, cases, func(i int, got infer.Image) error { return exact(got, solo[i]) })
					}
				})
			}
			t.Run("8 rows", func(t *testing.T) { // the bound holds, and equality with the other row shapes does not
				drawCrowd(t, start(t, p, 1, infer.Config{MaxRows: 8, RowShapes: []int{8}}), cases, matches)
			})
		})
	}
}

func exact(got, want infer.Image) error {
	if !slices.Equal(got.Pix, want.Pix) {
		most, within1, _ := difference(got, want)
		return fmt.Errorf("not the pixels drawn alone: largest difference %d, %.3f %% within 1", most, 100*within1)
	}
	return nil
}

func drawCrowd(t *testing.T, e *infer.Engine, cases []goldenCase, check func(i int, got infer.Image) error) {
	var wg sync.WaitGroup
	for _, i := range rand.Perm(len(cases)) {
		delay := rand.N(60 * time.Millisecond)
		wg.Go(func() {
			time.Sleep(delay)
			res, err := e.Generate(context.Background(), cases[i].request())
			if err != nil {
				t.Errorf("case %d: %v", i, err)
				return
			}
			if err := check(i, res.Image); err != nil {
				t.Errorf("case %d: %v", i, err)
			}
		})
	}
	wg.Wait()
}
