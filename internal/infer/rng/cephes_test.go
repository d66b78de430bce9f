package rng

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// exactFMA rounds a*b + c once, by way of a precision that loses nothing.
func exactFMA(a, b, c float32) float32 {
	f := func(x float32) *big.Float { return new(big.Float).SetPrec(600).SetFloat64(float64(x)) }
	p := new(big.Float).SetPrec(600).Mul(f(a), f(b))
	r, _ := p.Add(p, f(c)).Float32() // the accuracy is not asked for
	return r
}

func TestFMARoundsOnce(t *testing.T) {
	const tiny = 0x1p-60
	for _, tc := range []struct{ a, b, c float32 }{
		{1 + 0x1p-12, 1 + 0x1p-12, tiny},   // 1 + 2^-11 + 2^-24 is a tie of float32 values; tiny breaks it upward
		{1 + 0x1p-12, 1 + 0x1p-12, -tiny},  // and downward
		{1 + 0x1p-12, 1 + 0x1p-12, 0},      // a true tie goes to even
		{-1 - 0x1p-12, 1 + 0x1p-12, tiny},  // negative
		{-1 - 0x1p-12, 1 + 0x1p-12, -tiny}, //
		{tiny, 1, 1 + 0x1p-23},             // no tie
	} {
		if got, want := fma(tc.a, tc.b, tc.c), exactFMA(tc.a, tc.b, tc.c); got != want {
			t.Errorf("fma(%x, %x, %x) = %x, want %x", tc.a, tc.b, tc.c, got, want)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		a, b, c := float32(r.NormFloat64()), float32(r.NormFloat64()), float32(r.NormFloat64()*math.Exp2(-float64(r.IntN(60))))
		if got, want := fma(a, b, c), exactFMA(a, b, c); got != want {
			t.Fatalf("fma(%x, %x, %x) = %x, want %x", a, b, c, got, want)
		}
	}
}

// The polynomials err by less than 2 units in the last place over all arguments that can be drawn.
func TestCephesAccuracy(t *testing.T) {
	ulps := func(got float32, want float64) float64 {
		w := float32(math.Abs(want))
		return math.Abs(float64(got)-want) / float64(math.Nextafter32(w, 2*w+1)-w)
	}
	const stride = 257
	for k := uint32(1); k <= 1<<24; k += uint32(len(eight{})) * stride {
		var u, x eight
		for i := range u {
			u[i] = float32(min(k+uint32(i)*stride, 1<<24)) / (1 << 24)
			x[i] = float32(2*math.Pi) * (u[i] - 0x1p-24)
		}
		logs, reduced := u, x
		logs.log()
		sin, cos := reduced.sincos()
		for i, got := range logs {
			if want := math.Log(float64(u[i])); u[i] != 1 && ulps(got, want) > 2 || u[i] == 1 && got != 0 {
				t.Fatalf("log(%v) = %v, want %v", u[i], got, want)
			}
			// Near a zero of the function the error is that of the reduced argument.
			if want := math.Sin(float64(x[i])); math.Abs(float64(sin[i])-want) > 1.2e-7 {
				t.Fatalf("sin(%v) = %v, want %v", x[i], sin[i], want)
			}
			if want := math.Cos(float64(x[i])); math.Abs(float64(cos[i])-want) > 1.2e-7 {
				t.Fatalf("cos(%v) = %v, want %v", x[i], cos[i], want)
			}
		}
	}
}
