package ort

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stipple-ai/stipple/internal/infer/onnx"
)

// What a refusal says at its end: how to get it right. docs/models.md has the whole of it.
const (
	exportWhole   = "export the whole pipeline to ONNX (docs/models.md)"
	exportDynamic = "export it with dynamic axes, as optimum-cli does (docs/models.md)"
	exportOpset   = "export it again at opset 17 (docs/models.md)"
	exportLayers  = "export the text encoder with output_hidden_states=True (docs/models.md)"
)

// readGraphs reads the heads of all graphs, and checks that their weights are there.
func (f *folder) readGraphs() error {
	f.graphs = map[string]*onnx.Header{}
	parts := append([]string{"unet", vaePart}, textParts[:len(f.text)]...)
	if f.exists(precisePart) {
		parts = append(parts, precisePart)
	}
	for _, part := range parts {
		if err := f.readGraph(part); err != nil {
			return err
		}
	}
	return nil
}

// graphFile is the name of a part's graph in the folder.
func graphFile(part string) string { return part + "/model.onnx" }

func (f *folder) readGraph(part string) error {
	path := f.path(graphFile(part))
	h, err := onnx.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is missing: %s", path, exportWhole)
	}
	if err != nil {
		return err
	}
	for _, data := range h.External {
		if err := checkExternal(path, data); err != nil {
			return fmt.Errorf("%s: its weights file %s %w", path, data.Location, err)
		}
	}
	f.graphs[part] = h
	return nil
}

// checkExternal checks a weights file of the graph at path by ONNX Runtime's rules, which follow links only within the graph's own folder or the folder
// that the graph is itself a link into, as in Hugging Face's cache.
func checkExternal(path string, data onnx.External) error {
	if !filepath.IsLocal(data.Location) {
		return fmt.Errorf("lies outside of the model's folder: %s", exportWhole)
	}
	name := filepath.Join(filepath.Dir(path), data.Location)
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("is missing: copy it there from where the model was exported or downloaded")
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return errors.New("is not a file: copy it there from where the model was exported or downloaded")
	case info.Size() < data.Size:
		return fmt.Errorf("is truncated: it has %d bytes and the graph reads up to byte %d: copy or download it again (after `git lfs pull` where it is a Git LFS pointer)", info.Size(), data.Size)
	}
	var homes []string
	for _, link := range []string{filepath.Dir(path), path} {
		target, err := filepath.EvalSymlinks(link)
		if err != nil {
			return err
		}
		if link == path {
			target = filepath.Dir(target)
		}
		homes = append(homes, target)
	}
	target, err := filepath.EvalSymlinks(name)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(homes, func(home string) bool { return strings.HasPrefix(target, home+string(filepath.Separator)) }) {
		return fmt.Errorf("is a link to %s, and ONNX Runtime reads no weights from outside of the model's folder: put the file itself or a hard link there, or let model.onnx be a link into that folder too", target)
	}
	return nil
}

// float reports whether the value is a tensor of float32 or float16.
func float(v onnx.Value) bool { return v.Elem == onnx.Float32 || v.Elem == onnx.Float16 }

// checkOpen refuses a dimension of v that an export fixed although its size changes from call to call. dims are the names of the dimensions, "" for one that
// may be fixed.
func checkOpen(v onnx.Value, dims ...string) error {
	for i, name := range dims {
		if name != "" && i < len(v.Dims) && v.Dims[i] >= 0 {
			return fmt.Errorf("its %s has a fixed %s (%d): %s", v, name, v.Dims[i], exportDynamic)
		}
	}
	return nil
}

// list prints values with their types and shapes.
func list(values []onnx.Value) string {
	all := make([]string, len(values))
	for i, v := range values {
		all[i] = v.String()
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}
