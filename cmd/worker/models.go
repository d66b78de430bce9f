package main

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

	"github.com/stipple-ai/stipple/internal/doctor"
	"github.com/stipple-ai/stipple/internal/flagenv"
	"github.com/stipple-ai/stipple/internal/infer/ort"
	"github.com/stipple-ai/stipple/internal/modelstore"
	"github.com/stipple-ai/stipple/internal/upload"
	"github.com/stipple-ai/stipple/internal/worker"
)

// sources are the settings of models that lie elsewhere.
type sources struct {
	cache, endpoint, token string
	offline                bool
	addressing             *string // S3_ADDRESSING_STYLE, nil where the command has no bucket
}

func (s *sources) define(fs *pflag.FlagSet) {
	fs.StringVar(&s.cache, "model-cache", "", "folder for models that are URLs, each downloaded once; default: stipple/models in the user's cache ($XDG_CACHE_HOME or ~/.cache)")
	flagenv.Bind(fs, "model-cache", "STIPPLE_MODEL_CACHE")
	fs.StringVar(&s.endpoint, "hf-endpoint", modelstore.DefaultEndpoint, "the Hugging Face Hub, or a mirror of it, for models as hf://org/repo@revision")
	fs.StringVar(&s.token, "hf-token", "", "token for private and gated repositories; it is sent nowhere else")
	flagenv.Secret(fs, "hf-token")
	fs.BoolVar(&s.offline, "hf-hub-offline", false, "ask nobody for models: take what the cache has")
}

// open returns the store of models. progress may be nil.
func (s *sources) open(logger *slog.Logger, progress func(modelstore.Progress)) (*modelstore.Store, error) {
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
func (s *sources) bucket(ctx context.Context, name string) (modelstore.Bucket, func(), error) {
	c := upload.Config{Bucket: name}
	if s.addressing != nil {
		c.Addressing = *s.addressing
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

// fetch puts a folder in the place of each model that is a URL, downloading it where the cache has not got it. A person at a terminal sees a bar.
func (s *sources) fetch(ctx context.Context, models []worker.ModelPath, logger *slog.Logger, stderr io.Writer) ([]worker.ModelPath, error) {
	fetched := make([]worker.ModelPath, 0, len(models))
	var store *modelstore.Store
	bar := &bar{out: stderr}
	for _, m := range models {
		if modelstore.Remote(m.Dir) {
			if store == nil {
				var err error
				if store, err = s.open(logger, bar.show); err != nil {
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

// look is a model for the doctor, which downloads nothing.
func (s *sources) look(ctx context.Context, m worker.ModelPath) doctor.Model {
	d := doctor.Model{Name: m.Name, Dir: m.Dir}
	if !modelstore.Remote(m.Dir) {
		return d
	}
	store, err := s.open(slog.New(slog.DiscardHandler), nil)
	if err != nil {
		d.Absent = err
		return d
	}
	defer store.Close()
	found, err := store.Look(ctx, m.Dir)
	d.Source, d.Dir = m.Dir, found.Dir
	switch missing := found.Bytes - found.Have; {
	case err != nil:
		d.Absent = err
	case found.Dir != "":
	case found.Free >= 0 && missing > found.Free:
		d.Absent = fmt.Errorf("%s are to be downloaded, and the cache has room for %s: make room, or set STIPPLE_MODEL_CACHE (--model-cache)", modelstore.Bytes(missing), modelstore.Bytes(found.Free))
	default:
		d.Later = true
		d.Absent = fmt.Errorf("not downloaded yet: %d files, %s, of which %s are here, at version %.12s", found.Files, modelstore.Bytes(found.Bytes), modelstore.Bytes(found.Have), found.Version)
	}
	return d
}

// bar is a download's progress for a person.
type bar struct {
	out io.Writer
	bar *progressbar.ProgressBar
}

// show draws the bar, where out is a terminal.
func (b *bar) show(p modelstore.Progress) {
	f, ok := b.out.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return
	}
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
