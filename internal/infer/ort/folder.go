package ort

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/stipple-ai/stipple/internal/infer/onnx"
	"github.com/stipple-ai/stipple/internal/infer/schedule"
)

// folder is what a pipeline's files say, in the layout that diffusers and optimum write.
type folder struct {
	dir       string
	index     modelIndex
	graphs    map[string]*onnx.Header // by part: unet, vae_decoder, …
	unet      unetConfig
	vae       vaeConfig
	vaeFrom   string       // the file that vae was read from, or "" for an old exporter that wrote none
	text      []textConfig // text_encoder, and text_encoder_2 where there is one
	scheduler schedule.Config
	own       ownConfig
}

// modelIndex is model_index.json. Which parts there are is read from the folder, so the class name only has to be one that stands for text to image.
type modelIndex struct {
	ClassName                string            `json:"_class_name"`
	Scheduler                []json.RawMessage `json:"scheduler"`                    // library and class
	ForceZerosForEmptyPrompt *bool             `json:"force_zeros_for_empty_prompt"` // SDXL; true when absent
}

// ownConfig is stipple.json, which is this program's own: what no other file of a pipeline says.
type ownConfig struct {
	Defaults

	// ClipSkip is diffusers' clip_skip: how many of the text encoders' last layers the prompt leaves out. The negative prompt never does.
	ClipSkip int `json:"clip_skip"`

	// Digest is what the pipeline's other files amount to (digest.go); "" leaves it open.
	Digest string `json:"digest"`
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

// readFolder reads every JSON file of the pipeline in dir, and the heads of its graphs. Errors name the file and what to do.
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
	for _, read := range []func() error{f.readGraphs, f.readConfigs, f.readOwn, f.readScheduler} {
		if err := read(); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// class is the pipeline's class without the exporters' prefixes.
func (f *folder) class() string {
	return strings.TrimPrefix(strings.TrimPrefix(f.index.ClassName, "ORT"), "Onnx")
}

// legacy reports whether diffusers' own exporter to ONNX wrote the folder: it leaves the parts' config.json out.
func (f *folder) legacy() bool { return strings.HasPrefix(f.index.ClassName, "Onnx") }

func (f *folder) path(name string) string { return filepath.Join(f.dir, filepath.FromSlash(name)) }

func (f *folder) exists(name string) bool {
	_, err := os.Stat(f.path(name))
	return err == nil
}

func (f *folder) readJSON(name string, into any) error {
	return f.read(name, func(data []byte) error { return json.Unmarshal(data, into) })
}

func (f *folder) read(name string, parse func([]byte) error) error {
	data, err := os.ReadFile(f.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is missing: %s", f.path(name), exportWhole)
	}
	if err != nil {
		return err
	}
	if err := parse(data); err != nil {
		return fmt.Errorf("%s: %w", f.path(name), err)
	}
	return nil
}

// readOwn reads stipple.json where there is one. A field that it does not know is a mistake.
func (f *folder) readOwn() error {
	const name = ownFile
	if !f.exists(name) {
		return nil
	}
	err := f.read(name, func(data []byte) error {
		d := json.NewDecoder(bytes.NewReader(data))
		d.DisallowUnknownFields()
		return d.Decode(&f.own)
	})
	if err != nil {
		return err
	}
	if s := f.own.Steps; s < 0 || s > 1000 {
		return f.bad(name, "num_inference_steps is %d: must be 1 to 1000", s)
	}
	if g := f.own.Guidance; g != nil && (*g < 0 || *g > 50) {
		return f.bad(name, "guidance_scale is %v: must be 0 to 50", *g)
	}
	if k := f.own.ClipSkip; k < 0 {
		return f.bad(name, "clip_skip is %d: must be 0 or the number of layers to leave out", k)
	}
	if d := f.own.Digest; d != "" && (len(d) != 64 || strings.Trim(d, "0123456789abcdef") != "") {
		return f.bad(name, "digest is %q: must be 64 digits of a SHA-256 in lower case (docs/models.md)", d)
	}
	return nil
}

func (f *folder) readScheduler() error {
	const name = "scheduler/scheduler_config.json"
	fields := map[string]json.RawMessage{}
	err := f.read(name, func(data []byte) error { return json.Unmarshal(schedule.StandardJSON(data), &fields) })
	if err != nil {
		return err
	}
	if f.class() == "StableDiffusionPipeline" {
		// diffusers' pipeline does this to every scheduler it loads: configurations from before these fields would draw otherwise.
		fields["steps_offset"], fields["clip_sample"] = json.RawMessage("1"), json.RawMessage("false")
	}
	if own := fields["_class_name"]; own != nil {
		var class string
		if err := json.Unmarshal(own, &class); err != nil {
			return f.bad(name, "_class_name: %w", err)
		}
		if class != "" {
			if err := schedule.CheckClass(class); err != nil { // its fields may mean anything
				return f.bad(name, "%w", err)
			}
		}
	}
	// As in diffusers the index has the last word, whichever known class wrote the configuration; the oldest exporters wrote the class there alone.
	namedBy := name
	if len(f.index.Scheduler) == 2 && string(f.index.Scheduler[1]) != "null" {
		fields["_class_name"], namedBy = f.index.Scheduler[1], "model_index.json"
	}
	raw, err := json.Marshal(fields)
	if err != nil {
		return f.bad(name, "%w", err)
	}
	c, err := schedule.ParseConfig(raw)
	if err != nil {
		return f.bad(name, "%w", err)
	}
	if _, err := schedule.Resolve("", c); err != nil {
		return f.bad(name, "with the class that %s names: %w", namedBy, err)
	}
	f.scheduler = c
	return nil
}

// bad is an error about the file name.
func (f *folder) bad(name, format string, args ...any) error {
	return fmt.Errorf("%s: %w", f.path(name), fmt.Errorf(format, args...))
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
