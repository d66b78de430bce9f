package modelstore

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/klauspost/compress/zstd"
)

// Bounds of an archive, so that one of a few kilobytes does not keep the machine busy.
const (
	mostEntries  = 100_000
	mostUnpacked = 256 << 30
)

// unpack unpacks the archive that was downloaded, and removes it. The model may lie in one folder of the archive.
func (j *job) unpack(ctx context.Context) (err error) {
	archive := j.partial.path(j.listing, j.listing.files[0])
	tree := j.partial.tree()
	if err := os.Mkdir(tree, 0o755); err != nil {
		return err
	}
	defer func() {
		if err != nil && ctx.Err() == nil && !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) {
			err = errors.Join(err, os.Remove(archive)) // the next try may find a better one
		}
	}()
	if err := unpackFile(ctx, archive, j.listing.archive, tree); err != nil {
		return fmt.Errorf("unpacking it: %w", err)
	}
	model, err := findModel(tree)
	if err != nil {
		return err
	}
	if err := os.Rename(model, j.partial.files()); err != nil {
		return err
	}
	return errors.Join(os.RemoveAll(tree), os.Remove(archive))
}

// findModel returns the folder that has a model_index.json: dir, or the one folder in it.
func findModel(dir string) (string, error) {
	found, err := filepath.Glob(filepath.Join(dir, "*", "model_index.json"))
	if err != nil {
		return "", err
	}
	_, err = os.Stat(filepath.Join(dir, "model_index.json"))
	switch {
	case err == nil:
		return dir, nil
	case len(found) == 1:
		return filepath.Dir(found[0]), nil
	case len(found) > 1:
		return "", fmt.Errorf("the archive has %d models: pack each by itself", len(found))
	}
	return "", errors.New("the archive has no model_index.json, at its top or in a folder there: this is no pipeline in ONNX (docs/models.md)")
}

// wanted reports whether an entry is needed by the model, which lies at the archive's top or in a folder there.
func wanted(name string) bool {
	_, below, _ := strings.Cut(name, "/")
	return needs(name) || needs(below)
}

// unpackFile unpacks what is wanted of an archive into dir. Names that lead elsewhere, links, and what is larger than any model are refused.
func unpackFile(ctx context.Context, archive, suffix, dir string) (err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	u := &unpacker{ctx: ctx, root: root}
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	switch suffix {
	case ".zip":
		info, err := f.Stat()
		if err != nil {
			return err
		}
		return u.zip(f, info.Size())
	case ".tar":
		return u.tar(f)
	case ".tar.zst":
		z, err := zstd.NewReader(f, zstd.WithDecoderMaxMemory(1<<30))
		if err != nil {
			return err
		}
		defer z.Close()
		return u.tar(z)
	default:
		z, err := gzip.NewReader(f)
		if err != nil {
			return err
		}
		return u.tar(z)
	}
}

// unpacker writes entries into a folder that nothing leads out of.
type unpacker struct {
	ctx     context.Context //nolint:containedctx // lives as long as one unpacking
	root    *os.Root
	entries int
	bytes   int64
}

func (u *unpacker) tar(r io.Reader) error {
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue // a comment, as git writes
		}
		err = u.entry(h.Name, h.FileInfo().Mode(), h.Typeflag == tar.TypeReg, func() (io.ReadCloser, error) { return io.NopCloser(t), nil })
		if err != nil {
			return err
		}
	}
}

func (u *unpacker) zip(r io.ReaderAt, size int64) error {
	z, err := zip.NewReader(r, size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) { // names are judged below
		return err
	}
	for _, f := range z.File {
		if err := u.entry(f.Name, f.Mode(), f.Mode().IsRegular(), f.Open); err != nil {
			return err
		}
	}
	return nil
}

// entry unpacks one entry, or passes it by.
func (u *unpacker) entry(name string, mode fs.FileMode, regular bool, open func() (io.ReadCloser, error)) error {
	if u.entries++; u.entries > mostEntries {
		return fmt.Errorf("it has more than %d entries", mostEntries)
	}
	name = strings.TrimSuffix(strings.TrimPrefix(name, "./"), "/")
	if name == "" || name == "." {
		return nil
	}
	if err := checkName(name); err != nil {
		return err
	}
	if mode.IsDir() || !wanted(name) {
		return nil
	}
	if !regular {
		return fmt.Errorf("%s is a link or a device: pack the files themselves (tar -h)", name)
	}
	r, err := open()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	err = u.write(name, r)
	if err = errors.Join(err, r.Close()); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func (u *unpacker) write(name string, r io.Reader) (err error) {
	name = filepath.FromSlash(name)
	if err := u.root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	out, err := u.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) // one that stands twice is refused
	if err != nil {
		return err
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{out}, &cancelled{u.ctx, io.LimitReader(r, mostUnpacked-u.bytes+1)}, make([]byte, copySize))
	if u.bytes += n; err == nil && u.bytes > mostUnpacked {
		err = fmt.Errorf("the archive holds more than %s", Bytes(mostUnpacked))
	}
	return errors.Join(err, out.Sync(), out.Close())
}
