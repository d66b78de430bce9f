package ort

import (
	"errors"
	"fmt"
	"slices"

	"github.com/stipple-ai/stipple/internal/infer/onnx"
)

// planUNet checks the graph of the denoiser.
func (f *folder) planUNet() (*unet, error) {
	u := &unet{channels: f.unet.InChannels, factor: f.factor()}
	h := f.graphs["unet"]
	if err := u.read(h, f); err != nil {
		return nil, err
	}
	out, err := u.output(h)
	if err == nil {
		u.session, err = f.plan("unet", out)
	}
	return u, err
}

// read checks the graph's inputs and learns from them what varies between exports.
func (u *unet) read(h *onnx.Header, f *folder) error {
	for _, v := range h.Inputs {
		if _, ok := inputs[v.Name]; !ok {
			return fmt.Errorf("its input %s is not one that this worker fills: text-to-image UNets have sample, timestep, encoder_hidden_states, and text_embeds, time_ids or timestep_cond: %s", v, exportWhole)
		}
	}
	for _, check := range []func(*onnx.Header, *folder) error{u.readSample, u.readText, u.readTimestep, u.readAdded, u.readGuidance} {
		if err := check(h, f); err != nil {
			return err
		}
	}
	return nil
}

// floatInput returns the input of that name, of that rank, in float32 or float16.
func floatInput(h *onnx.Header, name string, rank int) (onnx.Value, error) {
	v, ok := h.Input(name)
	if !ok || len(v.Dims) != rank || !float(v) {
		return v, fmt.Errorf("it needs an input %s of float32 or float16 and rank %d; its inputs are %s: %s", name, rank, list(h.Inputs), exportWhole)
	}
	return v, nil
}

func (u *unet) readSample(h *onnx.Header, _ *folder) error {
	v, err := floatInput(h, "sample", 4)
	if err != nil {
		return err
	}
	if c := v.Dims[1]; c >= 0 && int(c) != u.channels {
		return fmt.Errorf("its %s has %d channels, but unet/config.json says in_channels %d: the folder mixes two models", v, c, u.channels)
	}
	return checkOpen(v, "batch", "", "height", "width")
}

func (u *unet) readText(h *onnx.Header, _ *folder) error {
	v, err := floatInput(h, "encoder_hidden_states", 3)
	if err != nil {
		return err
	}
	u.fixedTokens, u.textWidth = max(int(v.Dims[1]), 0), max(int(v.Dims[2]), 0)
	return checkOpen(v, "batch")
}

// readTimestep takes a vector of one value a row, or a scalar (also as a vector of length 1), with which only rows of one sample may share a call.
func (u *unet) readTimestep(h *onnx.Header, _ *folder) error {
	v, ok := h.Input("timestep")
	number := slices.Contains([]onnx.Elem{onnx.Float32, onnx.Float16, onnx.Int64, onnx.Int32}, v.Elem)
	switch {
	case !ok || len(v.Dims) > 1 || !number:
		return fmt.Errorf("it needs an input timestep, a vector or a scalar of float32, float16, int64 or int32; its inputs are %s: %s", list(h.Inputs), exportWhole)
	case len(v.Dims) == 0 && v.Elem == onnx.Float16:
		return fmt.Errorf("its %s is a scalar of float16: export it as a vector, one value a row, or in float32 (docs/models.md)", v)
	case len(v.Dims) == 1 && v.Dims[0] != 1:
		return checkOpen(v, "batch")
	}
	u.scalarTimestep = true
	return nil
}

// readAdded checks what SDXL adds to the time embedding: the pooled text and the picture's sizes.
func (u *unet) readAdded(h *onnx.Header, f *folder) error {
	_, pooled := h.Input("text_embeds")
	_, ids := h.Input("time_ids")
	switch {
	case !pooled && !ids && len(f.text) == 1:
		return nil
	case !pooled || !ids:
		return fmt.Errorf("with %d text encoders in the folder, its inputs are %s: SDXL has two encoders, text_embeds and time_ids, other models none of these: %s", len(f.text), list(h.Inputs), exportWhole)
	case len(f.text) != 2:
		return fmt.Errorf("it takes text_embeds, but %s is not there: %s", f.path(textParts[1]), exportWhole)
	}
	text, err := floatInput(h, "text_embeds", 2)
	if err != nil {
		return err
	}
	u.pooled = max(int(text.Dims[1]), 0)
	v, _ := h.Input("time_ids")
	if len(v.Dims) != 2 || (v.Dims[1] >= 0 && v.Dims[1] != 6) {
		return fmt.Errorf("its %s must hold 6 numbers a row (the refiner's 5 belong to another pipeline, which is not supported)", v)
	}
	return errors.Join(checkOpen(text, "batch"), checkOpen(v, "batch"))
}

// readGuidance checks the guidance embedding of distilled models (LCM).
func (u *unet) readGuidance(h *onnx.Header, f *folder) error {
	_, ok := h.Input("timestep_cond")
	switch want := f.unet.TimeCondProjDim; {
	case !ok && want == nil:
		return nil
	case !ok:
		return fmt.Errorf("unet/config.json says time_cond_proj_dim %d, but the graph takes no timestep_cond, so it would ignore the guidance scale: %s", *want, exportWhole)
	case want == nil:
		return errors.New("it takes timestep_cond, but unet/config.json has no time_cond_proj_dim: the folder mixes two models")
	default:
		u.guidanceDim = *want
	}
	v, err := floatInput(h, "timestep_cond", 2)
	if err != nil {
		return err
	}
	if v.Dims[1] >= 0 && int(v.Dims[1]) != u.guidanceDim {
		return fmt.Errorf("its %s has another width than unet/config.json's time_cond_proj_dim %d: the folder mixes two models", v, u.guidanceDim)
	}
	return checkOpen(v, "batch")
}

// output names the prediction among the graph's outputs.
func (u *unet) output(h *onnx.Header) (string, error) {
	v, ok := h.Output("out_sample")
	if !ok {
		v = h.Outputs[0]
	}
	if !float(v) || (len(v.Dims) == 4 && v.Dims[1] >= 0 && int(v.Dims[1]) != u.channels) {
		return "", fmt.Errorf("its output %s is not a prediction of float32 or float16 with %d channels, as many as its sample has: %s", v, u.channels, exportWhole)
	}
	return v.Name, nil
}

// fit checks the UNet against the text encoders: tokens a prompt, and the widths of what they give.
func (u *unet) fit(tokens, width, pooled int) error {
	const mixed = "the folder mixes two models"
	switch {
	case u.fixedTokens > 0 && u.fixedTokens != tokens:
		return fmt.Errorf("%s: its encoder_hidden_states has a fixed length of %d, but the tokenizer gives %d tokens: %s", u.session.path, u.fixedTokens, tokens, exportDynamic)
	case u.textWidth > 0 && u.textWidth != width:
		return fmt.Errorf("%s: its encoder_hidden_states are %d wide, but the text encoders give %d: %s", u.session.path, u.textWidth, width, mixed)
	case u.pooled > 0 && u.pooled != pooled:
		return fmt.Errorf("%s: its text_embeds are %d wide, but text_encoder_2 gives %d: %s", u.session.path, u.pooled, pooled, mixed)
	}
	u.tokens, u.textWidth, u.pooled = tokens, width, pooled
	return nil
}
