package page

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/upload"
	"github.com/stipple-ai/stipple/internal/web"
)

// Open returns a picture as it arrives.
func (s *System) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	store, err := s.storeOf(ctx, key)
	if err != nil {
		return nil, err
	}
	_, body, err := store.Stream(ctx, key)
	if err != nil {
		return nil, s.away(ctx, err)
	}
	return body, nil
}

// Read returns a picture, and learns the prompt that stands in it.
func (s *System) Read(ctx context.Context, key string, limit int64) ([]byte, error) {
	body, err := s.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	file, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err != nil {
		return nil, s.away(ctx, fmt.Errorf("reading %s from the store: %w", key, err))
	}
	if int64(len(file)) > limit {
		return nil, web.Errorf(http.StatusRequestEntityTooLarge, "%s has more than %d bytes", key, limit)
	}
	s.about.learn(key, file)
	return file, nil
}

// away says of an error of the store what it means to who looks at the page.
func (s *System) away(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, upload.ErrNotFound):
		return &web.Error{Status: http.StatusNotFound, Err: fmt.Errorf("%w: it was deleted, or is not written yet", err)}
	case ctx.Err() != nil:
		return err
	}
	return &web.Error{Status: http.StatusBadGateway, Err: err}
}

// storeOf is the store of a picture: that of the bucket that is set, or that a result of the job names.
func (s *System) storeOf(ctx context.Context, key string) (*upload.Store, error) {
	if !isPicture(key) || !strings.HasPrefix(key, s.cfg.Store.Prefix) {
		return nil, web.Errorf(http.StatusNotFound, "%q is no key of a picture", key)
	}
	k, _ := upload.ParseKey("", keyTail(key)) // it is one
	bucket := s.bucketOf(k.Batch)
	if bucket == "" {
		err := s.ask(ctx, func(ctx context.Context, c *queue.Client) error {
			r, found, err := c.Lookup(ctx, k.Batch, k.Index)
			if found && r.Image != nil && r.Image.Key == key {
				bucket = r.Image.Bucket
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		if bucket == "" {
			return nil, web.Errorf(http.StatusNotFound, "no result is of the picture %s, so its bucket is not known: set S3_BUCKET (--s3-bucket)", key)
		}
	}
	store, err := s.stores.Get(ctx, bucket)
	if err != nil {
		return nil, &web.Error{Status: http.StatusBadGateway, Err: err}
	}
	return store, nil
}

// isPicture reports whether a key is one that a worker gives to a picture, under any prefix. Nothing else of a bucket is
// served, and in a store whose objects are files, no key leads out of it.
func isPicture(key string) bool {
	_, ok := upload.ParseKey("", keyTail(key))
	return ok && path.Clean("/"+key) == "/"+key
}

// keyTail is a picture's key without its prefix: <batch>/<index>-<spec16>.<ext>.
func keyTail(key string) string {
	dir, name := path.Split(key)
	return path.Join(path.Base(dir), name)
}

// pathOf is a key in a path of the page.
func pathOf(key string) string {
	parts := strings.Split(key, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return strings.Join(parts, "/")
}
