package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stipple-ai/stipple/internal/ops"
	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/upload"
)

// downloadsAtOnce bounds the pictures on their way at one time, and so the memory they take.
const downloadsAtOnce = 8

// downloads puts the pictures of a batch into a folder, <index, eight digits>.<extension>, and what they are into
// its manifest. What is there already is not fetched again. A nil *downloads has no folder and fetches nothing.
type downloads struct {
	dir      string
	stores   ops.Stores
	manifest *manifest
	logger   *slog.Logger
}

// openDownloads opens the folder that the flags name; nil if they name none.
func openDownloads(f *downloadFlags, batch string, logger *slog.Logger) (*downloads, error) {
	if f.out == "" {
		return nil, nil //nolint:nilnil // a nil *downloads is one that fetches nothing
	}
	m, err := openManifest(f.out, batch)
	if err != nil {
		return nil, input(fmt.Errorf("--out: %w", err))
	}
	return &downloads{dir: f.out, stores: ops.Stores{Config: f.config}, manifest: m, logger: logger}, nil
}

func (d *downloads) close() error {
	if d == nil {
		return nil
	}
	d.stores.Close()
	return d.manifest.close()
}

// folder is where the pictures go.
func (d *downloads) folder() string {
	if d == nil {
		return ""
	}
	return d.dir
}

// flag is the folder as an argument.
func (d *downloads) flag() string {
	if d == nil {
		return ""
	}
	return " --out " + ops.ShellWord(d.dir)
}

// fetching is one wait's worth of downloads.
type fetching struct {
	*downloads
	group errgroup.Group

	mu      sync.Mutex // for what follows, and the manifest
	tell    func(r queue.Result, file string)
	missing int       // pictures that are not in the bucket, or are not what the result says
	warned  time.Time // when the log last said that the store is away
	failed  error     // the first error that ends the wait
}

// start begins to take results. Tell is called for each of them, one at a time, once its picture is there.
func (d *downloads) start(tell func(r queue.Result, file string)) *fetching {
	f := &fetching{downloads: d, tell: tell}
	f.group.SetLimit(downloadsAtOnce)
	return f
}

// take takes a result; it waits while too many pictures are on their way, each of which is tried until ctx ends.
// The error is that of an earlier download after which there is no point in going on.
func (f *fetching) take(ctx context.Context, r queue.Result) error {
	if f.downloads == nil || r.Image == nil {
		return f.settle(r, "")
	}
	// The goroutine is the group's, for which wait waits.
	f.group.Go(func() error {
		f.fetch(ctx, r)
		return nil
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed
}

// wait waits for the downloads that are on their way and returns what went wrong with any.
func (f *fetching) wait() error {
	// Errors are kept in f: the group's goroutines return none.
	_ = f.group.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed == nil && f.missing > 0 {
		return fmt.Errorf("%s %w", ops.Plural(f.missing, "picture"), errNotDownloaded)
	}
	return f.failed
}

// settle tells of a result and writes it down.
func (f *fetching) settle(r queue.Result, file string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tell(r, file)
	if f.downloads == nil || f.manifest.has(r) {
		return nil
	}
	name := ""
	if file != "" {
		name = filepath.Base(file)
	}
	if err := f.manifest.add(r, name); err != nil {
		f.failed = errors.Join(f.failed, fmt.Errorf("writing the manifest: %w", err))
	}
	return f.failed
}

// fetch downloads one picture.
func (f *fetching) fetch(ctx context.Context, r queue.Result) {
	file := filepath.Join(f.dir, fileName(r))
	if !f.there(r, file) {
		if err := f.download(ctx, r, file); err != nil {
			f.fail(ctx, r, err)
			return
		}
	}
	// The error is kept for take and wait.
	_ = f.settle(r, file)
}

// fail notes a download that did not succeed: one picture that is missing does not keep the others from coming.
func (f *fetching) fail(ctx context.Context, r queue.Result, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case errors.Is(err, upload.ErrNotFound), errors.Is(err, errOtherObject):
		f.missing++
		f.logger.LogAttrs(ctx, slog.LevelError, "downloading", slog.String("job", r.Identity().String()), slog.Any("error", err))
	case f.failed == nil:
		f.failed = fmt.Errorf("downloading the picture of %s: %w", r.Identity(), err)
	}
}

// errNotDownloaded are pictures that are not in the bucket.
var errNotDownloaded = errors.New("could not be downloaded: see above")

// errOtherObject is an object that is not the one of the result.
var errOtherObject = errors.New("the object is not the one of the result")

// fileName is where a picture goes. The extension is that of its key, which came from outside.
func fileName(r queue.Result) string {
	ext := path.Ext(r.Image.Key)
	if !regexp.MustCompile(`^\.[a-z0-9]{1,8}$`).MatchString(ext) {
		ext = ".img"
	}
	return fmt.Sprintf("%08d%s", r.Index, ext)
}

// there reports whether the picture lies in the folder already: files come into being as a whole, so the size is
// enough for one that the manifest knows.
func (f *fetching) there(r queue.Result, file string) bool {
	info, err := os.Stat(file)
	if err != nil || info.Size() != r.Image.Size {
		return false
	}
	f.mu.Lock()
	known := f.manifest.has(r)
	f.mu.Unlock()
	if known {
		return true
	}
	sum, err := hashFile(file)
	return err == nil && sum == r.Image.SHA256
}

func hashFile(name string) (string, error) {
	in, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer in.Close()
	h := sha256.New()
	if _, err := io.Copy(h, in); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// The waits for a store that is away double between these; a random half is taken off each.
const (
	awayWaitMin = 500 * time.Millisecond
	awayWaitMax = 30 * time.Second
)

// download fetches a picture, as soon as the store is there, and writes its file as a whole or not at all.
func (f *fetching) download(ctx context.Context, r queue.Result, file string) error {
	store, err := f.stores.Get(ctx, r.Image.Bucket)
	if err != nil {
		return err
	}
	for wait := awayWaitMin; ; wait = min(2*wait, awayWaitMax) {
		o, err := store.Get(ctx, r.Image.Key)
		if err == nil {
			return write(file, r, o.Body)
		}
		if ctx.Err() != nil || queue.ErrorType(err) != queue.TypeStorage || errors.Is(err, upload.ErrNotFound) {
			return err
		}
		f.warn(ctx, err)
		t := time.NewTimer(wait - rand.N(wait/2))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return context.Cause(ctx)
		}
	}
}

// warn says that the store is away, at once and then every 30 s.
func (f *fetching) warn(ctx context.Context, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := time.Now(); now.Sub(f.warned) >= 30*time.Second {
		f.warned = now
		f.logger.LogAttrs(ctx, slog.LevelWarn, "waiting for the store", slog.Any("error", err))
	}
}

// write writes a picture that is the result's, as far as that says (a worker that may not read the bucket does not know). What a crash leaves of the partial file is overwritten next time.
func write(file string, r queue.Result, body []byte) error {
	sum := sha256.Sum256(body)
	if got := hex.EncodeToString(sum[:]); r.Image.SHA256 != "" && got != r.Image.SHA256 {
		return fmt.Errorf("%w: %s has SHA-256 %s, the result says %s", errOtherObject, r.Image.Key, got, r.Image.SHA256)
	}
	partial := filepath.Join(filepath.Dir(file), "."+filepath.Base(file)+".part")
	if err := os.WriteFile(partial, body, 0o666); err != nil {
		return err
	}
	return os.Rename(partial, file)
}
