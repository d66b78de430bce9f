package ort

import (
	"context"

	"github.com/stipple-ai/stipple/internal/infer"
)

// A VAE decoder's memory grows with the picture, so large pictures are decoded in tiles that overlap by a quarter and are blended there linearly, as in diffusers'
// tiled_decode. Other than there, all tiles have one size and lie evenly, so that no narrow rest is decoded by itself and one set of tensors serves all.

// tiling says when and how.
type tiling struct {
	whole int // latents (width × height) that are decoded in one piece
	side  int // latents of a tile, each way, at most
	long  int // latents of the longest side that is decoded in one piece; 0 is no bound
}

const (
	defaultTile = 1024 // pixels, each way
	leastTile   = 64
)

// newTiling is of a model whose own size is own, in latents; side is in pixels, 0 means 1024 or what the model draws by itself.
func newTiling(side, factor int, own infer.Size) tiling {
	if side == 0 {
		side = defaultTile
	}
	t := tiling{side: max(side/factor, 4)}
	t.whole = max(t.side*t.side, own.Width*own.Height)
	return t
}

// tile returns the size of the tiles of a latent of size s: s itself where it is decoded whole.
func (t tiling) tile(s infer.Size) infer.Size {
	if s.Width*s.Height <= t.whole && (t.long == 0 || max(s.Width, s.Height) <= t.long) {
		return s
	}
	return infer.Size{Width: min(s.Width, t.side), Height: min(s.Height, t.side)}
}

// axis is how tiles lie along one side of a picture.
type axis struct {
	starts  []int       // in latents, ascending
	weights [][]float32 // of tile i at each of its pixels; the weights that meet at a pixel sum to 1
}

// newAxis lays tiles over n latents of factor pixels each.
func newAxis(n, tile, factor int) axis {
	overlap := tile / 4
	count := 1
	if n > tile {
		count = (n - overlap + tile - overlap - 1) / (tile - overlap) // the fewest that overlap so much
	}
	var a axis
	for i := range count {
		start := 0
		if count > 1 {
			start = (i*(n-tile) + (count-1)/2) / (count - 1)
		}
		a.starts = append(a.starts, start)
	}
	// up is how much of pixel p belongs to tile i and those after it: it grows from 0 to 1 in the middle of where i and i−1 overlap.
	up := func(i, p int) float32 {
		switch i {
		case 0:
			return 1
		case count:
			return 0
		}
		width := float32(overlap * factor)
		middle := float32((a.starts[i]+a.starts[i-1]+tile)*factor) / 2
		return min(max((float32(p)+0.5-middle)/width+0.5, 0), 1)
	}
	for i, start := range a.starts {
		weights := make([]float32, tile*factor)
		for p := range weights {
			at := start*factor + p
			weights[p] = up(i, at) - up(i+1, at)
		}
		a.weights = append(a.weights, weights)
	}
	return a
}

// decodeTiles decodes unscaled latents [C,H,W] tile by tile; it holds the picture and one tile.
func (v *vae) decodeTiles(ctx context.Context, x []float32, s, tile infer.Size) ([]float32, error) {
	f := v.factor
	columns, rows := newAxis(s.Width, tile.Width, f), newAxis(s.Height, tile.Height, f)
	latents := make([]float32, v.channels*tile.Width*tile.Height)
	part := make([]float32, 3*tile.Width*f*tile.Height*f)
	pixels := make([]float32, 3*s.Width*f*s.Height*f)
	for i, top := range rows.starts {
		for j, left := range columns.starts {
			for c := range v.channels {
				for y := range tile.Height {
					copy(latents[(c*tile.Height+y)*tile.Width:][:tile.Width], x[(c*s.Height+top+y)*s.Width+left:])
				}
			}
			if err := v.call(ctx, latents, tile, part); err != nil {
				return nil, err
			}
			for c := range 3 {
				for y, vertical := range rows.weights[i] {
					from := part[(c*tile.Height*f+y)*tile.Width*f:]
					to := pixels[(c*s.Height*f+top*f+y)*s.Width*f+left*f:]
					for p, horizontal := range columns.weights[j] {
						to[p] += float32(from[p] * float32(vertical*horizontal))
					}
				}
			}
		}
	}
	return pixels, nil
}
