package modelstore

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	atOnce   = 4 // files
	tries    = 8 // that bring no byte, in a row; waiting for the last takes some minutes
	longest  = time.Minute
	copySize = 1 << 20
)

// job is the download of one version, under the shelf's lock.
type job struct {
	store   *Store
	source  source
	origin  origin
	listing *listing
	partial partial
	meter   meter
}

// run brings all files, checked, into the partial's folder.
func (j *job) run(ctx context.Context) error {
	c := j.store.config
	if err := j.measure(); err != nil {
		return err
	}
	begin := time.Now()
	c.Logger.Info("downloading a model", slog.String("model", j.source.String()), slog.String("version", j.listing.version), slog.Int("files", len(j.listing.files)),
		slog.String("size", Bytes(j.meter.total.Load())), slog.String("here", Bytes(j.meter.earlier.Load())), slog.String("folder", filepath.Dir(filepath.Dir(j.partial.dir))))
	telling, stop := context.WithCancel(ctx)
	told := make(chan struct{})
	go func() { // ends below
		defer close(told)
		j.meter.tell(telling, c, j.source, len(j.listing.files))
	}()
	err := j.fetchAll(ctx)
	stop()
	<-told
	if err == nil && j.listing.archive != "" {
		err = j.unpack(ctx)
	}
	if err == nil && !j.listing.summed() {
		err = checkSums(ctx, j.partial.files())
	}
	if err == nil {
		c.Logger.Info("downloaded a model", slog.String("model", j.source.String()), slog.String("size", Bytes(j.meter.done.Load())), slog.Duration("took", time.Since(begin).Round(time.Millisecond)))
	}
	return err
}

// measure counts what is here and what is to come, and refuses what has no room.
func (j *job) measure() error {
	missing := int64(0)
	for _, f := range j.listing.files {
		have := j.have(f)
		j.meter.earlier.Add(have)
		j.meter.total.Add(max(f.size, 0))
		missing += max(f.size-have, 0)
	}
	need := missing
	if j.listing.archive != "" {
		need += j.meter.total.Load() // unpacked it takes that again, and more where it was compressed
	}
	j.meter.done.Store(j.meter.earlier.Load())
	if room := free(j.partial.dir); room >= 0 && need > room {
		return fmt.Errorf("%s are needed in %s, and %s are free: make room, or set STIPPLE_MODEL_CACHE (--model-cache) to a folder elsewhere", Bytes(need), j.store.config.Dir, Bytes(room))
	}
	return nil
}

const partSuffix = ".part"

// have is the bytes of f that an earlier try left.
func (j *job) have(f file) int64 {
	name := j.partial.path(j.listing, f)
	for _, name := range []string{name, name + partSuffix} {
		if info, err := os.Stat(name); err == nil {
			return info.Size()
		}
	}
	return 0
}

func (j *job) fetchAll(ctx context.Context) error {
	files := slices.Clone(j.listing.files)
	slices.SortStableFunc(files, func(a, b file) int { return int(min(max(b.size-a.size, -1), 1)) }) // the largest takes longest
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for _, f := range files {
		g.Go(func() error {
			if err := j.fetch(ctx, f); err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
			j.meter.filesDone.Add(1)
			return nil
		})
	}
	return g.Wait()
}

// fetch brings one file, in as many tries as that takes.
func (j *job) fetch(ctx context.Context, f file) error {
	name := j.partial.path(j.listing, f)
	if info, err := os.Stat(name); err == nil && (f.size < 0 || info.Size() == f.size) {
		return nil // it has its name since it was checked
	}
	for failed, damaged := 0, false; ; {
		n, err := j.try(ctx, f, name+partSuffix)
		if err == nil {
			return os.Rename(name+partSuffix, name)
		}
		if errors.Is(err, errDamaged) {
			j.meter.done.Add(-j.have(f))
			if err := errors.Join(err, os.Remove(name+partSuffix)); damaged {
				return err // twice: that is how it lies there
			}
			damaged = true
			j.store.config.Logger.Warn("a file came damaged: downloading it again", slog.String("model", j.source.String()), slog.String("file", f.name), slog.Any("error", err))
			continue
		}
		retry, after := temporary(err)
		if n > 0 {
			failed = 0
		}
		if failed++; !retry || failed >= tries || ctx.Err() != nil {
			return err
		}
		wait := max(after, j.store.backoff(failed))
		j.store.config.Logger.Warn("a download was broken off: going on with it", slog.String("model", j.source.String()), slog.String("file", f.name), slog.Duration("after", wait), slog.Any("error", err))
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// try goes on with a file where the part ends, and returns how many bytes it brought. After a nil error the part is the file, on the disk and checked.
func (j *job) try(ctx context.Context, f file, part string) (n int64, err error) {
	out, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	have, err := out.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	if f.size >= 0 && have > f.size {
		have, err = 0, j.restart(out, have)
		if err != nil {
			return 0, err
		}
	}
	c := &contents{body: io.NopCloser(nothing{}), at: have, size: f.size}
	if f.size < 0 || have < f.size {
		if c, err = j.origin.open(ctx, f, have); err != nil {
			return 0, err
		}
	}
	defer func() { err = errors.Join(err, c.body.Close()) }()
	if c.at < have { // the source begins anew
		if err := j.restart(out, have); err != nil {
			return 0, err
		}
	}
	return j.receive(ctx, f, c, out)
}

// restart empties a part.
func (j *job) restart(out *os.File, have int64) error {
	j.meter.done.Add(-have)
	if _, err := out.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return out.Truncate(0)
}

// receive appends what comes to out, which holds what comes before it, and checks the whole.
func (j *job) receive(ctx context.Context, f file, c *contents, out *os.File) (n int64, err error) {
	size, want := f.size, f.sum
	if size < 0 {
		size = c.size
		j.meter.total.Add(max(size, 0))
	}
	if want.hex == "" {
		want = c.sum
	}
	if c.size >= 0 && size != c.size {
		return 0, fmt.Errorf("%w: it is listed with %d bytes, and comes with %d", errDamaged, size, c.size)
	}
	if want.git && size < 0 {
		return 0, fmt.Errorf("%w: the source does not tell its size", errDamaged)
	}
	h := want.hash(size)
	if err := hashSoFar(ctx, h, out, c.at); err != nil {
		return 0, err
	}
	body := io.Reader(c.body)
	if size >= 0 {
		body = io.LimitReader(body, size-c.at+1)
	}
	n, err = io.CopyBuffer(io.MultiWriter(out, h, counter{&j.meter}), body, make([]byte, copySize))
	got := c.at + n
	switch {
	case err != nil:
		return n, err
	case size >= 0 && got < size:
		return n, &networkError{fmt.Errorf("the answer ended after %d of %d bytes: %w", got, size, io.ErrUnexpectedEOF)}
	case size >= 0 && got > size:
		return n, fmt.Errorf("%w: there is more than the %d bytes that it should have", errDamaged, size)
	}
	if err := want.check(h); err != nil {
		return n, err
	}
	return n, out.Sync()
}

// hashSoFar feeds h the first n bytes of out and leaves out at their end.
func hashSoFar(ctx context.Context, h hash.Hash, out *os.File, n int64) error {
	if _, err := out.Seek(0, io.SeekStart); err != nil {
		return err
	}
	_, err := io.CopyBuffer(h, &cancelled{ctx, io.LimitReader(out, n)}, make([]byte, copySize))
	return err
}

// cancelled is a reader that ends with ctx.
type cancelled struct {
	ctx context.Context //nolint:containedctx // a reader lives as long as one copy
	io.Reader
}

func (r *cancelled) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

// nothing is an empty body.
type nothing struct{}

func (nothing) Read([]byte) (int, error) { return 0, io.EOF }

// counter counts what is written.
type counter struct{ *meter }

func (c counter) Write(p []byte) (int, error) {
	c.done.Add(int64(len(p)))
	return len(p), nil
}

// backoff is the pause before the next try: doubled each time, with jitter.
func (s *Store) backoff(failed int) time.Duration {
	d := min(s.config.pause<<min(failed-1, 20), max(longest, s.config.pause))
	return d/2 + rand.N(d/2+1)
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// list asks for the files, again where that may help. Where the cache has a version to take instead, patience is shorter.
func (s *Store) list(ctx context.Context, src source, o origin, fallback bool) (*listing, error) {
	most := 5
	if fallback {
		most = 2
	}
	for failed := 1; ; failed++ {
		l, err := o.list(ctx)
		if err == nil {
			return l, nil
		}
		retry, after := temporary(err)
		if !retry || failed >= most || ctx.Err() != nil {
			return nil, err
		}
		wait := max(after, s.backoff(failed))
		s.config.Logger.Warn("the model's source does not answer: asking again", slog.String("model", src.String()), slog.Duration("after", wait), slog.Any("error", err))
		if err := sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// checkSums checks a folder by its SHA256SUMS, where it has one: files that it names and the worker needs must be there and have these contents.
func checkSums(ctx context.Context, dir string) error {
	data, err := os.ReadFile(filepath.Join(dir, sumsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	files, err := parseSums(data)
	if err != nil {
		return err
	}
	for _, f := range files {
		if !needs(f.name) {
			continue
		}
		if err := checkFile(ctx, filepath.Join(dir, filepath.FromSlash(f.name)), f.sum); err != nil {
			return fmt.Errorf("%s, by its %s: %w", f.name, sumsFile, err)
		}
	}
	return nil
}

func checkFile(ctx context.Context, name string, want sum) error {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("it is missing")
	}
	if err != nil {
		return err
	}
	defer f.Close()
	h := want.hash(0)
	if _, err := io.CopyBuffer(h, &cancelled{ctx, f}, make([]byte, copySize)); err != nil {
		return err
	}
	return want.check(h)
}
