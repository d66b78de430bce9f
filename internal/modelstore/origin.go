package modelstore

import (
	"context"
	"crypto/sha1" //nolint:gosec // git's own name of a file's contents
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"slices"
	"strconv"
)

// origin is a source that can be asked. It is used by one download at a time; open may be called from several goroutines.
type origin interface {
	// list returns the files of the present version.
	list(ctx context.Context) (*listing, error)

	// open returns the contents of f from offset on, or, where the source cannot do that, from 0 on.
	open(ctx context.Context, f file, offset int64) (*contents, error)

	close()
}

// contents is a file on its way.
type contents struct {
	body io.ReadCloser
	at   int64 // where body begins
	size int64 // of the whole file; -1 if unknown
	sum  sum   // of the whole file, where only the answer says; else zero

	header func(name string) string // of a web server's answer
}

// listing is what a source holds at one version.
type listing struct {
	version string // a folder's name
	files   []file
	archive string // suffix of the one file, which is to be unpacked; "" for plain files
}

// file is one file of a listing.
type file struct {
	name string // in the model's folder, with slashes
	from string // at the source
	size int64  // bytes; -1 if unknown
	sum  sum    // of the contents; zero if unknown
	etag string // that the contents had when they were listed; "" if unknown
}

// summed reports whether every file is known by a cryptographic sum.
func (l *listing) summed() bool {
	return !slices.ContainsFunc(l.files, func(f file) bool { return f.sum.hex == "" })
}

// sum is a file's contents by their hash: SHA-256, or git's name for them (SHA-1 over `blob <size>\0` and the contents).
type sum struct {
	git bool
	hex string
}

func (s sum) String() string {
	if s.git {
		return "git blob " + s.hex
	}
	return "sha256 " + s.hex
}

// hash begins the sum of contents of that size.
func (s sum) hash(size int64) hash.Hash {
	if !s.git {
		return sha256.New()
	}
	h := sha1.New() //nolint:gosec // what git names its files by; the Hub has no other sum of small files
	_, err := io.WriteString(h, "blob "+strconv.FormatInt(size, 10)+"\x00")
	if err != nil {
		panic(err) // a hash never fails
	}
	return h
}

// check compares a finished hash.
func (s sum) check(h hash.Hash) error {
	if got := hex.EncodeToString(h.Sum(nil)); s.hex != "" && got != s.hex {
		return fmt.Errorf("%w: its sum is %s, and should be %s", errDamaged, got, s)
	}
	return nil
}

// origin returns the way to src.
func (s *Store) origin(ctx context.Context, src source) (origin, error) {
	switch src.kind {
	case kindHub:
		return &hub{client: s.client, source: src}, nil
	case kindBucket:
		return openBucket(ctx, s.config, src)
	case kindFolder:
		return &webFolder{client: s.client, url: src.url}, nil
	default:
		return &webArchive{client: s.client, source: src}, nil
	}
}
