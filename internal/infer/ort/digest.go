package ort

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"

	"golang.org/x/sync/errgroup"
)

// digestFiles are the files besides graphs and the parts' config.json that decide what a pipeline draws; those that are absent do not count.
var digestFiles = []string{
	"model_index.json", ownFile, "scheduler/scheduler_config.json", "text_encoder/config.json", "text_encoder_2/config.json", "unet/config.json",
	"tokenizer/vocab.json", "tokenizer/merges.txt", "tokenizer/tokenizer.json", "tokenizer/tokenizer_config.json", "tokenizer/special_tokens_map.json", "tokenizer/added_tokens.json",
	"tokenizer_2/vocab.json", "tokenizer_2/merges.txt", "tokenizer_2/tokenizer.json", "tokenizer_2/tokenizer_config.json", "tokenizer_2/special_tokens_map.json", "tokenizer_2/added_tokens.json",
}

// ownFile is this program's own file of a pipeline.
const ownFile = "stipple.json"

// Verify reads the pipeline in dir and all of its files, without a runtime, and returns its digest. Errors name the file, what is wrong with it, and how to
// mend it; files that are not what stipple.json's digest says are one.
func Verify(ctx context.Context, dir string) (string, error) {
	f, err := readFolder(dir)
	if err != nil {
		return "", err
	}
	if _, err := f.pipeline(0); err != nil {
		return "", err
	}
	return digest(ctx, f)
}

// digest is the SHA-256 over one line for each file, in the order of their names: `<sha256 hex>  <name>\n`, as `sha256sum` prints it. The digest in
// stipple.json, where there is one, is the same over all files but itself, and must agree.
func digest(ctx context.Context, f *folder) (string, error) {
	names := f.files()
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
	all, others := sha256.New(), sha256.New()
	for i, name := range names {
		fmt.Fprintf(all, "%s  %s\n", sums[i], name) // a hash never fails
		if name != ownFile {
			fmt.Fprintf(others, "%s  %s\n", sums[i], name)
		}
	}
	if got := hex.EncodeToString(others.Sum(nil)); f.own.Digest != "" && f.own.Digest != got {
		return "", f.bad(ownFile, "its digest is %s, but the files beside it amount to %s: they were damaged, or changed after the export: copy the model again, export it again, or take the digest out", f.own.Digest, got)
	}
	return hex.EncodeToString(all.Sum(nil)), nil
}

// files lists the pipeline's files, sorted, with slashes.
func (f *folder) files() []string {
	var names []string
	for _, name := range digestFiles {
		if f.exists(name) {
			names = append(names, name)
		}
	}
	if f.vaeFrom != "" {
		names = append(names, f.vaeFrom)
	}
	for part, header := range f.graphs {
		names = append(names, graphFile(part))
		for _, data := range header.External {
			names = append(names, path.Join(part, filepath.ToSlash(data.Location)))
		}
	}
	slices.Sort(names)
	return names
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
