package infer

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stipple-ai/stipple/internal/infer/rng"
)

func TestBadImages(t *testing.T) {
	nan := float32(math.NaN())
	flat := make([]float32, 3*8*8)
	for _, c := range []struct {
		name   string
		pixels func() []float32
		want   string
	}{
		{"flat", func() []float32 { return flat }, "flat"},
		{"almost flat", func() []float32 { v := slices.Clone(flat); v[5] = 2.0 / 255; return v }, "flat"},
		{"nan", func() []float32 { v := slices.Clone(flat); v[5], v[6] = nan, 1; return v }, "NaN"},
		{"infinite", func() []float32 { v := slices.Clone(flat); v[5] = float32(math.Inf(1)); return v }, "infinite"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := newImage(c.pixels(), 8, 8)
			wantError(t, err, "bad_image", c.want)
		})
	}
	img, err := newImage([]float32{-2, -1, 1, 2, 0, 0.00392, -0.00392, 0.5, 0.1, 0.2, 0.3, 0.4}, 4, 1)
	if err != nil {
		t.Fatal(err)
	}
	if want := []byte{0, 128, 140, 0, 128, 153, 255, 127, 166, 255, 191, 178}; !slices.Equal(img.Pix, want) {
		t.Errorf("got %v, want %v", img.Pix, want)
	}
}

// TestEightBits holds the rounding against its definition: at every half, beside it, and far outside.
func TestEightBits(t *testing.T) {
	values := []float32{-3e38, -2, 2, 3e38}
	for i := range 2 * 255 {
		half := float32(i)/255 - 1
		values = append(values, half, math.Nextafter32(half, -2), math.Nextafter32(half, 2))
	}
	for _, v := range values {
		clamped := min(max(v/2+0.5, 0), 1)
		if got, want := eightBits(v), byte(math.RoundToEven(float64(clamped*255))); got != want {
			t.Errorf("%v gives %d, want %d", v, got, want)
		}
	}
}

// BenchmarkImage makes 8 bits of what a decoder gives for 512² pixels.
func BenchmarkImage(b *testing.B) {
	v := make([]float32, 3*512*512)
	rng.New(1).Normal(v)
	for b.Loop() {
		if _, err := newImage(v, 512, 512); err != nil {
			b.Fatal(err)
		}
	}
}

// wantError expects an error of that class whose message has text.
func wantError(t *testing.T, err error, typ, text string) {
	t.Helper()
	var typed *Error
	if !errors.As(err, &typed) || typed.Type != typ || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v, want %s with %q", err, typ, text)
	}
}

// TestDecodesAgainInFloat32: a picture that no one wants is decoded again, once, where the model can.
func TestDecodesAgainInFloat32(t *testing.T) {
	nan := func(v []float32) { v[7] = float32(math.NaN()) }
	for _, c := range []struct {
		name     string
		spoil    func([]float32)
		possible bool
		again    int
		want     string
	}{
		{"good", nil, true, 0, ""},
		{"NaN", nan, true, 1, ""},
		{"flat", func(v []float32) { clear(v) }, true, 1, ""},
		{"no second decoder", nan, false, 0, "NaN"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newFakeModel(t)
			m.spoil, m.info.Float32Decoder = c.spoil, c.possible
			e, _ := start(t, m, 1, Config{})
			good, _ := start(t, newFakeModel(t), 1, Config{})
			res, err := e.Generate(context.Background(), request(1))
			if m.decodes32 != c.again {
				t.Errorf("decoded %d times in float32, want %d", m.decodes32, c.again)
			}
			if c.want != "" {
				wantError(t, err, "bad_image", c.want)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !same(res.Image, draw(t, good, request(1)).Image) {
				t.Error("another picture than a decoder gives that is right")
			}
		})
	}
}
