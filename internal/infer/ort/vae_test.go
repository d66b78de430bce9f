package ort

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stipple-ai/stipple/internal/infer"
)

// TestDecodesAgainInFloat32: latents that overflow a decoder in float16 are decoded by the one in float32 that the folder has beside, and fail without it.
func TestDecodesAgainInFloat32(t *testing.T) {
	dir := copyPipeline(t, "sdxl-fp16")
	// Latents over this are far beyond 65504, the largest float16.
	replaceIn(t, filepath.Join(dir, "vae_decoder/config.json"), `"scaling_factor": 0.13025`, `"scaling_factor": 0.000001`)
	request := infer.Request{Prompt: "a fox", Steps: 2, Guidance: 5, Seed: 1, Width: 128, Height: 128}

	_, err := start(t, load(t, dir), 1, infer.Config{}).Generate(context.Background(), request)
	var typed *infer.Error
	if !errors.As(err, &typed) || typed.Type != "bad_image" || !strings.Contains(err.Error(), "vae_decoder_fp32") {
		t.Fatalf("without a decoder in float32: got %v, want bad_image and how to mend it", err)
	}

	precise := filepath.Join(dir, "vae_decoder_fp32")
	if err := os.CopyFS(precise, os.DirFS(filepath.Join(root, "testdata/pipelines/sdxl/vae_decoder"))); err != nil {
		t.Fatal(err)
	}
	p := load(t, dir)
	if !p.Info().Float32Decoder || p.Digest() == load(t, filepath.Join(root, "testdata/pipelines/sdxl-fp16")).Digest() {
		t.Error("the decoder in float32 is not seen")
	}
	e := start(t, p, 1, infer.Config{})
	if err := e.Warm(context.Background()); err != nil {
		t.Fatal(err)
	}
	res, err := e.Generate(context.Background(), request)
	if err != nil {
		t.Fatal(err)
	}
	// The picture that the float32 decoder alone makes of the same latents.
	if err := os.RemoveAll(filepath.Join(dir, "vae_decoder")); err != nil {
		t.Fatal(err)
	}
	rename(t, precise, filepath.Join(dir, "vae_decoder"))
	replaceIn(t, filepath.Join(dir, "vae_decoder/config.json"), `"scaling_factor": 0.13025`, `"scaling_factor": 0.000001`)
	want, err := start(t, load(t, dir), 1, infer.Config{}).Generate(context.Background(), request)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(res.Image.Pix, want.Image.Pix) {
		t.Error("the picture is not the float32 decoder's")
	}
}

func TestLoadRefusesAPreciseDecoder(t *testing.T) {
	for _, c := range []struct {
		name, from string
		want       []string
	}{
		{"float16", "sdxl-fp16/vae_decoder", []string{"vae_decoder_fp32/model.onnx", "is not float32"}},
		{"another part", "sdxl/unet", []string{"vae_decoder_fp32/model.onnx", "VAE decoder"}},
		{"nothing in it", "", []string{"vae_decoder_fp32/model.onnx is missing"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := copyPipeline(t, "sdxl-fp16")
			precise := filepath.Join(dir, "vae_decoder_fp32")
			if err := os.Mkdir(precise, 0o700); err != nil {
				t.Fatal(err)
			}
			if c.from != "" {
				if err := os.CopyFS(precise, os.DirFS(filepath.Join(root, "testdata/pipelines", c.from))); err != nil {
					t.Fatal(err)
				}
			}
			refused(t, dir, c.want...)
		})
	}
}
