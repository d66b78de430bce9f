// Package rng draws the random normals that torch.randn draws on the CPU, so that a seed names the
// same picture here as in PyTorch and diffusers.
//
// The reference is the AVX2 build of PyTorch (the AVX-512 build runs the same kernel): float32
// arithmetic with the Cephes polynomials for the logarithm, sine and cosine. Builds without AVX2 use
// the C library there and differ by at most 2e-6.
package rng

import "math"

// Generator is torch.Generator(device="cpu"): an MT19937 engine and, as torch keeps it, the second
// normal of the last pair that a small draw made. It is not safe for concurrent use. Create one with
// [New]; the zero value is of use only to UnmarshalBinary.
type Generator struct {
	engine mt19937
	cached float64 // standard normal that the next draw of a single value returns
	has    bool    // whether cached holds one
}

// New returns the generator after manual_seed(seed). As in torch only the low 32 bits of the seed
// count: seeds that lie 2^32 apart give the same normals.
func New(seed uint64) *Generator {
	g := new(Generator)
	g.engine.seed(uint32(seed))
	return g
}

// blockSize is the number of values that torch's vectorized kernel makes at once. Draws shorter than
// this take a different path and get different values.
const blockSize = 16

// Normal fills dst with independent standard normals: torch.randn(len(dst), generator=g) in float32,
// bit for bit. The values depend on len(dst), not on position alone: two draws of 8 are not one of 16.
func (g *Generator) Normal(dst []float32) {
	if len(dst) < blockSize {
		for i := range dst {
			dst[i] = float32(g.normal64())
		}
		return
	}
	tail := len(dst) % blockSize
	for i := 0; i < len(dst)-tail; i += blockSize {
		g.normal16((*[blockSize]float32)(dst[i:]))
	}
	if tail > 0 {
		// Torch has drawn a uniform for each value by now, but makes the tail from a whole new block,
		// which it lays over the end of the last full one.
		for range tail {
			g.engine.uint32()
		}
		g.normal16((*[blockSize]float32)(dst[len(dst)-blockSize:]))
	}
}

// normal16 draws 16 normals.
func (g *Generator) normal16(d *[blockSize]float32) {
	for i := range d {
		d[i] = g.engine.uniform32()
	}
	boxMuller(d)
}

// boxMuller turns 16 uniforms in [0, 1) into normals by the Box-Muller transform in float32: d[j] and
// d[j+8] become the cosine and the sine of one pair.
func boxMuller(d *[blockSize]float32) {
	const twoPi = float32(2 * math.Pi)
	var u1, u2 eight
	for j := range u1 {
		u1[j], u2[j] = 1-d[j], twoPi*d[j+8] // u1 in (0, 1]: its logarithm is finite
	}
	u1.log()
	sin, cos := u2.sincos()
	for j, l := range u1 {
		radius := sqrt(-2 * l)
		// Torch scales by the deviation 1 and adds the mean 0, which turns -0 into +0.
		d[j] = float32(radius*cos[j]) + 0
		d[j+8] = float32(radius*sin[j]) + 0
	}
}

// normal64 draws one normal in float64, two for each pair of uniforms, as torch does for draws of
// fewer than 16 values. The second of a pair waits in the generator, across draws of any length.
func (g *Generator) normal64() float64 {
	if g.has {
		g.has = false
		return g.cached
	}
	u1 := g.engine.uniform64()
	u2 := g.engine.uniform64()
	radius := math.Sqrt(-2 * math.Log1p(-u2))
	sin, cos := math.Sincos(2 * math.Pi * u1)
	g.cached, g.has = radius*sin, true
	return radius * cos
}
