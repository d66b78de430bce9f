package modelstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Version is a version of a model in the cache.
type Version struct {
	Dir     string    // its folder; its name is the version's, that of the folder around it the source's
	Names   []string  // what it was when it was last asked for: a branch, a tag, or "latest" of what is not on a hub
	Bytes   int64     // on the disk
	Used    time.Time // when Fetch last returned it, or, of a download that was broken off, when its last byte came
	Partial bool      // not whole: a download that was broken off or is under way
}

const (
	refsDir    = "refs"
	partialDir = "partial"
)

// Versions lists what is in the cache, by folder. It asks nobody.
func (s *Store) Versions() ([]Version, error) {
	shelves, err := folders(s.config.Dir)
	if err != nil {
		return nil, err
	}
	var all []Version
	for _, dir := range shelves {
		names, err := namesOf(filepath.Join(dir, refsDir))
		if err != nil {
			return nil, err
		}
		for _, partial := range []bool{false, true} {
			place := dir
			if partial {
				place = filepath.Join(dir, partialDir)
			}
			versions, err := folders(place)
			if err != nil {
				return nil, err
			}
			for _, v := range versions {
				if !commit.MatchString(filepath.Base(v)) { // nothing of the cache's
					continue
				}
				version := Version{Dir: v, Partial: partial}
				version.Bytes, version.Used = measure(v)
				if !partial {
					version.Names = names[filepath.Base(v)]
					info, err := os.Stat(v)
					if err != nil {
						return nil, err
					}
					version.Used = info.ModTime()
				}
				all = append(all, version)
			}
		}
	}
	slices.SortFunc(all, func(a, b Version) int { return cmp.Compare(a.Dir, b.Dir) })
	return all, nil
}

// folders lists the folders in dir; a dir that is not there has none.
func folders(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var all []string
	for _, e := range entries {
		if e.IsDir() {
			all = append(all, filepath.Join(dir, e.Name()))
		}
	}
	return all, nil
}

// namesOf reads what versions were called when they were last asked for.
func namesOf(refs string) (map[string][]string, error) {
	entries, err := os.ReadDir(refs)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	names := map[string][]string{}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") { // on its way
			continue
		}
		data, err := os.ReadFile(filepath.Join(refs, e.Name()))
		if err != nil {
			return nil, err
		}
		name, err := url.PathUnescape(e.Name())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Join(refs, e.Name()), err)
		}
		version := strings.TrimSpace(string(data))
		names[version] = append(names[version], name)
	}
	return names, nil
}

// Cached is the folder that Fetch takes for source without asking anybody; "" is none.
func (s *Store) Cached(source string) (string, error) {
	src, err := parse(source)
	if err != nil {
		return "", err
	}
	shelf := s.shelf(src)
	if dir, ok := shelf.complete(src.pinned()); ok {
		return dir, nil
	}
	dir, _ := shelf.last(src)
	return dir, nil
}

// ErrUsed says of a version that it was fetched since it was listed.
var ErrUsed = errors.New("it was used meanwhile")

// Remove removes a version that Versions listed, unless it was used since ([ErrUsed]). It vanishes at once, so nobody takes half of it; who has loaded it goes on. A
// download to the same folder is waited for until ctx ends.
func (s *Store) Remove(ctx context.Context, v Version) error {
	dir := filepath.Dir(v.Dir)
	if v.Partial {
		dir = filepath.Dir(dir)
	}
	unlock, err := s.lock(ctx, shelf{dir: dir, logger: s.config.Logger})
	if err != nil {
		return err
	}
	defer unlock()
	gone := v.Dir
	if !v.Partial {
		if info, err := os.Stat(v.Dir); err != nil || info.ModTime().After(v.Used) {
			return cmp.Or(err, ErrUsed)
		}
		gone = filepath.Join(dir, partialDir, filepath.Base(v.Dir))
		if err := errors.Join(os.RemoveAll(gone), os.MkdirAll(filepath.Dir(gone), 0o755)); err != nil {
			return err
		}
		if err := os.Rename(v.Dir, gone); err != nil {
			return err
		}
	}
	return os.RemoveAll(gone)
}

// touch notes that a version was used.
func touch(dir string) {
	now := time.Now()
	_ = os.Chtimes(dir, now, now) // in a cache that cannot be written nothing is removed either
}
