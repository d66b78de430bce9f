package modelstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
)

// Bucket is what is read of an S3 bucket.
type Bucket interface {
	// List goes through the objects under a prefix.
	List(ctx context.Context, prefix string) iter.Seq2[Object, error]

	// Open reads an object from offset on. With an etag, one that was replaced meanwhile is an error.
	Open(ctx context.Context, key, etag string, offset int64) (io.ReadCloser, error)
}

// Object is an object of a bucket.
type Object struct {
	Key, ETag string
	Size      int64
}

// prefixed is a model under a prefix of a bucket.
type prefixed struct {
	bucket Bucket
	prefix string // ends in a slash, or is ""
	closed func()
}

func openBucket(ctx context.Context, c Config, src source) (origin, error) {
	if c.Bucket == nil {
		return nil, errors.New("no bucket can be opened here")
	}
	b, closed, err := c.Bucket(ctx, src.bucket)
	if err != nil {
		return nil, err
	}
	p := &prefixed{bucket: b, closed: closed}
	if src.path != "" {
		p.prefix = src.path + "/"
	}
	return p, nil
}

func (p *prefixed) close() { p.closed() }

// list takes what lies under the prefix. Its version is all names, sizes and ETags: another upload is another version.
func (p *prefixed) list(ctx context.Context) (*listing, error) {
	var files []file
	for o, err := range p.bucket.List(ctx, p.prefix) {
		if err != nil {
			return nil, away(err)
		}
		name := strings.TrimPrefix(o.Key, p.prefix)
		if name == "" || strings.HasSuffix(name, "/") { // what consoles make for folders
			continue
		}
		files = append(files, file{name: name, size: o.Size, etag: o.ETag})
	}
	files, err := pick(files, "")
	if err != nil {
		return nil, err
	}
	var all strings.Builder
	for i, f := range files {
		fmt.Fprintln(&all, f.name, f.size, f.etag)
		files[i].from = p.prefix + f.name
	}
	return &listing{version: versionOf(all.String()), files: files}, nil
}

func (p *prefixed) open(ctx context.Context, f file, offset int64) (*contents, error) {
	body, err := p.bucket.Open(ctx, f.from, f.etag, offset)
	if err != nil {
		return nil, away(err)
	}
	return &contents{body: &retriedBody{body}, at: offset, size: f.size}, nil
}

// away marks an error of a store that may be back later.
func away(err error) error {
	if typed, ok := errors.AsType[interface {
		error
		ErrorType() string
	}](err); ok && typed.ErrorType() == "storage" {
		return &networkError{err}
	}
	return err
}

// retriedBody is a body whose failures are worth another try.
type retriedBody struct{ io.ReadCloser }

func (b *retriedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = &networkError{err}
	}
	return n, err
}
