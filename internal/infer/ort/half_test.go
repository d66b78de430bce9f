package ort

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stipple-ai/stipple/internal/infer/onnx"
)

// TestHalves: eight at once are what one by one is, whatever the numbers, and what is left over is the caller's.
func TestHalves(t *testing.T) {
	all := make([]uint16, 1<<16+5)
	for i := range all {
		all[i] = uint16(i)
	}
	floats := make([]float32, len(all))
	n := wholes(floats, all)
	if n%8 != 0 || n > len(all) {
		t.Fatalf("converted %d of %d", n, len(all))
	}
	for i, f := range floats[:n] {
		if want := float32From16(all[i]); math.Float32bits(f) != math.Float32bits(want) && !(f != f && want != want) {
			t.Fatalf("%#04x is %v, and by eights %v", all[i], want, f)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	many := make([]float32, 1<<18)
	for i := range many {
		many[i] = math.Float32frombits(r.Uint32())
		if i%2 == 0 { // near the middle between two halves, where rounding shows
			many[i] = math.Float32frombits(math.Float32bits(float32From16(uint16(r.Uint32()))) + 0xfff + r.Uint32()%3)
		}
	}
	packed := make([]uint16, len(many))
	n = halves(packed, many)
	for i, h := range packed[:n] {
		if want := float16(many[i]); h != want && !(many[i] != many[i] && h&0x7c00 == 0x7c00 && h&0x3ff != 0) {
			t.Fatalf("%v (%#08x) is %#04x, and by eights %#04x", many[i], math.Float32bits(many[i]), want, h)
		}
	}
	if halves(packed[:7], many) != 0 || wholes(floats, nil) != 0 {
		t.Error("fewer than eight were converted")
	}
}

// TestTensorHalves: a tensor's values are converted from any place on, to the last.
func TestTensorHalves(t *testing.T) {
	f, err := newFrame(frameKey{rows: 1}, []spec{{"x", onnx.Float16, []int64{1, 29}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.destroy()
	values := make([]float32, 26)
	for i := range values {
		values[i] = float32(i) / 4
	}
	f.in[0].setFloats(3, values...)
	got := make([]float32, 26)
	f.in[0].floats(got, 3)
	for i := range values {
		if got[i] != values[i] {
			t.Errorf("at %d: %v, want %v", i, got[i], values[i])
		}
	}
	if first := view[uint16](f.in[0])[:3]; first[0]|first[1]|first[2] != 0 {
		t.Errorf("before them: %v", first)
	}
}
