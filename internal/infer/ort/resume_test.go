package ort

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stipple-ai/stipple/internal/infer"
)

// TestResumeEqualsUncut cuts pictures after every step, carries their state through its binary form into another engine, and compares what comes out with the
// uncut picture: the same pixels. internal/infer does so for every sampler with a model of plain arithmetic.
func TestResumeEqualsUncut(t *testing.T) {
	for _, folder := range []string{filepath.Join(root, "testdata", "pipelines", "sd15"), tiny()} {
		p := load(t, folder)
		cfg := infer.Config{MaxRows: 2, RowShapes: []int{2}}
		e, other := start(t, p, 2, cfg), start(t, p, 2, cfg)
		for _, scheduler := range []string{"ddim", "euler_a", "dpmpp_2m_sde", "heun", "pndm", "unipc_karras"} {
			for _, guidance := range []float64{0, 5} {
				t.Run(fmt.Sprint(filepath.Base(folder), " ", scheduler, " ", guidance), func(t *testing.T) {
					r := infer.Request{Prompt: "a red fox", NegativePrompt: "ugly", Steps: 5, Guidance: guidance, Seed: 3,
						Width: p.Info().Width, Height: p.Info().Height, Scheduler: scheduler}
					var states [][]byte
					r.CheckpointEvery = 1
					r.OnCheckpoint = func(s infer.State) {
						b, err := s.MarshalBinary()
						if err != nil {
							t.Error(err)
						}
						states = append(states, b)
					}
					whole, err := e.Generate(context.Background(), r)
					if err != nil {
						t.Fatal(err)
					}
					r.CheckpointEvery = 0
					for i, b := range states {
						r.Resume = new(infer.State)
						if err := r.Resume.UnmarshalBinary(b); err != nil {
							t.Fatal(err)
						}
						res, err := other.Generate(context.Background(), r)
						if err != nil {
							t.Fatal(err)
						}
						if err := exact(res.Image, whole.Image); err != nil {
							t.Errorf("cut after step %d of %d: %v", i+1, len(states)+1, err)
						}
					}
					if len(states) < 4 {
						t.Errorf("only %d checkpoints of %d steps", len(states), r.Steps)
					}
				})
			}
		}
	}
}
