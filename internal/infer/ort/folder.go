package ort

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/stipple-ai/stipple/internal/infer/schedule"
)

// folder is what a pipeline's JSON files say, in the layout that diffusers and optimum write.
type folder struct {
	dir       string
	index     modelIndex
	unet      unetConfig
	vae       vaeConfig
	text      []textConfig // text_encoder, and text_encoder_2 where there is one
	scheduler schedule.Config
	defaults  Defaults
}

// modelIndex is model_index.json. Which parts there are is read from the folder, so the class name only has to be one that stands for text to image.
type modelIndex struct {
	ClassName                string `json:"_class_name"`
	ForceZerosForEmptyPrompt *bool  `json:"force_zeros_for_empty_prompt"` // SDXL; true when absent
}

type unetConfig struct {
	InChannels       int             `json:"in_channels"`
	SampleSize       json.RawMessage `json:"sample_size"` // a number, or [height, width]
	TimeCondProjDim  *int            `json:"time_cond_proj_dim"`
	sampleW, sampleH int
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
	HiddenSize      int `json:"hidden_size"`
	NumHiddenLayers int `json:"num_hidden_layers"`
	ProjectionDim   int `json:"projection_dim"`
}

// Defaults are a job's fields that it may leave out, by the model's own stipple.json. Zero means that the file says nothing.
type Defaults struct {
	Steps    int      `json:"num_inference_steps,omitempty"`
	Guidance *float64 `json:"guidance_scale,omitempty"`
}

// classes are the pipelines whose parts this package knows how to drive, without the exporters' prefixes (ORT, Onnx).
var classes = map[string]bool{
	"StableDiffusionPipeline": true, "StableDiffusionXLPipeline": true, "LatentConsistencyModelPipeline": true,
}

// readFolder reads every JSON file of the pipeline in dir. Errors name the file and what to do.
func readFolder(dir string) (*folder, error) {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("model folder %s is not there: MODELS (--models) must name folders with a model_index.json", dir)
	case err != nil:
		return nil, err
	case !info.IsDir():
		return nil, fmt.Errorf("model folder %s is a file: MODELS (--models) must name folders with a model_index.json", dir)
	}
	f := &folder{dir: dir, text: make([]textConfig, 1)}
	if f.exists("text_encoder_2") {
		f.text = make([]textConfig, 2)
	}
	if err := f.readJSON("model_index.json", &f.index); err != nil {
		return nil, err
	}
	if !classes[f.class()] {
		return nil, fmt.Errorf("%s: _class_name %q is not a pipeline that this worker draws with (Stable Diffusion 1.x and 2.x, SDXL, their Turbo and LCM forms)", f.path("model_index.json"), f.index.ClassName)
	}
	for name, into := range map[string]any{"unet/config.json": &f.unet, "vae_decoder/config.json": &f.vae, "text_encoder/config.json": &f.text[0]} {
		if err := f.readJSON(name, into); err != nil {
			return nil, err
		}
	}
	if len(f.text) == 2 {
		if err := f.readJSON("text_encoder_2/config.json", &f.text[1]); err != nil {
			return nil, err
		}
	}
	if f.exists("stipple.json") {
		if err := f.readJSON("stipple.json", &f.defaults); err != nil {
			return nil, err
		}
	}
	if err := f.readScheduler(); err != nil {
		return nil, err
	}
	return f, f.check()
}

// class is the pipeline's class without the exporters' prefixes.
func (f *folder) class() string {
	return strings.TrimPrefix(strings.TrimPrefix(f.index.ClassName, "ORT"), "Onnx")
}

func (f *folder) path(name string) string { return filepath.Join(f.dir, filepath.FromSlash(name)) }

func (f *folder) exists(name string) bool {
	_, err := os.Stat(f.path(name))
	return err == nil
}

func (f *folder) readJSON(name string, into any) error {
	data, err := os.ReadFile(f.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is missing: export the whole pipeline (docs/models.md)", f.path(name))
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: %w", f.path(name), err)
	}
	return nil
}

func (f *folder) readScheduler() error {
	const name = "scheduler/scheduler_config.json"
	fields := map[string]json.RawMessage{}
	if err := f.readJSON(name, &fields); err != nil {
		return err
	}
	if f.class() == "StableDiffusionPipeline" {
		// diffusers' pipeline does this to every scheduler it loads: configurations from before these fields would draw otherwise.
		fields["steps_offset"], fields["clip_sample"] = json.RawMessage("1"), json.RawMessage("false")
	}
	raw, err := json.Marshal(fields)
	if err != nil {
		return fmt.Errorf("%s: %w", f.path(name), err)
	}
	c, err := schedule.ParseConfig(raw)
	if err != nil {
		return fmt.Errorf("%s: %w", f.path(name), err)
	}
	if _, err := schedule.Resolve("", c); err != nil {
		return fmt.Errorf("%s: %w", f.path(name), err)
	}
	f.scheduler = c
	return nil
}

// check refuses values that would fail or overflow later, and fills in what diffusers defaults.
func (f *folder) check() error {
	bad := func(name, format string, args ...any) error {
		return fmt.Errorf("%s: %s", f.path(name), fmt.Sprintf(format, args...))
	}
	if f.unet.InChannels < 1 || f.unet.InChannels > 64 {
		return bad("unet/config.json", "in_channels is %d: must be 1 to 64", f.unet.InChannels)
	}
	if f.vae.LatentChannels == 0 {
		f.vae.LatentChannels = f.unet.InChannels
	}
	if f.vae.LatentChannels != f.unet.InChannels {
		return bad("unet/config.json", "in_channels is %d but the VAE has %d latent channels: this looks like an inpainting or editing model, and only text to image is supported", f.unet.InChannels, f.vae.LatentChannels)
	}
	if n := len(f.vae.BlockOutChannels); n < 1 || n > 8 {
		return bad("vae_decoder/config.json", "block_out_channels has %d entries: must be 1 to 8", n)
	}
	if s := f.vae.ScalingFactor; s != nil && !(*s > 0) {
		return bad("vae_decoder/config.json", "scaling_factor is %v: must be positive", *s)
	}
	for name, v := range map[string][]float32{"latents_mean": f.vae.LatentsMean, "latents_std": f.vae.LatentsStd} {
		if v != nil && len(v) != f.vae.LatentChannels {
			return bad("vae_decoder/config.json", "%s has %d entries for %d latent channels", name, len(v), f.vae.LatentChannels)
		}
	}
	if (f.vae.LatentsMean == nil) != (f.vae.LatentsStd == nil) {
		return bad("vae_decoder/config.json", "latents_mean and latents_std must stand together")
	}
	if err := f.sampleSize(); err != nil {
		return bad("unet/config.json", "%v", err)
	}
	for i, t := range f.text {
		if t.HiddenSize < 1 || t.HiddenSize > 1<<16 || t.ProjectionDim < 0 || t.ProjectionDim > 1<<16 {
			return bad([]string{"text_encoder/config.json", "text_encoder_2/config.json"}[i], "hidden_size is %d and projection_dim %d: must be 1 to 65536", t.HiddenSize, t.ProjectionDim)
		}
	}
	if d := f.unet.TimeCondProjDim; d != nil && (*d < 4 || *d > 1<<16) {
		return bad("unet/config.json", "time_cond_proj_dim is %d: must be 4 to 65536", *d)
	}
	if s := f.defaults.Steps; s < 0 || s > 1000 {
		return bad("stipple.json", "num_inference_steps is %d: must be 1 to 1000", s)
	}
	if g := f.defaults.Guidance; g != nil && (*g < 0 || *g > 50) {
		return bad("stipple.json", "guidance_scale is %v: must be 0 to 50", *g)
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
	f.unet.sampleH, f.unet.sampleW = hw[0], hw[1]
	return nil
}

// factor is pixels a latent: each block but the first halves the picture.
func (f *folder) factor() int { return 1 << (len(f.vae.BlockOutChannels) - 1) }

// zeroNegative reports whether an empty negative prompt stands for zeros, as in diffusers' SDXL pipeline.
func (f *folder) zeroNegative() bool {
	if len(f.text) != 2 {
		return false
	}
	return f.index.ForceZerosForEmptyPrompt == nil || *f.index.ForceZerosForEmptyPrompt
}
