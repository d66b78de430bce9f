package modelstore

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode"
)

// needed are the files of a pipeline that the worker reads besides those of its graphs (docs/models.md).
var needed = []string{"model_index.json", "stipple.json", sumsFile, "scheduler/scheduler_config.json", "vae/config.json"}

var (
	tokenizerParts = []string{"tokenizer", "tokenizer_2"}
	tokenizerFiles = []string{"tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"}
	graphParts     = []string{"unet", "vae_decoder", "vae_decoder_fp32", "text_encoder", "text_encoder_2"}
)

// needs reports whether the worker reads a file of that name. Beside model.onnx lie its weights under whatever names the exporter chose, so all of a graph's
// folder is taken but what other frameworks and variants keep there.
func needs(name string) bool {
	if slices.Contains(needed, name) {
		return true
	}
	dir, base := path.Split(name)
	dir = strings.TrimSuffix(dir, "/")
	switch {
	case slices.Contains(tokenizerParts, dir):
		return slices.Contains(tokenizerFiles, base)
	case !slices.Contains(graphParts, dir):
		return false
	case base == "model.onnx" || base == "config.json":
		return true
	}
	return !foreign(base)
}

// foreign reports a file of a graph's folder that belongs to another framework, another precision of the same graph, or to people.
func foreign(base string) bool {
	lower := strings.ToLower(base)
	for _, suffix := range []string{".safetensors", ".bin", ".msgpack", ".h5", ".ckpt", ".pt", ".pth", ".xml", ".md", ".json", ".txt", ".onnx", ".ort", ".engine", ".gguf", ".py", ".png"} {
		if strings.HasSuffix(lower, suffix) {
			return true
		}
	}
	for _, suffix := range []string{".onnx_data", ".onnx.data", ".onnx_data_0"} {
		if stem, ok := strings.CutSuffix(lower, suffix); ok {
			return stem != "model" // model_fp16.onnx_data
		}
	}
	return strings.HasPrefix(base, ".") || strings.HasPrefix(lower, "diffusion_") || strings.HasPrefix(lower, "pytorch_")
}

// errName is a file's name that leads out of the folder, or cannot be one.
var errName = errors.New("not the name of a file in a folder")

// checkName refuses names that lead elsewhere or that systems read differently. Names have slashes.
func checkName(name string) error {
	odd := func(r rune) bool {
		return r == '\\' || r == ':' || r == unicode.ReplacementChar || unicode.IsControl(r)
	}
	if !fs.ValidPath(name) || name == "." || strings.ContainsFunc(name, odd) || len(name) > 1024 {
		return fmt.Errorf("%q: %w", name, errName)
	}
	return nil
}

// pick leaves the files that the worker needs, below folder ("" is the whole listing), and refuses a listing with a name that leads elsewhere or stands twice,
// or that holds no pipeline.
func pick(files []file, folder string) ([]file, error) {
	var picked []file
	seen := map[string]bool{}
	for _, f := range files {
		if err := checkName(f.name); err != nil {
			return nil, err
		}
		name := f.name
		if folder != "" {
			var below bool
			if name, below = strings.CutPrefix(name, folder+"/"); !below {
				continue
			}
		}
		if !needs(name) {
			continue
		}
		if seen[name] {
			return nil, fmt.Errorf("%q is listed twice", f.name)
		}
		seen[name] = true
		f.from, f.name = f.name, name
		picked = append(picked, f)
	}
	for _, name := range []string{"model_index.json", "unet/model.onnx", "vae_decoder/model.onnx", "text_encoder/model.onnx"} {
		if !seen[name] {
			return nil, fmt.Errorf("%s is not among its %d files: this is no pipeline in ONNX (export it: docs/models.md), or it lies in a folder there, which the URL can name", path.Join(folder, name), len(files))
		}
	}
	slices.SortFunc(picked, func(a, b file) int { return strings.Compare(a.name, b.name) })
	return picked, nil
}
