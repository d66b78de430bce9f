package rng

import "math"

// What is here follows the single-precision Cephes library (S. Moshier) in the order of
// operations of torch's vector kernel. Which products and sums the compiler of torch fused is part of
// the result, so fused ones are written fma and every other product is rounded by an explicit
// float32 conversion: without it Go may fuse on its own on some processors.

// eight values go through each operation together, as in torch's kernel. A processor then has something to do while one of them waits for its last result: that
// halves the time.
type eight [blockSize / 2]float32

// polynomial sets y to the polynomial in x whose first coefficient y holds and whose others follow.
func polynomial(y, x *eight, coefficients ...float32) {
	for _, c := range coefficients {
		for i := range y {
			y[i] = fma(y[i], x[i], c)
		}
	}
}

// log takes the natural logarithms of normal, positive values.
func (x *eight) log() {
	const (
		sqrtHalf = 0x3f3504f3 // the bits of sqrt(1/2)
		p0       = 7.0376836292e-2
		ln2Low   = -2.12194440e-4
		ln2High  = 0.693359375
	)
	var e, y eight
	for i, v := range x {
		// x = m * 2^e with m in [sqrt(1/2), sqrt(2)), then x = m - 1. A branch would be guessed wrong as often as right, here and below.
		bits := math.Float32bits(v)
		exponent := int32(bits-sqrtHalf) >> 23
		e[i] = float32(exponent)
		x[i] = math.Float32frombits(bits-uint32(exponent)<<23) - 1
		y[i] = p0
	}
	polynomial(&y, x, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
		-1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1)
	for i, v := range x {
		z := float32(v * v)
		w := float32(y[i] * v)
		w = fma(w, z, float32(e[i]*ln2Low))
		w = fma(-0.5, z, w)
		x[i] = fma(e[i], ln2High, v+w)
	}
}

// sincos returns the sines and the cosines of values in [0, 8192], and spoils x.
func (x *eight) sincos() (sin, cos eight) {
	const (
		fourOverPi = 1.27323954473516
		// pi/4 in three parts, the first two short enough for exact products (Cody and Waite).
		dp1 = -0.78515625
		dp2 = -2.4187564849853515625e-4
		dp3 = -3.77489497744594108e-8
	)
	var octants [len(x)]int32
	var z eight
	for i, v := range x {
		octant := (int32(float32(v*fourOverPi)) + 1) &^ 1
		octants[i] = octant
		k := float32(octant)
		v = fma(k, dp1, v)
		v = fma(k, dp2, v)
		v = fma(k, dp3, v)
		x[i], z[i] = v, float32(v*v)
		cos[i], sin[i] = 2.443315711809948e-5, -1.9515295891e-4
	}
	polynomial(&cos, &z, -1.388731625493765e-3, 4.166664568298827e-2)
	polynomial(&sin, &z, 8.3321608736e-3, -1.6666654611e-1)
	for i, octant := range octants {
		z, v := z[i], x[i]
		s := math.Float32bits(fma(float32(sin[i]*z), v, v))
		c := math.Float32bits(fma(float32(cos[i]*z), z, float32(-0.5*z)) + 1)
		if octant&2 != 0 { // a conditional move, as these are integers
			s, c = c, s
		}
		const sign = 1 << 31
		sin[i] = math.Float32frombits(s ^ uint32(octant)<<29&sign)
		cos[i] = math.Float32frombits(c ^ uint32(octant+2)<<29&sign)
	}
	return sin, cos
}

// sqrt is correctly rounded: float64 carries more than twice the digits that float32 needs.
func sqrt(x float32) float32 { return float32(math.Sqrt(float64(x))) }

// fma returns a*b + c rounded once to float32, for results that are not subnormal.
func fma(a, b, c float32) float32 {
	p, q := float64(a)*float64(b), float64(c) // the product is exact: 48 bits
	s := p + q
	if math.Float64bits(s)<<35 == 1<<63 { // midway between two float32
		// What the sum lost decides the side (Knuth's two-sum), and only a loss of nothing is a true tie.
		t := s - p
		if lost := (p - (s - t)) + (q - t); lost*s > 0 {
			s *= 1 + 0x1p-50
		} else if lost != 0 {
			s *= 1 - 0x1p-50
		}
	}
	return float32(s)
}
