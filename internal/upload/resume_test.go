package upload

import (
	"errors"
	"io"
	"strings"
	"testing"
)

func TestResume(t *testing.T) {
	_, c := startS3(t)
	s := open(t, c, nil)
	const key = "resume/weights"
	if _, err := s.Put(t.Context(), key, Object{Body: []byte("0123456789"), ContentType: "text/plain"}); err != nil {
		t.Fatal(err)
	}
	found, err := s.Head(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	for offset, want := range map[int64]string{0: "0123456789", 4: "456789"} {
		body, err := s.Resume(t.Context(), key, found.ETag, offset)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(body)
		if err := errors.Join(err, body.Close()); err != nil || string(got) != want {
			t.Errorf("from %d on: %q, %v", offset, got, err)
		}
	}
	if _, err := s.Resume(t.Context(), key, `"another"`, 4); err == nil || !strings.Contains(err.Error(), key) {
		t.Errorf("of another version: %v", err)
	}
	if _, err := s.Resume(t.Context(), "resume/none", "", 4); !errors.Is(err, ErrNotFound) {
		t.Errorf("of nothing: %v", err)
	}
}
