package e2e_test

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// TestFormats tells of the same picture in every format, and of what its file says when METADATA asks for little.
func TestFormats(t *testing.T) {
	for _, tt := range []struct {
		detail                 string
		prompt, origin, source bool
	}{
		{"full", true, true, true},
		{"minimal", false, true, true},
		{"none", false, false, false},
	} {
		w := newWorld(t)
		w.worker("painter", "METADATA="+tt.detail)
		formats := []string{"png", "jpeg", "webp"}
		for i, format := range formats {
			w.publish("b", i, quick(4).with("format", format).with("prompt", "an extraordinary cat"))
		}
		results := w.done("b", len(formats), 30*time.Second)
		for i, format := range formats {
			r := results[i]
			if r.Image == nil {
				t.Fatalf("%s: the result has no image: %s", format, r.raw)
			}
			o := w.checkPicture(r)
			if o.contentType != "image/"+format || r.Image.ContentType != o.contentType || !strings.HasSuffix(r.Image.Key, "."+map[string]string{"png": "png", "jpeg": "jpg", "webp": "webp"}[format]) {
				t.Errorf("%s: %s has content type %s", format, r.Image.Key, o.contentType)
			}
			for what, said := range map[string]struct {
				text string
				want bool
			}{
				"prompt": {"an extraordinary cat", tt.prompt}, "trace": {r.TraceID, tt.origin}, "model": {r.ModelDigest, tt.origin},
				"source": {"digitalsourcetype/trainedAlgorithmicMedia", tt.source},
			} {
				if got := bytes.Contains(o.body, []byte(said.text)); got != said.want {
					t.Errorf("METADATA=%s: a file in %s says the %s: %v", tt.detail, format, what, got)
				}
			}
		}
		if results[0].Image.PixelsSHA256 != results[1].Image.PixelsSHA256 || results[0].Image.PixelsSHA256 != results[2].Image.PixelsSHA256 {
			t.Error("the formats hold different pictures")
		}
	}
}
