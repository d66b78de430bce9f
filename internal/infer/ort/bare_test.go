package ort

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stipple-ai/stipple/internal/infer"
)

// TestBare makes the bare calls of every family and format, in one piece and in tiles: a tensor that was forgotten or has another shape is an error of the runtime.
func TestBare(t *testing.T) {
	pipelines := filepath.Join(root, "testdata/pipelines")
	folders, err := os.ReadDir(pipelines)
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range folders {
		t.Run(folder.Name(), func(t *testing.T) {
			p := load(t, filepath.Join(pipelines, folder.Name()))
			p.vae.tiles = newTiling(leastTile, p.vae.factor, infer.Size{})
			for _, side := range []int{64, 128} {
				rows := 2
				if p.Info().OneSample {
					rows = 1
				}
				b, err := p.Bare(side, side, rows)
				if err != nil {
					t.Fatal(err)
				}
				if tiled := b.tiles > 1; tiled != (side > leastTile) {
					t.Errorf("%d pixels are decoded in %d tiles", side, b.tiles)
				}
				for name, call := range map[string]func(context.Context) error{"encode": b.Encode, "denoise": b.Denoise, "decode": b.Decode} {
					if err := call(t.Context()); err != nil {
						t.Errorf("%s at %d pixels: %v", name, side, err)
					}
				}
				if err := b.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
