package ort

import (
	"context"
	"errors"
	"fmt"
	"math"
	"weak"

	"github.com/stipple-ai/stipple/internal/infer"
)

// unet is the denoiser. Its inputs are matched by the graph's own names and types.
type unet struct {
	session        *session
	channels       int
	tokens         int // rows of encoder_hidden_states
	fixedTokens    int // the same where the graph says, else 0
	textWidth      int
	pooled         int // width of text_embeds, 0 where the graph has none
	guidanceDim    int // width of timestep_cond, 0 where the graph has none
	scalarTimestep bool
	factor         int // pixels a latent: time_ids are in pixels
}

// input is what an input of the graph stands for: its shape for a number of rows, and how a row is written.
type input struct {
	dims  func(u *unet, c *infer.Call) []int64 // without the leading rows
	write func(u *unet, f *frame, t *tensor, i int, c *infer.Call)
}

// inputs are the names that every exporter uses.
var inputs = map[string]input{
	"sample": {
		dims: func(u *unet, c *infer.Call) []int64 {
			return []int64{int64(u.channels), int64(c.Size.Height), int64(c.Size.Width)}
		},
		write: func(u *unet, _ *frame, t *tensor, i int, c *infer.Call) {
			n := u.channels * c.Size.Height * c.Size.Width
			if i < len(c.Rows) {
				t.setFloats(i*n, c.Rows[i].Latent...)
			} else {
				t.zero(i*n, n)
			}
		},
	},
	"timestep": {
		dims: func(*unet, *infer.Call) []int64 { return nil },
		write: func(_ *unet, _ *frame, t *tensor, i int, c *infer.Call) {
			if i < t.n {
				t.setFloats(i, row(c, i).Timestep)
			}
		},
	},
	"encoder_hidden_states": {
		dims: func(u *unet, _ *infer.Call) []int64 { return []int64{int64(u.tokens), int64(u.textWidth)} },
		write: func(u *unet, f *frame, t *tensor, i int, c *infer.Call) {
			if text := row(c, i).Text; f.texts[i] != weak.Make(text) {
				t.setFloats(i*u.tokens*u.textWidth, text.Hidden...)
			}
		},
	},
	"text_embeds": {
		dims: func(u *unet, _ *infer.Call) []int64 { return []int64{int64(u.pooled)} },
		write: func(u *unet, f *frame, t *tensor, i int, c *infer.Call) {
			if text := row(c, i).Text; f.texts[i] != weak.Make(text) {
				t.setFloats(i*u.pooled, text.Pooled...)
			}
		},
	},
	// original size, crop, target size, as diffusers' SDXL pipeline fills them when nothing else is asked for.
	"time_ids": {
		dims: func(*unet, *infer.Call) []int64 { return []int64{6} },
		write: func(u *unet, _ *frame, t *tensor, i int, c *infer.Call) {
			h, w := float32(c.Size.Height*u.factor), float32(c.Size.Width*u.factor)
			t.setFloats(i*6, h, w, 0, 0, h, w)
		},
	},
	"timestep_cond": {
		dims: func(u *unet, _ *infer.Call) []int64 { return []int64{int64(u.guidanceDim)} },
		write: func(u *unet, _ *frame, t *tensor, i int, c *infer.Call) {
			t.setFloats(i*u.guidanceDim, guidanceEmbedding(row(c, i).Guidance-1, u.guidanceDim)...)
		},
	},
}

// row returns the row at i; rows of padding repeat the first one's conditions.
func row(c *infer.Call, i int) *infer.Row {
	if i < len(c.Rows) {
		return &c.Rows[i]
	}
	return &c.Rows[0]
}

// Denoise implements infer.Denoiser.
func (p *Pipeline) Denoise(ctx context.Context, c *infer.Call) (err error) {
	u := p.unet
	key := frameKey{rows: c.Pad, width: c.Size.Width, height: c.Size.Height}
	f, err := u.session.frames.take(key, func() (*frame, error) { return u.frame(key, c) })
	if err != nil {
		return fmt.Errorf("%s: %w", u.session.path, err)
	}
	defer func() { err = errors.Join(err, u.session.frames.give(f)) }()
	for j, v := range u.session.in {
		write := inputs[v.Name].write
		for i := range c.Pad {
			write(u, f, f.in[j], i, c)
		}
	}
	for i := range c.Pad {
		f.texts[i] = weak.Make(row(c, i).Text)
	}
	if err := u.session.call(ctx, f); err != nil {
		return err
	}
	n := u.channels * c.Size.Height * c.Size.Width
	for i := range c.Rows {
		f.out[0].floats(c.Rows[i].Out, i*n)
	}
	return nil
}

func (u *unet) frame(key frameKey, c *infer.Call) (*frame, error) {
	v := u.session.out[0]
	out := []spec{{v.Name, v.Elem, append([]int64{int64(key.rows)}, inputs["sample"].dims(u, c)...)}}
	return newFrame(key, u.inputs(key.rows, c), out)
}

// inputs are the shapes of a call of c's size with so many rows.
func (u *unet) inputs(rows int, c *infer.Call) []spec {
	var in []spec
	for _, v := range u.session.in {
		dims := append([]int64{int64(rows)}, inputs[v.Name].dims(u, c)...)
		if v.Name == "timestep" && u.scalarTimestep {
			dims = []int64{1}[:len(v.Dims)]
		}
		in = append(in, spec{v.Name, v.Elem, dims})
	}
	return in
}

// guidanceEmbedding is diffusers' get_guidance_scale_embedding: sines and cosines of 1000·w at dim/2 frequencies, in float32.
func guidanceEmbedding(w float32, dim int) []float32 {
	half := dim / 2
	res := make([]float32, dim)
	scale := float32(math.Log(10000)) / float32(half-1)
	for i := range half {
		f := float32(math.Exp(float64(float32(i) * -scale)))
		s, c := math.Sincos(float64(float32(w*1000) * f))
		res[i], res[half+i] = float32(s), float32(c)
	}
	return res
}
