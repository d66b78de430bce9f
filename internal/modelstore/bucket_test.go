package modelstore

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"
)

// fakeBucket is a store that breaks off, as a real one in a test does not; the real one is in cmd/worker's tests.
type fakeBucket struct {
	objects map[string]string
	fail    []error // of the next calls
	opened  []int64 // offsets
}

// storageError is an error that passes.
type storageError struct{ typ string }

func (e *storageError) Error() string     { return "the store is away" }
func (e *storageError) ErrorType() string { return e.typ }

func (b *fakeBucket) next() error {
	if len(b.fail) == 0 {
		return nil
	}
	err := b.fail[0]
	b.fail = b.fail[1:]
	return err
}

func (b *fakeBucket) List(_ context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		if err := b.next(); err != nil {
			yield(Object{}, err)
			return
		}
		for _, key := range slices.Sorted(maps.Keys(b.objects)) {
			if strings.HasPrefix(key, prefix) && !yield(Object{Key: key, ETag: sha(b.objects[key])[:8], Size: int64(len(b.objects[key]))}, nil) {
				return
			}
		}
	}
}

func (b *fakeBucket) Open(_ context.Context, key, etag string, offset int64) (io.ReadCloser, error) {
	if etag != sha(b.objects[key])[:8] {
		return nil, errors.New("replaced")
	}
	if strings.HasSuffix(key, "onnx_data") {
		b.opened = append(b.opened, offset)
		if offset == 0 { // breaks off in the middle
			return io.NopCloser(io.MultiReader(strings.NewReader(b.objects[key][:70_000]), errReader{})), nil
		}
	}
	return io.NopCloser(bytes.NewReader([]byte(b.objects[key])[offset:])), nil
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestBucket(t *testing.T) {
	b := &fakeBucket{objects: in("models/toy/", pipeline())}
	b.objects["models/toy/"], b.objects["models/toys/model_index.json"] = "", "another's"
	closed := 0
	c := quick(t.TempDir())
	c.Bucket = func(_ context.Context, name string) (Bucket, func(), error) {
		if name != "acme" {
			return nil, nil, errors.New("no such bucket")
		}
		return b, func() { closed++ }, nil
	}
	s := open(t, c)
	b.fail = []error{&storageError{"storage"}, &storageError{"storage"}}
	first := mustFetch(t, s, "s3://acme/models/toy/", pipeline())
	if !slices.Equal(b.opened, []int64{0, 70_000}) {
		t.Errorf("opened at %v", b.opened)
	}
	b.objects["models/toy/unet/model.onnx"] = "another"
	want := pipeline()
	want["unet/model.onnx"] = "another"
	if dir := mustFetch(t, s, "s3://acme/models/toy", want); dir == first {
		t.Error("another upload is the same version")
	}
	b.fail = slices.Repeat([]error{error(&storageError{"storage"})}, 9)
	mustFetch(t, s, "s3://acme/models/toy", want) // away, and here
	b.fail = []error{&storageError{"storage_config"}}
	if _, err := open(t, Config{Dir: t.TempDir(), Bucket: c.Bucket}).Fetch(t.Context(), "s3://acme/models/toy"); err == nil || !strings.Contains(err.Error(), "s3://acme/models/toy: the store is away") {
		t.Errorf("got %v", err)
	}
	if _, err := s.Fetch(t.Context(), "s3://other/x"); err == nil {
		t.Error("another bucket was opened")
	}
	if closed != 4 {
		t.Errorf("closed %d buckets", closed)
	}
}
