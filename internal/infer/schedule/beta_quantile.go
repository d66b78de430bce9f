package schedule

import "math"

// betaQuantile is the p-quantile of the beta distribution with both shape parameters a, by bisection on
// its distribution function. The distribution is symmetric about a half.
func betaQuantile(p, a float64) float64 {
	switch {
	case p <= 0:
		return 0
	case p >= 1:
		return 1
	case p > 0.5:
		return 1 - betaQuantile(1-p, a)
	}
	low, high := 0.0, 0.5
	for range 200 {
		mid := (low + high) / 2
		if mid <= low || mid >= high {
			break
		}
		if betaCDF(mid, a) < p {
			low = mid
		} else {
			high = mid
		}
	}
	return (low + high) / 2
}

// betaCDF is the regularized incomplete beta function I_x(a, a) for x up to a half, by its power series
// (Abramowitz and Stegun 26.5.4 in the form x^a/(a·B) · Σ (1-a)_k/k! · a/(a+k) · x^k), which halves
// its terms at least.
func betaCDF(x, a float64) float64 {
	logGamma, _ := math.Lgamma(a)      // the sign is + for a > 0
	logGamma2, _ := math.Lgamma(2 * a) // likewise
	sum, term := 0.0, 1.0
	for k := 0.0; ; k++ {
		t := term * a / (a + k)
		sum += t
		if math.Abs(t) < 1e-17*math.Abs(sum) {
			break
		}
		term *= (k + 1 - a) / (k + 1) * x
	}
	return math.Exp(a*math.Log(x)-math.Log(a)-2*logGamma+logGamma2) * sum
}
