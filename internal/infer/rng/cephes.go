package rng

import "math"

// The functions here follow the single-precision Cephes library (S. Moshier) in the order of
// operations of torch's vector kernel. Which products and sums the compiler of torch fused is part of
// the result, so fused ones are written fma and every other product is rounded by an explicit
// float32 conversion: without it Go may fuse on its own on some processors.

// log returns the natural logarithm of a normal, positive x.
func log(x float32) float32 {
	const (
		sqrtHalf = 0.707106781186547524
		p0       = 7.0376836292e-2
		p1       = -1.1514610310e-1
		p2       = 1.1676998740e-1
		p3       = -1.2420140846e-1
		p4       = 1.4249322787e-1
		p5       = -1.6668057665e-1
		p6       = 2.0000714765e-1
		p7       = -2.4999993993e-1
		p8       = 3.3333331174e-1
		ln2Low   = -2.12194440e-4
		ln2High  = 0.693359375
	)
	// x = m * 2^e with m in [sqrt(1/2), sqrt(2)), then x = m - 1.
	bits := math.Float32bits(x)
	e := float32(int32(bits>>23) - 126)
	x = math.Float32frombits(bits&0x007fffff | 0x3f000000)
	if x < sqrtHalf {
		e--
		x = x - 1 + x
	} else {
		x--
	}
	z := float32(x * x)
	y := fma(p0, x, p1)
	y = fma(y, x, p2)
	y = fma(y, x, p3)
	y = fma(y, x, p4)
	y = fma(y, x, p5)
	y = fma(y, x, p6)
	y = fma(y, x, p7)
	y = fma(y, x, p8)
	y = float32(y * x)
	y = fma(y, z, float32(e*ln2Low))
	y = fma(-0.5, z, y)
	return fma(e, ln2High, x+y)
}

// sincos returns the sine and the cosine of x in [0, 8192].
func sincos(x float32) (sin, cos float32) {
	const (
		fourOverPi = 1.27323954473516
		// pi/4 in three parts, the first two short enough for exact products (Cody and Waite).
		dp1 = -0.78515625
		dp2 = -2.4187564849853515625e-4
		dp3 = -3.77489497744594108e-8

		s0 = -1.9515295891e-4
		s1 = 8.3321608736e-3
		s2 = -1.6666654611e-1

		c0 = 2.443315711809948e-5
		c1 = -1.388731625493765e-3
		c2 = 4.166664568298827e-2
	)
	octant := (int32(float32(x*fourOverPi)) + 1) &^ 1
	k := float32(octant)
	x = fma(k, dp1, x)
	x = fma(k, dp2, x)
	x = fma(k, dp3, x)
	z := float32(x * x)

	cos = fma(c0, z, c1)
	cos = fma(cos, z, c2)
	cos = float32(cos * z)
	cos = fma(cos, z, float32(-0.5*z))
	cos++

	sin = fma(s0, z, s1)
	sin = fma(sin, z, s2)
	sin = float32(sin * z)
	sin = fma(sin, x, x)

	if octant&2 != 0 {
		sin, cos = cos, sin
	}
	if octant&4 != 0 {
		sin = -sin
	}
	if (octant+2)&4 != 0 {
		cos = -cos
	}
	return sin, cos
}

// sqrt is correctly rounded: float64 carries more than twice the digits that float32 needs.
func sqrt(x float32) float32 { return float32(math.Sqrt(float64(x))) }

// fma returns a*b + c rounded once to float32, for results that are not subnormal.
func fma(a, b, c float32) float32 {
	p := float64(a) * float64(b) // exact: 48 bits
	s := p + float64(c)
	if math.Float64bits(s)&(1<<29-1) == 1<<28 {
		return roundTie(p, float64(c), s)
	}
	return float32(s)
}

// roundTie rounds p+c to float32 where its float64 sum s lies midway between two float32: what the
// sum lost decides the side (Knuth's two-sum), and only a loss of nothing is a true tie.
func roundTie(p, c, s float64) float32 {
	b := s - p
	lost := (p - (s - b)) + (c - b)
	switch {
	case lost > 0:
		s = math.Nextafter(s, math.Inf(1))
	case lost < 0:
		s = math.Nextafter(s, math.Inf(-1))
	}
	return float32(s)
}
