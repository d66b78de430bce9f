package ort

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/stipple-ai/stipple/internal/infer/onnx"
)

// digestFiles are the files besides graphs that decide what a pipeline draws; those that are absent do not count.
var digestFiles = []string{
	"model_index.json", "stipple.json", "scheduler/scheduler_config.json",
	"text_encoder/config.json", "text_encoder_2/config.json", "unet/config.json", "vae_decoder/config.json",
	"tokenizer/vocab.json", "tokenizer/merges.txt", "tokenizer/tokenizer.json", "tokenizer/tokenizer_config.json", "tokenizer/special_tokens_map.json",
	"tokenizer_2/vocab.json", "tokenizer_2/merges.txt", "tokenizer_2/tokenizer.json", "tokenizer_2/tokenizer_config.json", "tokenizer_2/special_tokens_map.json",
}

// digestGraphs are the graphs; their external data files count too.
var digestGraphs = []string{"text_encoder/model.onnx", "text_encoder_2/model.onnx", "unet/model.onnx", "vae_decoder/model.onnx"}

// digest is the SHA-256 over one line for each file, in the order of their names: `<sha256 hex>  <name>\n`, as `sha256sum` prints it.
func digest(ctx context.Context, f *folder) (string, error) {
	names, err := f.files()
	if err != nil {
		return "", err
	}
	sums := make([]string, len(names))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(2)
	for i, name := range names {
		g.Go(func() (err error) {
			sums[i], err = hashFile(ctx, f.path(name))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return "", err
	}
	all := sha256.New()
	for i, name := range names {
		fmt.Fprintf(all, "%s  %s\n", sums[i], name) // a hash never fails
	}
	return hex.EncodeToString(all.Sum(nil)), nil
}

// files lists the pipeline's files that are there, sorted, with slashes.
func (f *folder) files() ([]string, error) {
	var names []string
	for _, name := range digestFiles {
		if f.exists(name) {
			names = append(names, name)
		}
	}
	for _, name := range digestGraphs {
		if !f.exists(name) {
			continue
		}
		names = append(names, name)
		h, err := onnx.ReadFile(f.path(name))
		if err != nil {
			return nil, err
		}
		for _, data := range h.External {
			names = append(names, filepath.ToSlash(filepath.Join(filepath.Dir(name), data.Location)))
		}
	}
	slices.Sort(names)
	return names, nil
}

func hashFile(ctx context.Context, path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	h := sha256.New()
	buf := make([]byte, 1<<20)
	for {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		n, err := file.Read(buf)
		h.Write(buf[:n])
		if err == io.EOF {
			return hex.EncodeToString(h.Sum(nil)), nil
		}
		if err != nil {
			return "", err
		}
	}
}
