package schedule

import "math"

// What diffusers computes with numpy and torch, in their precision and order of rounding: a timestep
// that lies a hair below a whole number is another timestep to a model that takes integers.

// linspace is numpy.linspace(start, stop, n): n values from start to stop, both included.
func linspace(start, stop float64, n int) []float64 {
	v := make([]float64, n)
	if n == 1 {
		v[0] = start
		return v
	}
	step := (stop - start) / float64(n-1)
	for i := range v {
		v[i] = float64(float64(i)*step) + start
	}
	v[n-1] = stop
	return v
}

// linspace32 is torch.linspace(start, stop, n, dtype=torch.float32) on the CPU, which fills the second
// half from the end and multiplies and adds with one rounding.
func linspace32(start, stop float32, n int) []float32 {
	v := make([]float32, n)
	if n == 1 {
		v[0] = start
		return v
	}
	step := (stop - start) / float32(n-1)
	for i := range v {
		if i < n/2 {
			v[i] = fma32(step, float32(i), start)
		} else {
			v[i] = fma32(-step, float32(n-1-i), stop)
		}
	}
	return v
}

// fma32 is a*b + c in float32 with one rounding. The product is exact in float64; that the sum is
// rounded twice matters once in 2^29 values.
func fma32(a, b, c float32) float32 {
	return float32(float64(a)*float64(b) + float64(c))
}

// interp is numpy.interp(t, range(len(table)), table).
func interp(t float64, table []float32) float64 {
	last := len(table) - 1
	switch {
	case t <= 0:
		return float64(table[0])
	case t >= float64(last):
		return float64(table[last])
	}
	j := int(t)
	low := float64(table[j])
	return float64((float64(table[j+1])-low)*(t-float64(j))) + low
}

// log32 is numpy.log of a positive, normal float32: a rational function of the mantissa, reduced to
// [1/sqrt(2), sqrt(2)), whose error is up to two units in the last place. Timesteps that are looked up
// by sigma inherit those units, so the exact logarithm would not do. Zero gives -Inf.
func log32(x float32) float32 {
	if x == 0 {
		return float32(math.Inf(-1))
	}
	fraction, exponent := math.Frexp(float64(x))
	m := float32(fraction)
	if m < math.Sqrt2/2 {
		m *= 2
		exponent--
	}
	y := m - 1
	p := horner(y, 0.02589979117907922693523, 0.3808837741388407920751, 1.480000633576506585156,
		2.112677543073053063722, 0.9999999999999998702752, 0)
	q := horner(y, 0.005875095403124574342950, 0.1546476374983906719538, 0.9864942958519418960339,
		2.453006071784736363091, 2.612677543073109236779, 1)
	return fma32(float32(exponent), math.Ln2, p/q)
}

// horner is the polynomial of degree five in y with the given coefficients, highest power first.
func horner(y, c5, c4, c3, c2, c1, c0 float32) float32 {
	return fma32(fma32(fma32(fma32(fma32(c5, y, c4), y, c3), y, c2), y, c1), y, c0)
}

func sqrt32(x float32) float32 { return float32(math.Sqrt(float64(x))) }
