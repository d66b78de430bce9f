package ort

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/stipple-ai/stipple/internal/infer"
	"github.com/stipple-ai/stipple/internal/infer/onnx"
)

// unet is the denoiser. Its inputs are matched by the graph's own names and types.
type unet struct {
	session        *session
	channels       int
	tokens         int // rows of encoder_hidden_states
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
			if text := row(c, i).Text; f.texts[i] != text {
				t.setFloats(i*u.tokens*u.textWidth, text.Hidden...)
			}
		},
	},
	"text_embeds": {
		dims: func(u *unet, _ *infer.Call) []int64 { return []int64{int64(u.pooled)} },
		write: func(u *unet, f *frame, t *tensor, i int, c *infer.Call) {
			if text := row(c, i).Text; f.texts[i] != text {
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

func (r *Runtime) loadUNet(f *folder) (*unet, error) {
	u := &unet{channels: f.unet.InChannels, factor: f.factor()}
	var err error
	u.session, err = r.load(f.path("unet/model.onnx"), func(h *onnx.Header) ([]string, error) {
		if err := u.read(h, f); err != nil {
			return nil, err
		}
		return []string{h.Outputs[0].Name}, nil
	})
	if err != nil {
		return nil, err
	}
	return u, nil
}

// read checks the graph's inputs and learns from them what varies between exports.
func (u *unet) read(h *onnx.Header, f *folder) error {
	for _, v := range h.Inputs {
		if _, ok := inputs[v.Name]; !ok {
			return fmt.Errorf("its input %s is not one that this worker fills: text-to-image UNets have sample, timestep, encoder_hidden_states, and text_embeds, time_ids or timestep_cond", v)
		}
	}
	for name, rank := range map[string]int{"sample": 4, "encoder_hidden_states": 3} {
		v, ok := h.Input(name)
		if !ok || len(v.Dims) != rank || (v.Elem != onnx.Float32 && v.Elem != onnx.Float16) {
			return fmt.Errorf("its input %s must be float32 or float16 of rank %d: the inputs are %v", name, rank, h.Inputs)
		}
	}
	sample, _ := h.Input("sample")
	if c := sample.Dims[1]; c > 0 && int(c) != u.channels {
		return fmt.Errorf("its sample has %d channels, but unet/config.json says in_channels %d", c, u.channels)
	}
	text, _ := h.Input("encoder_hidden_states")
	u.textWidth = max(int(text.Dims[2]), 0)
	t, ok := h.Input("timestep")
	if !ok || len(t.Dims) > 1 {
		return fmt.Errorf("its input timestep must be a vector or a scalar: the inputs are %v", h.Inputs)
	}
	u.scalarTimestep = len(t.Dims) == 0 || t.Dims[0] == 1
	if cond, ok := h.Input("timestep_cond"); ok {
		if f.unet.TimeCondProjDim == nil {
			return errors.New("it takes timestep_cond, but unet/config.json has no time_cond_proj_dim")
		}
		u.guidanceDim = *f.unet.TimeCondProjDim
		if n := len(cond.Dims); n != 2 || (cond.Dims[1] > 0 && int(cond.Dims[1]) != u.guidanceDim) {
			return fmt.Errorf("its timestep_cond is %v, but unet/config.json says time_cond_proj_dim %d", cond, u.guidanceDim)
		}
	}
	return nil
}

func (u *unet) takesPooled() bool {
	for _, v := range u.session.in {
		if v.Name == "text_embeds" {
			return true
		}
	}
	return false
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
		f.texts[i] = row(c, i).Text
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
	var in []spec
	for _, v := range u.session.in {
		dims := append([]int64{int64(key.rows)}, inputs[v.Name].dims(u, c)...)
		if v.Name == "timestep" && u.scalarTimestep {
			dims = []int64{1}[:len(v.Dims)]
		}
		in = append(in, spec{v.Name, v.Elem, dims})
	}
	v := u.session.out[0]
	out := []spec{{v.Name, v.Elem, append([]int64{int64(key.rows)}, inputs["sample"].dims(u, c)...)}}
	return newFrame(key, in, out)
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
