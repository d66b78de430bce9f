// Package modelstore brings models that lie elsewhere (the Hugging Face Hub, an S3 bucket, a web server) into a folder of this machine, once: downloads go
// on where they were broken off, are checked, and become visible whole by a rename; processes that want the same model share one download.
//
// The cache has a folder for each source. In it, one for each version that was downloaded whole, `refs` with the version that a name such as a branch had
// when it was last looked up, a lock file, and `partial` while a download is under way.
package modelstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// Config says where models are kept and how they are reached. Only Dir must be set.
type Config struct {
	Dir      string // the cache
	Endpoint string // of the Hub: HF_ENDPOINT; "" is https://huggingface.co
	Token    string // of the Hub: HF_TOKEN. It is sent to Endpoint alone, and never logged
	Offline  bool   // ask nobody, and take what is in the cache: HF_HUB_OFFLINE

	// Bucket opens a bucket for s3:// sources; close frees it. nil has none.
	Bucket func(ctx context.Context, name string) (_ Bucket, closeBucket func(), _ error)

	// Verify looks at a model that was downloaded whole, before others see it; nil takes it as it is. Its errors are for people.
	Verify func(ctx context.Context, dir string) error

	Progress  func(Progress)    // told a few times a second how far a download is, by one goroutine; nil: the log is told, every ten seconds
	Logger    *slog.Logger      // nil: nobody
	Transport http.RoundTripper // nil is the network

	patience time.Duration // without a byte, after which a connection is given up; 0 is 30 s. Less in tests
	pause    time.Duration // before the second try, doubled from there; 0 is 1 s. Less in tests
}

// Store is the cache and the ways to fill it. Its methods may be called from several goroutines, and by several processes on one cache.
type Store struct {
	config Config
	client *client
}

// New returns a store; it touches nothing yet.
func New(c Config) (*Store, error) {
	if c.Dir == "" {
		return nil, errors.New("no folder to keep models in: set STIPPLE_MODEL_CACHE (--model-cache)")
	}
	dir, err := filepath.Abs(c.Dir) // the process may change its own
	if err != nil {
		return nil, err
	}
	c.Dir = dir
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.patience == 0 {
		c.patience = 30 * time.Second
	}
	if c.pause == 0 {
		c.pause = time.Second
	}
	client, err := newClient(c)
	if err != nil {
		return nil, err
	}
	return &Store{config: c, client: client}, nil
}

// Close closes connections that nobody uses.
func (s *Store) Close() { s.client.close() }

// Fetch returns the folder of the model at source, downloading it if the cache has not got it. A source that names a version for good (a commit) is not
// asked about once it is here; for others the source is asked which version is the present one, and where it cannot be reached the last one known is taken,
// with a warning. When ctx ends, what was downloaded stays for the next try.
func (s *Store) Fetch(ctx context.Context, source string) (dir string, err error) {
	src, err := parse(source)
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("model %s: %w", src, err)
		}
	}()
	shelf := s.shelf(src)
	defer func() { // of what is returned
		if err == nil {
			touch(dir)
		}
	}()
	if dir, ok := shelf.complete(src.pinned()); ok {
		return dir, nil
	}
	if s.config.Offline {
		return shelf.offline(src)
	}
	o, err := s.origin(ctx, src)
	if err != nil {
		return "", err
	}
	defer o.close()
	last, have := shelf.last(src)
	l, err := s.list(ctx, src, o, have)
	switch {
	case err != nil && have && ctx.Err() == nil && !errors.Is(err, errGone):
		s.config.Logger.Warn("the model's source does not answer: taking the version that is here", slog.String("model", src.String()), slog.String("folder", last), slog.Any("error", err))
		return last, nil
	case err != nil:
		return "", err
	}
	if dir, ok := shelf.complete(l.version); ok {
		return dir, shelf.remember(src, l.version)
	}
	unlock, err := s.lock(ctx, shelf)
	if err != nil {
		return "", err
	}
	defer unlock()
	if dir, ok := shelf.complete(l.version); ok { // by who had the lock before
		return dir, shelf.remember(src, l.version)
	}
	return s.download(ctx, src, o, l, shelf)
}

// download fills shelf with the version that l lists; the shelf is locked.
func (s *Store) download(ctx context.Context, src source, o origin, l *listing, shelf shelf) (string, error) {
	partial := shelf.partial(l.version)
	if err := partial.prepare(l); err != nil {
		return "", explain(err, shelf.dir)
	}
	j := &job{store: s, source: src, origin: o, listing: l, partial: partial}
	if err := j.run(ctx); err != nil {
		return "", explain(err, shelf.dir)
	}
	if s.config.Verify != nil {
		if err := s.config.Verify(ctx, partial.files()); err != nil {
			if ctx.Err() == nil && !l.summed() { // the next try should not take the same bytes again for good
				err = errors.Join(err, os.RemoveAll(partial.dir))
			}
			return "", err
		}
	}
	dir, err := shelf.publish(partial, l.version)
	if err != nil {
		return "", explain(err, shelf.dir)
	}
	return dir, shelf.remember(src, l.version)
}

// Look is what is known of a source without downloading it.
type Look struct {
	Dir     string // of the model in the cache; "" where it has to be downloaded
	Version string // the commit, or what stands for it
	Files   int    // to download
	Bytes   int64  // of them, as far as the source says
	Have    int64  // bytes of them that an interrupted download left
	Free    int64  // bytes that the cache's file system has room for; -1 where the system does not say
	Refused error  // why nothing can be written there; nil where it can, or the system does not say
}

// Look asks the source what Fetch would download. Offline, or where the version is here for good, nobody is asked.
func (s *Store) Look(ctx context.Context, source string) (Look, error) {
	src, err := parse(source)
	if err != nil {
		return Look{}, err
	}
	shelf := s.shelf(src)
	if dir, ok := shelf.complete(src.pinned()); ok {
		return Look{Dir: dir, Version: filepath.Base(dir)}, nil
	}
	if s.config.Offline {
		dir, err := shelf.offline(src)
		if err != nil {
			return Look{}, fmt.Errorf("model %s: %w", src, err)
		}
		return Look{Dir: dir, Version: filepath.Base(dir)}, nil
	}
	o, err := s.origin(ctx, src)
	if err != nil {
		return Look{}, fmt.Errorf("model %s: %w", src, err)
	}
	defer o.close()
	l, err := s.list(ctx, src, o, true)
	if err != nil {
		return Look{}, fmt.Errorf("model %s: %w", src, err)
	}
	if dir, ok := shelf.complete(l.version); ok {
		return Look{Dir: dir, Version: l.version}, nil
	}
	look := Look{Version: l.version, Files: len(l.files), Have: shelf.partial(l.version).size(), Free: free(s.config.Dir)}
	if err := writable(shelf.dir); err != nil {
		look.Refused = unwritable(shelf.dir, err)
	}
	for _, f := range l.files {
		look.Bytes += max(f.size, 0)
	}
	return look, nil
}
