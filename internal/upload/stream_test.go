package upload

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

func TestStream(t *testing.T) {
	quietAWS(t)
	_, c := startS3(t)
	s := open(t, c, nil)
	body := bytes.Repeat([]byte("0123456789"), 100_000)
	if _, err := s.Put(t.Context(), testKey, Object{Body: body, ContentType: "image/png", Metadata: Metadata{Spec16: "0123456789abcdef"}}); err != nil {
		t.Fatal(err)
	}
	o, stream, err := s.Stream(t.Context(), testKey)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(stream)
	if err := errors.Join(err, stream.Close()); err != nil || !bytes.Equal(got, body) {
		t.Errorf("%d bytes, want %d; %v", len(got), len(body), err)
	}
	if o.Size != int64(len(body)) || o.ContentType != "image/png" || o.Metadata.Spec16 != "0123456789abcdef" || o.Body != nil {
		t.Errorf("object %+v", o)
	}
	if _, _, err := s.Stream(t.Context(), "cats/none"); !errors.Is(err, ErrNotFound) {
		t.Errorf("%v, want %v", err, ErrNotFound)
	}
	if _, half, err := s.Stream(t.Context(), testKey); err != nil || half.Close() != nil {
		t.Errorf("a body that is not read to its end: %v", err)
	}
}
