package ort

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stipple-ai/stipple/internal/infer"
)

// TestClipSkip draws diffusers' own pictures (testdata/clip_skip.py) with layers left out: of the prompt and not of the negative prompt, and under the final
// layer norm where there is one text encoder.
func TestClipSkip(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "clip_skip", "cases.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		goldenCase

		Model    string `json:"model"`
		ClipSkip int    `json:"clip_skip"`
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.Image, func(t *testing.T) {
			var pictures []infer.Image
			for _, skip := range []int{c.ClipSkip, 0} {
				dir := copyPipeline(t, c.Model)
				write(t, filepath.Join(dir, "stipple.json"), fmt.Sprintf(`{"clip_skip": %d}`, skip))
				res, err := start(t, load(t, dir), 2, infer.Config{}).Generate(context.Background(), c.request())
				if err != nil {
					t.Fatal(err)
				}
				pictures = append(pictures, res.Image)
			}
			if err := c.check(pictures[0], readPNG(t, filepath.Join("testdata", "clip_skip", c.Image))); err != nil {
				t.Error(err)
			}
			if most, _, _ := difference(pictures[0], pictures[1]); most < 10 {
				t.Errorf("the picture differs by %d at most from the one with all layers: the test would not see a clip_skip that does nothing", most)
			}
		})
	}
}

// TestClipSkipKeepsTextsApart: the embedding of a text as a prompt is not that of the same text as a negative prompt, and each is cached by itself.
func TestClipSkipKeepsTextsApart(t *testing.T) {
	dir := copyPipeline(t, "sd15")
	write(t, filepath.Join(dir, "stipple.json"), `{"clip_skip": 1}`)
	p := load(t, dir)
	plain := load(t, filepath.Join(root, "testdata", "pipelines", "sd15"))
	encode := func(p *Pipeline, negative bool) []float32 {
		t.Helper()
		e, err := p.Encode(context.Background(), p.Tokenize("a fox", negative))
		if err != nil {
			t.Fatal(err)
		}
		return e.Hidden
	}
	if slices.Equal(encode(p, false), encode(p, true)) {
		t.Error("the negative prompt leaves layers out too")
	}
	if !slices.Equal(encode(p, true), encode(plain, false)) {
		t.Error("the negative prompt is not what the model without clip_skip makes of it")
	}
	r := infer.Request{Prompt: "a fox", NegativePrompt: "a fox", Steps: 1, Guidance: 5, Seed: 1, Width: 128, Height: 128}
	same, err := start(t, plain, 1, infer.Config{}).Generate(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	apart, err := start(t, p, 1, infer.Config{}).Generate(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	if slices.Equal(same.Image.Pix, apart.Image.Pix) {
		t.Error("the prompt and the equal negative prompt share an embedding")
	}
}

// copyPipeline copies a golden pipeline, so that a test can change it.
func copyPipeline(t testing.TB, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(root, "testdata", "pipelines", name))); err != nil {
		t.Fatal(err)
	}
	return dir
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
