package ort

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stipple-ai/stipple/internal/infer"
	"github.com/stipple-ai/stipple/internal/infer/rng"
)

// TestAxis: for every length, tiles cover it, overlap by a quarter, and share each pixel fully; no tile counts where it does not lie.
func TestAxis(t *testing.T) {
	for _, tile := range []int{4, 8, 13, 64} {
		for n := tile; n < 5*tile; n++ {
			const factor = 2
			a := newAxis(n, tile, factor)
			sum := make([]float64, n*factor)
			for i, start := range a.starts {
				if start < 0 || start+tile > n || (i > 0 && start > a.starts[i-1]+tile-tile/4) {
					t.Fatalf("tiles of %d on %d start at %v", tile, n, a.starts)
				}
				for p, w := range a.weights[i] {
					if w < 0 || w > 1 {
						t.Fatalf("tile %d of %d on %d weighs %v", i, tile, n, w)
					}
					sum[start*factor+p] += float64(w)
				}
				if first := a.weights[i][0]; i > 0 && tile >= 8 && first > 0.3 {
					t.Errorf("tile %d of %d on %d begins with weight %v: a seam", i, tile, n, first)
				}
			}
			for p, s := range sum {
				if math.Abs(s-1) > 1e-6 {
					t.Fatalf("tiles of %d on %d: pixel %d has weight %v in all", tile, n, p, s)
				}
			}
			if a.starts[len(a.starts)-1]+tile != n {
				t.Errorf("tiles of %d on %d start at %v and do not reach the end", tile, n, a.starts)
			}
		}
	}
}

func TestTilingSize(t *testing.T) {
	own := infer.Size{Width: 64, Height: 64}
	for _, c := range []struct {
		side int
		own  infer.Size
		s    infer.Size
		want infer.Size
	}{
		{0, own, infer.Size{Width: 128, Height: 128}, infer.Size{Width: 128, Height: 128}}, // 1024 × 1024 pixels: whole
		{0, own, infer.Size{Width: 256, Height: 64}, infer.Size{Width: 256, Height: 64}},   // as many
		{0, own, infer.Size{Width: 129, Height: 128}, infer.Size{Width: 128, Height: 128}},
		{0, own, infer.Size{Width: 64, Height: 300}, infer.Size{Width: 64, Height: 128}},
		{0, infer.Size{Width: 256, Height: 256}, infer.Size{Width: 256, Height: 256}, infer.Size{Width: 256, Height: 256}}, // the model's own
		{512, own, infer.Size{Width: 65, Height: 64}, infer.Size{Width: 64, Height: 64}},
	} {
		if got := newTiling(c.side, 8, c.own).tile(c.s); got != c.want {
			t.Errorf("side %d, own %v: %v is decoded in tiles of %v, want %v", c.side, c.own, c.s, got, c.want)
		}
	}
}

// TestTilesLieRight: tiles of a decoder that knows no neighbours make the same picture, to the last bit but for rounding where they are blended.
func TestTilesLieRight(t *testing.T) {
	dir := copyPipeline(t, "sd15")
	data, err := os.ReadFile(filepath.Join("testdata", "graphs", "vae.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "vae_decoder/model.onnx"), string(data))
	p := load(t, dir)
	for _, s := range []infer.Size{{Width: 20, Height: 20}, {Width: 33, Height: 17}, {Width: 9, Height: 70}, {Width: 40, Height: 6}} {
		latents := make([]float32, 4*s.Width*s.Height)
		rng.New(1).Normal(latents)
		whole, err := p.Decode(context.Background(), latents, s)
		if err != nil {
			t.Fatal(err)
		}
		p.vae.tiles = newTiling(64, 8, infer.Size{})
		tiled, err := p.Decode(context.Background(), latents, s)
		if err != nil {
			t.Fatal(err)
		}
		p.vae.tiles = newTiling(0, 8, infer.Size{})
		for i := range whole {
			if d := math.Abs(float64(whole[i] - tiled[i])); d > 1e-5 {
				t.Fatalf("%v: value %d is %v in tiles and %v whole", s, i, tiled[i], whole[i])
			}
		}
	}
}

// TestTiledPictures: a real decoder has norms and attention over the whole picture, so tiles differ from it. The bound is about two thirds of what diffusers' tiled_decode
// differs by with the same tiles (sd15: 4.15, sdxl: 4.89 on average of 255), and below the limit nothing differs.
func TestTiledPictures(t *testing.T) {
	for _, c := range []struct {
		dir  string
		mean float64
	}{{tiny(), 2.8}, {filepath.Join(root, "testdata/pipelines/sd15"), 2.8}, {filepath.Join(root, "testdata/pipelines/sdxl"), 4}} {
		p := load(t, c.dir)
		e := start(t, p, 2, infer.Config{})
		draw := func(tile int) infer.Image {
			t.Helper()
			p.vae.tiles = newTiling(tile, 8, infer.Size{})
			res, err := e.Generate(context.Background(), infer.Request{Prompt: "a red fox", Steps: 4, Guidance: 4, Seed: 3, Width: 256, Height: 256, Scheduler: "euler"})
			if err != nil {
				t.Fatal(err)
			}
			return res.Image
		}
		whole := draw(1024)
		if err := exact(draw(256), whole); err != nil {
			t.Errorf("%s, a picture as large as a tile: %v", filepath.Base(c.dir), err)
		}
		if most, _, mean := difference(draw(128), whole); mean > c.mean || most > 60 {
			t.Errorf("%s: tiles differ by %.2f on average and %d at most, want %v and 60", filepath.Base(c.dir), mean, most, c.mean)
		}
	}
}

// TestTilesFitInMemory: a picture whose decoding the arena cannot hold is decoded in tiles.
func TestTilesFitInMemory(t *testing.T) {
	out := subprocess(t, "TestTilesFitInMemoryChild", arenaLimit+"=40000000")
	if !strings.Contains(out, "--- PASS: TestTilesFitInMemoryChild") {
		t.Errorf("the child did not pass:\n%s", out)
	}
}

// TestTilesFitInMemoryChild is the child of TestTilesFitInMemory; by itself it only sees that it is not.
func TestTilesFitInMemoryChild(t *testing.T) {
	if os.Getenv(arenaLimit) == "" {
		return
	}
	p := load(t, filepath.Join(root, "testdata/pipelines/sd15"))
	s := infer.Size{Width: 80, Height: 80}
	latents := make([]float32, 4*s.Width*s.Height)
	rng.New(1).Normal(latents)
	_, err := p.Decode(context.Background(), latents, s)
	var typed *infer.Error
	if !errors.As(err, &typed) || typed.Type != "out_of_memory" {
		t.Fatalf("whole: got %v, want out_of_memory", err)
	}
	p.vae.tiles = newTiling(128, 8, infer.Size{})
	if _, err := p.Decode(context.Background(), latents, s); err != nil {
		t.Errorf("in tiles: %v", err)
	}
}
