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
}

// defaultScaling is AutoencoderKL's scaling_factor where the config has none.
const defaultScaling = 0.18215

// planVAE checks the graph of the decoder.
func (f *folder) planVAE() (*vae, error) {
	v := &vae{channels: f.vae.LatentChannels, factor: f.factor(), config: f.vae}
	h := f.graphs["vae_decoder"]
	err := v.check(h)
	if err == nil {
		v.session, err = f.plan("vae_decoder", h.Outputs[0].Name)
	}
	return v, err
}

// check checks the graph's one input, the latents, and its output, the picture.
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
func (p *Pipeline) Decode(ctx context.Context, latents []float32, s infer.Size) (_ []float32, err error) {
	v := p.vae
	key := frameKey{rows: 1, width: s.Width, height: s.Height}
	f, err := v.session.frames.take(key, func() (*frame, error) { return v.frame(key) })
	if err != nil {
		return nil, fmt.Errorf("%s: %w", v.session.path, err)
	}
	defer func() { err = errors.Join(err, v.session.frames.give(f)) }()
	f.in[0].setFloats(0, v.unscale(latents)...)
	if err := v.session.call(ctx, f); err != nil {
		return nil, err
	}
	pixels := make([]float32, f.out[0].n)
	f.out[0].floats(pixels, 0)
	return pixels, nil
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
	w, h := int64(key.width), int64(key.height)
	in := []spec{{v.session.in[0].Name, v.session.in[0].Elem, []int64{1, int64(v.channels), h, w}}}
	out := []spec{{v.session.out[0].Name, v.session.out[0].Elem, []int64{1, 3, h * int64(v.factor), w * int64(v.factor)}}}
	return newFrame(key, in, out)
}
