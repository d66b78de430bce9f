package ort

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/stipple-ai/stipple/internal/infer/onnx"
)

// engine is what TensorRT builds of one graph, and the folder where it is kept. TensorRT itself knows an engine by its graph alone: one for another card,
// another driver or other shapes would be loaded, and fail or be slow, so the folder's name holds all of these.
type engine struct {
	key   engineKey
	cache string // ENGINE_CACHE
}

// engineKey is all that an engine depends on.
type engineKey struct {
	Model    string            `json:"model_digest"`
	Part     string            `json:"part"`
	ORT      string            `json:"onnxruntime"`
	TensorRT string            `json:"tensorrt"`
	Device   DeviceFacts       `json:"device"`
	Profile  profile           `json:"profile"`
	Options  map[string]string `json:"options"`
}

// DeviceFacts are what tells one card and driver from another.
type DeviceFacts struct {
	Name       string `json:"name"`
	Capability string `json:"compute_capability"` // as 9.0
	Driver     string `json:"driver"`             // as 580.65.06
}

// profile is the shapes of a graph's inputs that an engine is built for, as TensorRT's provider reads them: name:1x4x64x64,….
type profile struct {
	Min string `json:"min"`
	Opt string `json:"opt"`
	Max string `json:"max"`
}

// folder is where the engine is kept.
func (e *engine) folder() string {
	raw, err := json.Marshal(e.key)
	if err != nil {
		panic(err) // strings alone
	}
	sum := sha256.Sum256(raw)
	return filepath.Join(e.cache, e.key.Model[:min(12, len(e.key.Model))]+"-"+e.key.Part+"-"+hex.EncodeToString(sum[:8]))
}

// built reports whether an engine is there.
func (e *engine) built() bool {
	found, err := filepath.Glob(filepath.Join(e.folder(), "*.engine"))
	return err == nil && len(found) > 0
}

// prepare makes the folder, with a note for people. Where an engine is there it writes nothing: the folder may be one that others made, and read-only.
func (e *engine) prepare() error {
	if e.built() {
		return nil
	}
	raw, err := json.MarshalIndent(e.key, "", "  ")
	if err == nil {
		err = os.MkdirAll(e.folder(), 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(e.folder(), "about.json"), append(raw, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("ENGINE_CACHE (--engine-cache): %w", err)
	}
	return nil
}

// options are those of TensorRT's provider for this engine.
func (e *engine) options() map[string]string {
	o := maps.Clone(e.key.Options)
	maps.Copy(o, map[string]string{
		"trt_engine_cache_enable": "1", "trt_engine_cache_path": e.folder(),
		// Timings of kernels are the card's, not the model's: a second model, or the same one for other shapes, is built in less time.
		"trt_timing_cache_enable": "1", "trt_timing_cache_path": e.cache,
		"trt_profile_min_shapes": e.key.Profile.Min, "trt_profile_opt_shapes": e.key.Profile.Opt, "trt_profile_max_shapes": e.key.Profile.Max,
	})
	return o
}

// tensorRTOptionsOf are the options of a graph: float16 where its inputs are, unless it was said.
func tensorRTOptionsOf(in []onnx.Value, set map[string]string) map[string]string {
	o := choose(tensorRTOptions, set)
	half := "0"
	for _, v := range in {
		if v.Elem == onnx.Float16 {
			half = "1"
		}
	}
	if _, said := o["trt_fp16_enable"]; !said {
		o["trt_fp16_enable"] = half
	}
	if _, said := o["trt_layer_norm_fp32_fallback"]; !said && o["trt_fp16_enable"] == "1" {
		o["trt_layer_norm_fp32_fallback"] = "1" // the text encoders' norms overflow in float16
	}
	return o
}

// shapesOf writes the shapes of a call's tensors, scalars left out.
func shapesOf(specs []spec) string {
	var all []string
	for _, s := range specs {
		if len(s.dims) == 0 {
			continue
		}
		dims := make([]string, len(s.dims))
		for i, d := range s.dims {
			dims[i] = strconv.FormatInt(d, 10)
		}
		all = append(all, s.name+":"+strings.Join(dims, "x"))
	}
	return strings.Join(all, ",")
}
