package ort

import (
	"context"
	"errors"
	"fmt"

	"github.com/stipple-ai/stipple/internal/infer"
	"github.com/stipple-ai/stipple/internal/infer/onnx"
)

// vae is the decoder half of the autoencoder.
type vae struct {
	session  *session
	channels int
	factor   int
	config   vaeConfig
	tiles    tiling
}

// The folders of the decoder. The second is this program's own: what diffusers does by upcast_vae, a graph cannot.
const (
	vaePart     = "vae_decoder"
	precisePart = "vae_decoder_fp32"
)

// defaultScaling is AutoencoderKL's scaling_factor where the config has none.
const defaultScaling = 0.18215

// planVAE checks the graph of a decoder, which decodes squares of at most tile pixels each way at once (Options.TileSize).
func (f *folder) planVAE(part string, tile int) (*vae, error) {
	v := &vae{channels: f.vae.LatentChannels, factor: f.factor(), config: f.vae}
	v.tiles = newTiling(tile, v.factor, infer.Size{Width: f.unet.sampleW, Height: f.unet.sampleH})
	h := f.graphs[part]
	err := v.check(h)
	if err == nil {
		v.session, err = f.plan(part, h.Outputs[0].Name)
	}
	if err == nil && part == precisePart && h.Inputs[0].Elem != onnx.Float32 {
		err = fmt.Errorf("its input %s is not float32: this folder is for the decoder in float32, which is tried where %s overflows", h.Inputs[0], vaePart)
	}
	if err != nil {
		return nil, f.bad(graphFile(part), "%w", err)
	}
	return v, nil
}

// check checks a graph's one input, the latents, and its output, the picture.
func (v *vae) check(h *onnx.Header) error {
	if len(h.Inputs) != 1 || len(h.Inputs[0].Dims) != 4 || !float(h.Inputs[0]) {
		return fmt.Errorf("its inputs are %s: one, the latents as float32 or float16 of rank 4, is expected of a VAE decoder: %s", list(h.Inputs), exportWhole)
	}
	in, out := h.Inputs[0], h.Outputs[0]
	if c := in.Dims[1]; c >= 0 && int(c) != v.channels {
		return fmt.Errorf("its input %s has %d channels, but the UNet's latents have %d: the folder mixes two models", in, c, v.channels)
	}
	if in.Dims[0] > 1 {
		return checkOpen(in, "batch")
	}
	if err := checkOpen(in, "", "", "height", "width"); err != nil {
		return err
	}
	if !float(out) || (len(out.Dims) == 4 && out.Dims[1] >= 0 && out.Dims[1] != 3) {
		return fmt.Errorf("its output %s is not a picture: float32 or float16 with 3 channels is expected of a VAE decoder: %s", out, exportWhole)
	}
	return nil
}

// Decode implements infer.Decoder.
func (p *Pipeline) Decode(ctx context.Context, latents []float32, s infer.Size) ([]float32, error) {
	return p.vae.decode(ctx, latents, s)
}

// DecodeFloat32 implements infer.Decoder.
func (p *Pipeline) DecodeFloat32(ctx context.Context, latents []float32, s infer.Size) ([]float32, error) {
	if p.precise == nil {
		return nil, fmt.Errorf("%s is not there", p.folder.path(graphFile(precisePart)))
	}
	return p.precise.decode(ctx, latents, s)
}

// decode turns a sampler's latents into pixels, whole or in tiles.
func (v *vae) decode(ctx context.Context, latents []float32, s infer.Size) ([]float32, error) {
	x := v.unscale(latents)
	tile := v.tiles.tile(s)
	if tile == s {
		pixels := make([]float32, 3*s.Width*s.Height*v.factor*v.factor)
		return pixels, v.call(ctx, x, s, pixels)
	}
	return v.decodeTiles(ctx, x, s, tile)
}

// call decodes unscaled latents [C,H,W] into pixels.
func (v *vae) call(ctx context.Context, x []float32, s infer.Size, pixels []float32) (err error) {
	key := frameKey{rows: 1, width: s.Width, height: s.Height}
	f, err := v.session.frames.take(key, func() (*frame, error) { return v.frame(key) })
	if err != nil {
		return fmt.Errorf("%s: %w", v.session.path, err)
	}
	defer func() { err = errors.Join(err, v.session.frames.give(f)) }()
	f.in[0].setFloats(0, x...)
	if err := v.session.call(ctx, f); err != nil {
		return err
	}
	f.out[0].floats(pixels, 0)
	return nil
}

// unscale undoes what training did to the latents: x / scaling_factor + shift_factor, or x · std / scaling_factor + mean for a VAE that has those.
func (v *vae) unscale(x []float32) []float32 {
	scaling := float32(defaultScaling)
	if v.config.ScalingFactor != nil {
		scaling = *v.config.ScalingFactor
	}
	var shift float32
	if v.config.ShiftFactor != nil {
		shift = *v.config.ShiftFactor
	}
	res := make([]float32, len(x))
	n := len(x) / v.channels
	for i, f := range x {
		if v.config.LatentsStd != nil {
			c := i / n
			res[i] = float32(f*v.config.LatentsStd[c])/scaling + v.config.LatentsMean[c]
			continue
		}
		res[i] = f/scaling + shift
	}
	return res
}

func (v *vae) frame(key frameKey) (*frame, error) {
	in, out := v.specs(infer.Size{Width: key.width, Height: key.height})
	return newFrame(key, in, out)
}

// specs are the shapes of a call of that size.
func (v *vae) specs(s infer.Size) (in, out []spec) {
	w, h := int64(s.Width), int64(s.Height)
	in = []spec{{v.session.in[0].Name, v.session.in[0].Elem, []int64{1, int64(v.channels), h, w}}}
	out = []spec{{v.session.out[0].Name, v.session.out[0].Elem, []int64{1, 3, h * int64(v.factor), w * int64(v.factor)}}}
	return in, out
}
