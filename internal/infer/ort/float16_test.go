package ort

import (
	"math"
	"testing"
)

// TestFloat16RoundTrip: every finite half is itself after a trip through float32, and NaN stays NaN.
func TestFloat16RoundTrip(t *testing.T) {
	for h := range 1 << 16 {
		f := float32From16(uint16(h))
		got := float16(f)
		if math.IsNaN(float64(f)) {
			if got&0x7c00 != 0x7c00 || got&0x3ff == 0 {
				t.Fatalf("%#04x: NaN became %#04x", h, got)
			}
			continue
		}
		if got != uint16(h) {
			t.Fatalf("%#04x is %v and became %#04x", h, f, got)
		}
	}
}

// TestFloat16Rounds: half to even, at every place where rounding changes: the middle between neighbours and one step to either side.
func TestFloat16Rounds(t *testing.T) {
	for h := range uint16(0x7bff) {
		lo, hi := float32From16(h), float32From16(h+1)
		mid := lo + (hi-lo)/2
		even := h + h&1
		for _, c := range []struct {
			f    float32
			want uint16
		}{{math.Nextafter32(mid, 0), h}, {mid, even}, {math.Nextafter32(mid, 1e9), h + 1}} {
			if got := float16(c.f); got != c.want {
				t.Fatalf("%v: got %#04x, want %#04x", c.f, got, c.want)
			}
			if got := float16(-c.f); got != c.want|0x8000 {
				t.Fatalf("%v: got %#04x, want %#04x", -c.f, got, c.want|0x8000)
			}
		}
	}
	for _, c := range []struct {
		f    float32
		want uint16
	}{{65504, 0x7bff}, {65519, 0x7bff}, {65520, 0x7c00}, {1e30, 0x7c00}, {float32(math.Inf(1)), 0x7c00}, {1e-30, 0}} {
		if got := float16(c.f); got != c.want {
			t.Errorf("%v: got %#04x, want %#04x", c.f, got, c.want)
		}
	}
}
