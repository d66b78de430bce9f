package main

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stipple-ai/stipple/internal/gallery"
)

// onePixel is a PNG file.
func onePixel(t *testing.T) []byte {
	t.Helper()
	img := image.NewNRGBA(image.Rect(0, 0, 1, 1))
	img.SetNRGBA(0, 0, color.NRGBA{R: 200, A: 255})
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// list is the files below dir, by their path from it.
func list(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			files = append(files, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestWriteOutputReplacesAnEarlierDemo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo")
	data := onePixel(t)
	page := func(prompts ...string) gallery.Page {
		var p gallery.Page
		for _, text := range prompts {
			p.Pictures = append(p.Pictures, gallery.Picture{Prompt: text, ContentType: "image/png", Data: data})
		}
		return p
	}
	for _, step := range []struct {
		page gallery.Page
		want []string
	}{
		{page("a cat", "a dog/../../etc"), []string{"contact-sheet.png", "images/01-a-cat.png", "images/02-a-dog-etc.png", "index.html"}},
		{page("犬"), []string{"contact-sheet.png", "images/01-picture.png", "index.html"}},
		{gallery.Page{Pictures: []gallery.Picture{{Prompt: "failed"}}}, []string{"index.html"}},
	} {
		if err := checkOut(dir); err != nil {
			t.Fatal(err)
		}
		if err := writeOutput(dir, step.page); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(step.want, list(t, dir)); diff != "" {
			t.Errorf("files (-want +got):\n%s", diff)
		}
		for _, name := range list(t, dir) {
			if got, err := os.ReadFile(filepath.Join(dir, name)); strings.HasPrefix(name, imagesDir) && (err != nil || !bytes.Equal(got, data)) {
				t.Errorf("%s is not the file as stored (%v)", name, err)
			}
		}
	}
}

func TestOutputOfWhatIsNoPicture(t *testing.T) {
	page := gallery.Page{Pictures: []gallery.Picture{{Location: "s3://b/k.png", ContentType: "image/png", Data: []byte("<html>")}}}
	if err := writeOutput(t.TempDir(), page); err == nil || !strings.Contains(err.Error(), "s3://b/k.png") {
		t.Errorf("error %v, want one that names s3://b/k.png", err)
	}
}

func TestCheckOutRefusesOtherFolders(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "thesis.tex"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, filepath.Join(dir, "thesis.tex")} {
		if err := checkOut(path); err == nil || !strings.Contains(err.Error(), "--out") {
			t.Errorf("checkOut(%s) = %v, want an error that names --out", path, err)
		}
	}
}

func TestSlug(t *testing.T) {
	for prompt, want := range map[string]string{
		"a red apple on a blue background": "a-red-apple-on-a-blue-background",
		"  An emoji, of a GHOST! ":         "an-emoji-of-a-ghost",
		"":                                 "picture",
		"日本":                               "picture",
		strings.Repeat("long ", 20):        "long-long-long-long-long-long-long-long-long-long-long-long",
	} {
		if got := slug(prompt); got != want {
			t.Errorf("slug(%q) = %q, want %q", prompt, got, want)
		}
	}
}
