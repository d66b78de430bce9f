package ort

import (
	"encoding/json"
	"fmt"
)

// unetConfig, vaeConfig and textConfig are the parts' config.json, as far as they are needed.
type unetConfig struct {
	InChannels       int             `json:"in_channels"`
	SampleSize       json.RawMessage `json:"sample_size"` // a number, or [height, width]
	DownBlockTypes   []string        `json:"down_block_types"`
	TimeCondProjDim  *int            `json:"time_cond_proj_dim"`
	sampleW, sampleH int
}

// halvings is what the sides of a latent must be divisible by: each block but the last halves them. PyTorch's UNet mends odd ones on its way up, a traced one cannot.
func (c *unetConfig) halvings() int {
	if len(c.DownBlockTypes) == 0 {
		return 8 // UNet2DConditionModel's default is four blocks
	}
	return 1 << (len(c.DownBlockTypes) - 1)
}

type vaeConfig struct {
	LatentChannels   int       `json:"latent_channels"`
	BlockOutChannels []int     `json:"block_out_channels"`
	ScalingFactor    *float32  `json:"scaling_factor"`
	ShiftFactor      *float32  `json:"shift_factor"`
	LatentsMean      []float32 `json:"latents_mean"`
	LatentsStd       []float32 `json:"latents_std"`
}

type textConfig struct {
	HiddenSize            int     `json:"hidden_size"`
	NumHiddenLayers       int     `json:"num_hidden_layers"`
	ProjectionDim         int     `json:"projection_dim"`
	VocabSize             int     `json:"vocab_size"`
	MaxPositionEmbeddings int     `json:"max_position_embeddings"`
	LayerNormEps          float64 `json:"layer_norm_eps"` // of the final layer norm
}

// textParts are the folders of the text encoders.
var textParts = []string{"text_encoder", "text_encoder_2"}

// readConfigs reads the parts' config.json and checks them.
func (f *folder) readConfigs() error {
	for _, part := range append([]string{"unet", "vae_decoder"}, textParts[:len(f.text)]...) {
		if err := f.readConfig(part); err != nil {
			return err
		}
	}
	return f.checkConfigs()
}

func (f *folder) readConfig(part string) error {
	name := part + "/config.json"
	switch {
	case part == "unet" && f.legacy() && !f.exists(name):
		// diffusers' OnnxStableDiffusionPipeline has these numbers in its code.
		f.unet = unetConfig{InChannels: 4}
		return nil
	case part == "unet":
		return f.readJSON(name, &f.unet)
	case part == "vae_decoder":
		return f.readVAEConfig()
	}
	t := &f.text[0]
	if part == textParts[1] {
		t = &f.text[1]
	}
	if f.legacy() && !f.exists(name) {
		t.HiddenSize = f.textWidth()
		return nil
	}
	return f.readJSON(name, t)
}

// readVAEConfig reads the config of the decoder, or of the VAE it is half of, which diffusers' folders have beside.
func (f *folder) readVAEConfig() error {
	for _, name := range []string{"vae_decoder/config.json", "vae/config.json"} {
		if f.exists(name) {
			f.vaeFrom = name
			return f.readJSON(name, &f.vae)
		}
	}
	if f.legacy() { // the numbers of OnnxStableDiffusionPipeline again
		f.vae = vaeConfig{LatentChannels: 4, BlockOutChannels: []int{128, 256, 512, 512}}
		return nil
	}
	return fmt.Errorf("%s is missing: copy the config.json of the model's vae folder there", f.path("vae_decoder/config.json"))
}

// textWidth is the width of the hidden states by the graphs, 0 where they leave it open.
func (f *folder) textWidth() int {
	if out, ok := f.graphs["text_encoder"].Output("last_hidden_state"); ok && len(out.Dims) == 3 && out.Dims[2] > 0 {
		return int(out.Dims[2])
	}
	if in, ok := f.graphs["unet"].Input("encoder_hidden_states"); ok && len(in.Dims) == 3 && in.Dims[2] > 0 {
		return int(in.Dims[2])
	}
	return 0
}

// checkConfigs refuses values that would fail or overflow later, and fills in what diffusers defaults.
func (f *folder) checkConfigs() error {
	if f.unet.InChannels < 1 || f.unet.InChannels > 64 {
		return f.bad("unet/config.json", "in_channels is %d: must be 1 to 64", f.unet.InChannels)
	}
	if n := len(f.unet.DownBlockTypes); n > 8 {
		return f.bad("unet/config.json", "down_block_types has %d entries: must be 1 to 8", n)
	}
	if err := f.checkVAE(); err != nil {
		return err
	}
	if err := f.sampleSize(); err != nil {
		return f.bad("unet/config.json", "%w", err)
	}
	for i, t := range f.text {
		if t.HiddenSize < 1 || t.HiddenSize > 1<<16 || t.ProjectionDim < 0 || t.ProjectionDim > 1<<16 {
			return f.bad(textParts[i]+"/config.json", "hidden_size is %d and projection_dim %d: must be 1 to 65536", t.HiddenSize, t.ProjectionDim)
		}
	}
	if d := f.unet.TimeCondProjDim; d != nil && (*d < 4 || *d > 1<<16) {
		return f.bad("unet/config.json", "time_cond_proj_dim is %d: must be 4 to 65536", *d)
	}
	return nil
}

func (f *folder) checkVAE() error {
	name := f.vaeFrom
	if f.vae.LatentChannels == 0 {
		f.vae.LatentChannels = f.unet.InChannels
	}
	if f.vae.LatentChannels != f.unet.InChannels {
		return f.bad("unet/config.json", "in_channels is %d but the VAE has %d latent channels: this looks like an inpainting or editing model, and only text to image is supported", f.unet.InChannels, f.vae.LatentChannels)
	}
	if n := len(f.vae.BlockOutChannels); n < 1 || n > 8 {
		return f.bad(name, "block_out_channels has %d entries: must be 1 to 8", n)
	}
	if s := f.vae.ScalingFactor; s != nil && !(*s > 0) {
		return f.bad(name, "scaling_factor is %v: must be positive", *s)
	}
	if (f.vae.LatentsMean == nil) != (f.vae.LatentsStd == nil) {
		return f.bad(name, "latents_mean and latents_std must stand together")
	}
	for field, v := range map[string][]float32{"latents_mean": f.vae.LatentsMean, "latents_std": f.vae.LatentsStd} {
		if v != nil && len(v) != f.vae.LatentChannels {
			return f.bad(name, "%s has %d entries for %d latent channels", field, len(v), f.vae.LatentChannels)
		}
	}
	return nil
}

func (f *folder) sampleSize() error {
	var n int
	var hw [2]int
	switch {
	case len(f.unet.SampleSize) == 0:
		n = 64
	case json.Unmarshal(f.unet.SampleSize, &n) == nil:
	case json.Unmarshal(f.unet.SampleSize, &hw) == nil:
	default:
		return fmt.Errorf("sample_size is %s: must be a number or [height, width]", f.unet.SampleSize)
	}
	if n != 0 {
		hw = [2]int{n, n}
	}
	if min(hw[0], hw[1]) < 1 || max(hw[0], hw[1]) > 4096 {
		return fmt.Errorf("sample_size is %s: must be 1 to 4096", f.unet.SampleSize)
	}
	if n := f.unet.halvings(); hw[0]%n != 0 || hw[1]%n != 0 {
		return fmt.Errorf("sample_size is %s: must be a multiple of %d, as %d down_block_types halve it", f.unet.SampleSize, n, len(f.unet.DownBlockTypes))
	}
	f.unet.sampleH, f.unet.sampleW = hw[0], hw[1]
	return nil
}
