package ort

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stipple-ai/stipple/internal/infer"
)

func remove(t *testing.T, names ...string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(names...)); err != nil {
		t.Fatal(err)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// link puts a symbolic link to target in the place of path.
func link(t *testing.T, target, path string) {
	t.Helper()
	remove(t, path)
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

// TestLayouts: folders as the several exporters and download tools leave them draw the same pictures.
func TestLayouts(t *testing.T) {
	for _, c := range []struct {
		name, model string
		change      func(t *testing.T, dir string)
	}{
		{"optimum", "sd15", func(t *testing.T, dir string) {
			replaceIn(t, filepath.Join(dir, "model_index.json"), `"StableDiffusionPipeline"`, `"ORTStableDiffusionPipeline"`)
		}},
		{"optimum's SDXL", "sdxl", func(t *testing.T, dir string) {
			replaceIn(t, filepath.Join(dir, "model_index.json"), `"StableDiffusionXLPipeline"`, `"ORTStableDiffusionXLPipeline"`)
		}},
		{"optimum's LCM", "lcm", func(t *testing.T, dir string) {
			replaceIn(t, filepath.Join(dir, "model_index.json"), `"LatentConsistencyModelPipeline"`, `"ORTLatentConsistencyModelPipeline"`)
		}},
		{"diffusers' exporter, which writes no config", "sd15-legacy", func(t *testing.T, dir string) {
			for _, part := range []string{"unet", "vae_decoder", "text_encoder"} {
				remove(t, dir, part, "config.json")
			}
		}},
		{"the whole VAE's config", "sdxl", func(t *testing.T, dir string) {
			rename(t, filepath.Join(dir, "vae_decoder/config.json"), filepath.Join(dir, "vae/config.json"))
		}},
		{"the scheduler's class in the index alone", "sd15", func(t *testing.T, dir string) {
			replaceIn(t, filepath.Join(dir, "scheduler/scheduler_config.json"), `"_class_name"`, `"_was_class_name"`)
		}},
		{"a scheduler's config that another class wrote, with its infinity", "sd15", func(t *testing.T, dir string) {
			replaceIn(t, filepath.Join(dir, "scheduler/scheduler_config.json"), `"_class_name": "PNDMScheduler"`,
				`"_class_name": "DPMSolverMultistepScheduler", "lambda_min_clipped": -Infinity`)
		}},
		{"Hugging Face's cache: every file a link into one folder", "sd15-legacy", func(t *testing.T, dir string) {
			blobs := t.TempDir()
			err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				part, name := filepath.Base(filepath.Dir(path)), filepath.Base(path)
				if name != "weights.pb" { // whose name stands in the graph; the cache's own names are hashes
					name = part + "-" + name
				}
				rename(t, path, filepath.Join(blobs, name))
				return os.Symlink(filepath.Join(blobs, name), path)
			})
			if err != nil {
				t.Fatal(err)
			}
		}},
		{"weights linked inside of their folder", "sd15-legacy", func(t *testing.T, dir string) {
			rename(t, filepath.Join(dir, "unet/weights.pb"), filepath.Join(dir, "unet/data/weights"))
			link(t, "data/weights", filepath.Join(dir, "unet/weights.pb"))
		}},
		{"the folder is a link", "sd15-legacy", func(t *testing.T, dir string) {
			rename(t, dir, dir+"-target")
			link(t, dir+"-target", dir)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := copyPipeline(t, c.model)
			c.change(t, dir)
			golden := readCases(t, filepath.Join(root, "testdata", "pipelines", c.model))[0]
			res, err := start(t, load(t, dir), 2, infer.Config{}).Generate(context.Background(), golden.request())
			if err != nil {
				t.Fatal(err)
			}
			if err := golden.check(res.Image, readPNG(t, filepath.Join(root, "testdata", "pipelines", c.model, golden.Image))); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestNoGuidance: a Turbo's stipple.json says what its jobs leave out, and then a step is one row.
func TestNoGuidance(t *testing.T) {
	dir := copyPipeline(t, "sd21-v")
	replaceIn(t, filepath.Join(dir, "model_index.json"), `"DDIMScheduler"`, `"EulerDiscreteScheduler"`)
	write(t, filepath.Join(dir, "scheduler/scheduler_config.json"),
		`{"_class_name": "EulerDiscreteScheduler", "beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "timestep_spacing": "trailing", "prediction_type": "epsilon"}`)
	write(t, filepath.Join(dir, "stipple.json"), `{"num_inference_steps": 1, "guidance_scale": 0}`)
	p := load(t, dir)
	d := p.Defaults()
	if d.Steps != 1 || d.Guidance == nil || *d.Guidance != 0 {
		t.Fatalf("defaults %+v", d)
	}
	res, err := start(t, p, 1, infer.Config{}).Generate(context.Background(),
		infer.Request{Prompt: "a fox", NegativePrompt: "not heard", Steps: d.Steps, Guidance: *d.Guidance, Seed: 1, Width: 128, Height: 128})
	if err != nil {
		t.Fatal(err)
	}
	if res.Calls != 1 {
		t.Errorf("%d rows for one step without guidance", res.Calls)
	}
}

// TestLoadRefusesFiles: what is missing, cut, or of another model in the folder is said before ONNX Runtime sees it.
func TestLoadRefusesFiles(t *testing.T) {
	for _, c := range []struct {
		name, model string
		spoil       func(t *testing.T, dir string)
		want        []string
	}{
		{"no weights", "sd15-legacy", func(t *testing.T, dir string) { remove(t, dir, "unet/weights.pb") }, []string{"unet/model.onnx", "weights.pb is missing", "copy it"}},
		{"cut weights", "sd15-legacy", func(t *testing.T, dir string) {
			if err := os.Truncate(filepath.Join(dir, "unet/weights.pb"), 1000); err != nil {
				t.Fatal(err)
			}
		}, []string{"unet/model.onnx", "weights.pb is truncated", "1000 bytes", "Git LFS"}},
		{"weights that are a folder", "sd15-legacy", func(t *testing.T, dir string) {
			remove(t, dir, "unet/weights.pb")
			if err := os.Mkdir(filepath.Join(dir, "unet/weights.pb"), 0o700); err != nil {
				t.Fatal(err)
			}
		}, []string{"weights.pb is not a file"}},
		{"weights linked elsewhere", "sd15-legacy", func(t *testing.T, dir string) {
			other := filepath.Join(t.TempDir(), "w")
			rename(t, filepath.Join(dir, "unet/weights.pb"), other)
			link(t, other, filepath.Join(dir, "unet/weights.pb"))
		}, []string{"weights.pb is a link to", "outside of the model's folder", "hard link"}},
		{"a dangling link", "sd15-legacy", func(t *testing.T, dir string) { link(t, "/does/not/exist", filepath.Join(dir, "unet/weights.pb")) }, []string{"weights.pb is missing"}},
		{"a Git LFS pointer", "sd15", func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "unet/model.onnx"), "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
		}, []string{"unet/model.onnx", "git lfs pull"}},
		{"a PyTorch pipeline", "sd15", func(t *testing.T, dir string) {
			remove(t, dir, "vae_decoder")
			rename(t, filepath.Join(dir, "unet/model.onnx"), filepath.Join(dir, "unet/diffusion_pytorch_model.safetensors"))
		}, []string{"unet/model.onnx is missing", "export the whole pipeline to ONNX", "docs/models.md"}},
		{"no VAE config", "sdxl", func(t *testing.T, dir string) { remove(t, dir, "vae_decoder/config.json") }, []string{"vae_decoder/config.json is missing", "vae folder"}},
		{"an odd size", "sd15", func(t *testing.T, dir string) {
			replaceIn(t, filepath.Join(dir, "unet/config.json"), `"sample_size": 16`, `"sample_size": 17`)
		}, []string{"unet/config.json", "sample_size is 17", "multiple of 2"}},
		{"another tokenizer", "sd15", func(t *testing.T, dir string) {
			replaceIn(t, filepath.Join(dir, "text_encoder/config.json"), `"vocab_size": 1514`, `"vocab_size": 1513`)
		}, []string{"tokenizer", "1514 ids", "vocab_size 1513"}},
		{"too long prompts", "sd15", func(t *testing.T, dir string) {
			replaceIn(t, filepath.Join(dir, "text_encoder/config.json"), `"max_position_embeddings": 77`, `"max_position_embeddings": 64`)
		}, []string{"tokenizer/tokenizer_config.json", "model_max_length is 77", "max_position_embeddings 64"}},
		{"a mistake in stipple.json", "sd15", func(t *testing.T, dir string) { write(t, filepath.Join(dir, "stipple.json"), `{"clipskip": 1}`) }, []string{"stipple.json", "clipskip"}},
		{"negative clip_skip", "sd15", func(t *testing.T, dir string) { write(t, filepath.Join(dir, "stipple.json"), `{"clip_skip": -1}`) }, []string{"stipple.json", "clip_skip is -1"}},
		{"clip_skip of all layers", "sd15", func(t *testing.T, dir string) { write(t, filepath.Join(dir, "stipple.json"), `{"clip_skip": 3}`) },
			[]string{"text_encoder/model.onnx", "clip_skip 3", "hidden_states.0", "output_hidden_states=True"}},
		{"clip_skip without layers", "sd15", func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "stipple.json"), `{"clip_skip": 1}`)
			writeGraph(t, dir, "text_encoder", "input_ids int64[-1 -1]", "last_hidden_state float32[-1 -1 32]")
		}, []string{"text_encoder/model.onnx", "clip_skip 1", "hidden_states.2", "last_hidden_state float32[-1 -1 32]", "output_hidden_states=True"}},
		{"clip_skip without norm", "sd15", func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "stipple.json"), `{"clip_skip": 1}`)
			writeGraph(t, dir, "text_encoder", "input_ids int64[-1 -1]", "last_hidden_state float32[-1 -1 32], hidden_states.2 float32[-1 -1 32]")
		}, []string{"text_encoder/model.onnx", "final_layer_norm", "clip_skip", "without optimizing"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := copyPipeline(t, c.model)
			c.spoil(t, dir)
			refused(t, dir, append(c.want, dir)...)
		})
	}
}

// replaceIn replaces the first old of a file, which must be there.
func replaceIn(t *testing.T, path, old, with string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(data), old) {
		t.Fatalf("%s has no %q", path, old)
	}
	write(t, path, strings.Replace(string(data), old, with, 1))
}
