package rng

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// golden is one entry of testdata/torch_randn.json, made with torch 2.15.0: a draw of Shape from a
// fresh generator, then a second draw of the same shape.
type golden struct {
	Seed        uint64    `json:"seed"`
	Shape       []int     `json:"shape"`
	First       []float32 `json:"first"`
	Last        []float32 `json:"last"`
	SecondFirst []float32 `json:"second_draw_first"`
	SHA256      string    `json:"sha256"` // of the little-endian float32 bytes of the first draw
}

func draw(g *Generator, n int) []float32 {
	dst := make([]float32, n)
	g.Normal(dst)
	return dst
}

func checksum(x []float32) string {
	b := make([]byte, 0, 4*len(x))
	for _, v := range x {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func TestNormalEqualsTorch(t *testing.T) {
	data, err := os.ReadFile("testdata/torch_randn.json")
	if err != nil {
		t.Fatal(err)
	}
	var goldens []golden
	if err := json.Unmarshal(data, &goldens); err != nil {
		t.Fatal(err)
	}
	if len(goldens) != 70 {
		t.Fatalf("%d goldens, want 70", len(goldens))
	}
	for _, want := range goldens {
		t.Run(fmt.Sprintf("seed=%d/shape=%v", want.Seed, want.Shape), func(t *testing.T) {
			n := 1
			for _, d := range want.Shape {
				n *= d
			}
			g := New(want.Seed)
			got := draw(g, n)
			if diff := cmp.Diff(want.First, got[:len(want.First)]); diff != "" {
				t.Errorf("first values (-torch +got):\n%s", diff)
			}
			if diff := cmp.Diff(want.Last, got[n-len(want.Last):]); diff != "" {
				t.Errorf("last values (-torch +got):\n%s", diff)
			}
			if sum := checksum(got); sum != want.SHA256 {
				t.Errorf("sha256 of %d values = %s, want %s", n, sum, want.SHA256)
			}
			if diff := cmp.Diff(want.SecondFirst, draw(g, n)[:len(want.SecondFirst)]); diff != "" {
				t.Errorf("second draw (-torch +got):\n%s", diff)
			}
		})
	}
}

func TestSeedsModulo32Bits(t *testing.T) {
	for _, seeds := range [][2]uint64{
		{0, 1 << 32},
		{42, 1<<32 + 42},
		{math.MaxUint32, math.MaxUint64}, // torch's seed -1
	} {
		for _, n := range []int{3, 64} {
			a, b := draw(New(seeds[0]), n), draw(New(seeds[1]), n)
			if diff := cmp.Diff(a, b); diff != "" {
				t.Errorf("seeds %d and %d differ:\n%s", seeds[0], seeds[1], diff)
			}
		}
	}
	if cmp.Equal(draw(New(42), 16), draw(New(43), 16)) {
		t.Error("seeds 42 and 43 draw the same normals")
	}
}

// A small draw of odd length leaves the second normal of its last pair behind; torch hands it out
// first at the next small draw, even if large draws came between.
func TestCachedNormalSurvives(t *testing.T) {
	pair := draw(New(7), 2)
	g := New(7)
	got := []float32{draw(g, 1)[0], 0}
	large := draw(g, 32)
	got[1] = draw(g, 1)[0]
	if diff := cmp.Diff(pair, got); diff != "" {
		t.Errorf("pair split by a large draw (-whole +split):\n%s", diff)
	}
	g = New(7)
	draw(g, 2)
	if diff := cmp.Diff(draw(g, 32), large); diff != "" {
		t.Errorf("the cached normal changed a large draw (-without +with):\n%s", diff)
	}
}

// The tail of a draw that 16 does not divide is a new block over the end of the last full one, made
// after as many uniforms as the tail has values were thrown away.
func TestTailBlock(t *testing.T) {
	g := New(3)
	first := draw(g, 16)
	for range 5 {
		g.engine.uniform32()
	}
	tail := draw(g, 16)
	got := draw(New(3), 21)
	if diff := cmp.Diff(append(first[:5:5], tail...), got); diff != "" {
		t.Errorf("draw of 21 (-want +got):\n%s", diff)
	}
}

// The largest uniforms give finite normals, and a radius of 0 gives +0 on every side, as in torch.
func TestBoxMullerExtremes(t *testing.T) {
	const largest = 1 - 0x1p-24
	var zero, big [blockSize]float32
	for j := range blockSize / 2 {
		zero[j+8] = float32(j) / 8
		big[j], big[j+8] = largest, float32(j)/8
	}
	big[blockSize-1] = largest
	boxMuller(&zero)
	boxMuller(&big)
	for i := range zero {
		if bits := math.Float32bits(zero[i]); bits != 0 {
			t.Errorf("radius 0: value %d has the bits %#x, want +0", i, bits)
		}
		if limit := float32(5.77); !(big[i] >= -limit && big[i] <= limit) { // sqrt(-2 ln 2^-24)
			t.Errorf("largest radius: value %d is %v, beyond %v", i, big[i], limit)
		}
	}
}

func TestEmptyDrawChangesNothing(t *testing.T) {
	g := New(1)
	g.Normal(nil)
	if diff := cmp.Diff(draw(New(1), 16), draw(g, 16)); diff != "" {
		t.Error(diff)
	}
}

func BenchmarkNormal(b *testing.B) {
	dst := make([]float32, 4*64*64) // the latents of one 512x512 image
	g := New(0)
	b.SetBytes(int64(4 * len(dst)))
	for b.Loop() {
		g.Normal(dst)
	}
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		New(1)
	}
}
