// Package modelflags is what commands that take models by URL have in common: the settings of their store of models, and the download, which a person at a
// terminal sees.
package modelflags

import (
	"context"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/stipple-ai/stipple/internal/flagenv"
	"github.com/stipple-ai/stipple/internal/infer/ort"
	"github.com/stipple-ai/stipple/internal/modelstore"
	"github.com/stipple-ai/stipple/internal/upload"
	"github.com/stipple-ai/stipple/internal/worker"
)

// Sources are the settings of models that lie elsewhere.
type Sources struct {
	Addressing *string // S3_ADDRESSING_STYLE, nil where the command has no bucket

	cache, endpoint, token string
	offline                bool
}

// Define makes the settings flags.
func (s *Sources) Define(fs *pflag.FlagSet) {
	fs.StringVar(&s.cache, "model-cache", "", "folder for models that are URLs, each downloaded once; default: stipple/models in the user's cache ($XDG_CACHE_HOME or ~/.cache)")
	flagenv.Bind(fs, "model-cache", "STIPPLE_MODEL_CACHE")
	fs.StringVar(&s.endpoint, "hf-endpoint", modelstore.DefaultEndpoint, "the Hugging Face Hub, or a mirror of it, for models as hf://org/repo@revision")
	fs.StringVar(&s.token, "hf-token", "", "token for private and gated repositories; it is sent nowhere else")
	flagenv.Secret(fs, "hf-token")
	fs.BoolVar(&s.offline, "hf-hub-offline", false, "ask nobody for models: take what the cache has")
}

// Open returns the store of models. progress may be nil.
func (s *Sources) Open(logger *slog.Logger, progress func(modelstore.Progress)) (*modelstore.Store, error) {
	dir := s.cache
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("no folder to keep models in (%w): set STIPPLE_MODEL_CACHE (--model-cache)", err)
		}
		dir = filepath.Join(cache, "stipple", "models")
	}
	return modelstore.New(modelstore.Config{
		Dir: dir, Endpoint: s.endpoint, Token: s.token, Offline: s.offline, Logger: logger, Progress: progress, Bucket: s.bucket,
		Verify: func(ctx context.Context, dir string) error {
			_, err := ort.Verify(ctx, dir)
			return err
		},
	})
}

// bucket opens the bucket of an s3:// model, by the SDK's own settings.
func (s *Sources) bucket(ctx context.Context, name string) (modelstore.Bucket, func(), error) {
	c := upload.Config{Bucket: name}
	if s.Addressing != nil {
		c.Addressing = *s.Addressing
	}
	store, err := upload.Open(ctx, c, nil)
	if err != nil {
		return nil, nil, err
	}
	return bucket{store}, store.Close, nil
}

// bucket is an upload.Store that is read.
type bucket struct{ store *upload.Store }

func (b bucket) List(ctx context.Context, prefix string) iter.Seq2[modelstore.Object, error] {
	return func(yield func(modelstore.Object, error) bool) {
		for o, err := range b.store.List(ctx, prefix) {
			if !yield(modelstore.Object{Key: o.Key, ETag: o.ETag, Size: o.Size}, err) {
				return
			}
		}
	}
}

func (b bucket) Open(ctx context.Context, key, etag string, offset int64) (io.ReadCloser, error) {
	return b.store.Resume(ctx, key, etag, offset)
}

// Fetch puts a folder in the place of each model that is a URL, downloading it where the cache has not got it. A person at a terminal sees a bar, others
// read in the log how far it is.
func (s *Sources) Fetch(ctx context.Context, models []worker.ModelPath, logger *slog.Logger, stderr io.Writer) ([]worker.ModelPath, error) {
	fetched := make([]worker.ModelPath, 0, len(models))
	var store *modelstore.Store
	bar := &bar{out: stderr}
	var progress func(modelstore.Progress)
	if f, ok := stderr.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		progress = bar.show
	}
	for _, m := range models {
		if modelstore.Remote(m.Dir) {
			if store == nil {
				var err error
				if store, err = s.Open(logger, progress); err != nil {
					return nil, err
				}
				defer store.Close()
			}
			dir, err := store.Fetch(ctx, m.Dir)
			bar.end()
			if err != nil {
				return nil, err
			}
			m.Dir = dir
		}
		fetched = append(fetched, m)
	}
	return fetched, nil
}

// bar is a download's progress for a person.
type bar struct {
	out io.Writer // a terminal
	bar *progressbar.ProgressBar
}

// show draws the bar.
func (b *bar) show(p modelstore.Progress) {
	if b.bar == nil {
		b.bar = progressbar.NewOptions64(max(p.Total, 1), progressbar.OptionSetWriter(b.out), progressbar.OptionSetDescription(p.Source), progressbar.OptionShowBytes(true), progressbar.OptionClearOnFinish())
	}
	b.bar.ChangeMax64(max(p.Total, p.Done, 1))
	_ = b.bar.Set64(p.Done) // a terminal that is gone
}

func (b *bar) end() {
	if b.bar != nil {
		_ = b.bar.Finish() // as above
		b.bar = nil
	}
}
