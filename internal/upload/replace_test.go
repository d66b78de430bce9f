package upload

import "testing"

func TestReplace(t *testing.T) {
	_, c := startS3(t)
	s := open(t, c, nil)
	for _, body := range []string{"a sheet", "the sheet with one picture more", ""} {
		if err := s.Replace(t.Context(), "cats/grid-01.png", "image/png", []byte(body)); err != nil {
			t.Fatalf("Replace: %v", err)
		}
		got, err := s.Get(t.Context(), "cats/grid-01.png")
		if err != nil || string(got.Body) != body || got.ContentType != "image/png" {
			t.Errorf("Get: %q, %s, %v, want %q", got.Body, got.ContentType, err, body)
		}
	}
	if _, ok := ParseKey("", "cats/grid-01.png"); ok {
		t.Error("a sheet is taken for the picture of a job")
	}
}
