package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// packing is what pack was told.
type packing struct{ version, built, out string }

// entry is a file of an archive.
type entry struct {
	name string // in the archive's folder
	body []byte
	mode int64
	link string // what a symbolic link leads to; "" for a file
}

// pack writes an archive for each folder in built, named by its platform, and SHA256SUMS.
func (p packing) pack(ctx context.Context, stdout io.Writer) error {
	platforms, err := os.ReadDir(p.built)
	if err != nil {
		return fmt.Errorf("reading what was built: %w", err)
	}
	if err := os.MkdirAll(p.out, 0o755); err != nil {
		return fmt.Errorf("making the folder for the archives: %w", err)
	}
	var sums strings.Builder
	for _, platform := range platforms {
		name, data, err := p.archive(ctx, platform.Name())
		if err != nil {
			return fmt.Errorf("packing %s: %w", platform.Name(), err)
		}
		if err := os.WriteFile(filepath.Join(p.out, name), data, 0o644); err != nil {
			return fmt.Errorf("packing %s: %w", platform.Name(), err)
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(data), name)
	}
	if sums.Len() == 0 {
		return fmt.Errorf("nothing was built in %s", p.built)
	}
	fmt.Fprint(stdout, sums.String())
	return os.WriteFile(filepath.Join(p.out, "SHA256SUMS"), []byte(sums.String()), 0o644)
}

// archive makes the archive of a platform.
func (p packing) archive(ctx context.Context, platform string) (name string, data []byte, err error) {
	entries, err := readEntries(filepath.Join(p.built, platform))
	if err != nil {
		return "", nil, err
	}
	var programs []string
	for _, e := range entries {
		if slices.Contains([]string{"worker", "enqueue", "dev"}, e.name) {
			programs = append(programs, "./cmd/"+e.name)
		}
	}
	if len(programs) == 0 {
		return "", nil, errors.New("there is no program in it")
	}
	modules, err := linked(ctx, ".", programs)
	if err == nil {
		err = allowed(modules)
	}
	if err != nil {
		return "", nil, err
	}
	native, err := shipped(filepath.Join(p.built, platform), entries)
	if err != nil {
		return "", nil, err
	}
	sbom, err := materials(p.version, platform, append(native, modules...))
	if err != nil {
		return "", nil, err
	}
	entries = append(entries,
		entry{name: "THIRD_PARTY_LICENSES", body: notices(modules), mode: 0o644},
		entry{name: "sbom.cdx.json", body: sbom, mode: 0o644})
	for _, file := range []string{"LICENSE", "README.md", "CHANGELOG.md"} {
		body, err := os.ReadFile(file)
		if err != nil {
			return "", nil, err
		}
		entries = append(entries, entry{name: file, body: body, mode: 0o644})
	}
	folder := fmt.Sprintf("stipple_%s_%s", strings.TrimPrefix(p.version, "v"), platform)
	data, err = tarball(folder, entries)
	return folder + ".tar.gz", data, err
}

// onnxRuntime is the module that is no module: the library beside the programs, and the folder of its licences.
const onnxRuntime = "onnxruntime"

// shipped is what lies beside the programs and is not linked into them: ONNX Runtime, where it is.
func shipped(dir string, entries []entry) ([]module, error) {
	for _, e := range entries {
		// libonnxruntime.so.1.28.0, libonnxruntime.1.28.0.dylib
		version := regexp.MustCompile(`^libonnxruntime\.(?:so\.)?([0-9.]+[0-9])`).FindStringSubmatch(e.name)
		if version == nil || e.link != "" {
			continue
		}
		texts, err := readTexts(filepath.Join(dir, onnxRuntime), "LICENSE")
		if err != nil {
			return nil, fmt.Errorf("%s comes without its licence: %w", e.name, err)
		}
		m := []module{{Path: onnxRuntime, Version: version[1], texts: texts}}
		return m, allowed(m)
	}
	return nil, nil
}

// readEntries reads the files and links below a folder, sorted by name.
func readEntries(dir string) (all []entry, err error) {
	folder, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	err = fs.WalkDir(folder.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		e := entry{name: name, mode: 0o644}
		if d.Type()&fs.ModeSymlink != 0 {
			e.link, err = folder.Readlink(name)
		} else {
			e.body, err = folder.ReadFile(name)
		}
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode()&0o111 != 0 {
			e.mode = 0o755
		}
		all = append(all, e)
		return err
	})
	return all, err
}

// tarball is a gzipped tar of entries in a folder. It depends on its arguments alone: no owner, no time.
func tarball(folder string, entries []entry) ([]byte, error) {
	entries = slices.Clone(entries)
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	var out bytes.Buffer
	gz, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	tw := tar.NewWriter(gz)
	for _, e := range entries {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: folder + "/" + e.name, Mode: e.mode, Size: int64(len(e.body)), Format: tar.FormatPAX}
		if e.link != "" {
			h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, e.link, 0o777
		}
		if err := tw.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := tw.Write(e.body); err != nil {
			return nil, err
		}
	}
	err = errors.Join(tw.Close(), gz.Close()) // which write to out
	return out.Bytes(), err
}
