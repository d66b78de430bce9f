package modelstore

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// shelf is a source's folder in the cache.
type shelf struct {
	dir    string
	logger *slog.Logger
}

var slugged = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// shelf is where the versions of src lie: a name for people, and a sum for the rest.
func (s *Store) shelf(src source) shelf {
	whole := src.place() + "\n" + src.path
	if src.kind == kindHub {
		whole = s.client.home.String() + "\n" + whole
	}
	slug := strings.Trim(slugged.ReplaceAllString(strings.ReplaceAll(src.place(), "://", "-"), "-"), "-.")
	return shelf{dir: filepath.Join(s.config.Dir, slug[:min(len(slug), 100)]+"-"+versionOf(whole)[:8]), logger: s.config.Logger}
}

// complete returns the folder of a version that is here whole; "" is none.
func (s shelf) complete(version string) (string, bool) {
	if version == "" {
		return "", false
	}
	dir := filepath.Join(s.dir, version)
	info, err := os.Stat(dir) //nolint:gosec // what a name in refs says was matched as a commit
	return dir, err == nil && info.IsDir()
}

// reference is the file with the version that the source's name had last.
func (s shelf) reference(src source) string {
	name := "latest"
	if src.kind == kindHub {
		name = url.PathEscape(src.revision)
	}
	return filepath.Join(s.dir, refsDir, name)
}

// last returns the folder of the version that the source's name had when it was last asked, if it is here whole.
func (s shelf) last(src source) (string, bool) {
	data, err := os.ReadFile(s.reference(src))
	version := strings.TrimSpace(string(data))
	if err != nil || !commit.MatchString(version) {
		return "", false
	}
	return s.complete(version)
}

// offline is what Fetch returns when nobody may be asked.
func (s shelf) offline(src source) (string, error) {
	if dir, ok := s.last(src); ok {
		return dir, nil
	}
	return "", fmt.Errorf("it is not in %s, and HF_HUB_OFFLINE forbids to ask for it: download it before (worker warm), or unset HF_HUB_OFFLINE", s.dir)
}

// remember writes down the version of the source's name. A cache that cannot be written has its models all the same.
func (s shelf) remember(src source, version string) error {
	name := s.reference(src)
	if old, err := os.ReadFile(name); err == nil && strings.TrimSpace(string(old)) == version {
		return nil
	}
	err := os.MkdirAll(filepath.Dir(name), 0o755)
	if err == nil {
		err = writeFile(name, version+"\n")
	}
	if errors.Is(err, syscall.EROFS) || errors.Is(err, fs.ErrPermission) {
		s.logger.Warn("the cache of models cannot be written: offline, this version will not be known", slog.String("file", name), slog.Any("error", err))
		return nil
	}
	return err
}

// writeFile puts a small file in place whole.
func writeFile(name, text string) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return err
}

// partial is a version on its way.
type partial struct{ dir string }

func (s shelf) partial(version string) partial {
	return partial{filepath.Join(s.dir, partialDir, version)}
}

// files is the folder that becomes the model's.
func (p partial) files() string { return filepath.Join(p.dir, "files") }

// path is where a file of the listing is downloaded to.
func (p partial) path(l *listing, f file) string {
	if l.archive != "" {
		return filepath.Join(p.dir, f.name)
	}
	return filepath.Join(p.files(), filepath.FromSlash(f.name))
}

// prepare makes the folders, and removes what an interrupted unpacking left.
func (p partial) prepare(l *listing) error {
	if l.archive != "" {
		if err := errors.Join(os.RemoveAll(p.files()), os.RemoveAll(p.tree())); err != nil {
			return err
		}
	}
	for _, f := range l.files {
		if err := os.MkdirAll(filepath.Dir(p.path(l, f)), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// tree is where an archive is unpacked.
func (p partial) tree() string { return filepath.Join(p.dir, "tree") }

// size is the bytes that were downloaded.
func (p partial) size() int64 {
	n, _ := measure(p.dir)
	return n
}

// measure returns how many bytes the files below dir have, and when the last of them was written. What cannot be read counts as not there.
func measure(dir string) (bytes int64, written time.Time) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error { // as said
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				bytes += info.Size()
				if info.ModTime().After(written) {
					written = info.ModTime()
				}
			}
		}
		return nil
	})
	return bytes, written
}

// publish gives a whole version its name, and removes what is left of others that were interrupted.
func (s shelf) publish(p partial, version string) (string, error) {
	dir := filepath.Join(s.dir, version)
	if err := os.Rename(p.files(), dir); err != nil {
		return "", err
	}
	if err := syncDir(s.dir); err != nil {
		return "", err
	}
	return dir, os.RemoveAll(filepath.Join(s.dir, partialDir))
}

// syncDir makes names last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) { // some network file systems have no such thing
		err = nil
	}
	return errors.Join(err, d.Close())
}

// explain says what to do about a cache that is full or cannot be written.
func explain(err error, dir string) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("the disk of %s is full: make room, or set STIPPLE_MODEL_CACHE (--model-cache) to a folder elsewhere; what was downloaded is kept for the next try: %w", dir, err)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return unwritable(dir, err)
	}
	return err
}

func unwritable(dir string, err error) error {
	return fmt.Errorf("%s cannot be written: set STIPPLE_MODEL_CACHE (--model-cache) to a folder that can: %w", dir, err)
}
