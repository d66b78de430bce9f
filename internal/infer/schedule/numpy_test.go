package schedule

import (
	"math"
	"testing"
)

// TestLog32 has values of numpy.log of float32 (2.4.6, AVX-512) where it differs from the exact logarithm.
func TestLog32(t *testing.T) {
	for x, want := range map[float32]float32{
		0.800314546:    -0.222750455,
		15.0078831:     2.70857573,
		5.62327099:     1.72691345,
		2.61797094:     0.962399602,
		11.4908695:     2.44155264,
		18.5516205:     2.92055702,
		18.172533:      2.8999114,
		1.33868349:     0.291686624,
		0.39257285:     -0.935033202,
		16.1459618:     2.78167009,
		1.2334851:      0.209843591,
		126184.219:     11.7454987,
		1.0003345:      0.000334445387,
		14.6694212:     2.68576527,
		1.09701093e-08: -18.3280926,
		20975.5996:     9.95111561,
	} {
		if got := log32(x); got != want {
			t.Errorf("log32(%v) is %v, want %v", x, got, want)
		}
		if exact := float32(math.Log(float64(x))); exact == want {
			t.Errorf("%v tells nothing: its logarithm is rounded correctly", x)
		}
	}
	if got := log32(0); !math.IsInf(float64(got), -1) {
		t.Errorf("log32(0) is %v", got)
	}
	if got := log32(1); got != 0 {
		t.Errorf("log32(1) is %v", got)
	}
}

// TestBetaQuantile has values of scipy.stats.beta.ppf(p, 0.6, 0.6), 1.17.1.
func TestBetaQuantile(t *testing.T) {
	for p, want := range map[float64]float64{
		0: 0, 0.001: 1.855873851745199e-05, 0.05: 0.012554456873611399, 0.3: 0.23401700387523572,
		0.5: 0.5, 0.77: 0.8461624142323502, 0.999: 0.9999814412614826, 1: 1,
	} {
		if got := betaQuantile(p, 0.6); math.Abs(got-want) > 1e-14 {
			t.Errorf("quantile of %v is %v, want %v", p, got, want)
		}
	}
}

func TestLinspace32(t *testing.T) {
	// torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float32)[[1, 499, 500, 998, 999]]
	got := linspace32(float32(math.Sqrt(0.00085)), float32(math.Sqrt(0.012)), 1000)
	for i, want := range map[int]float32{1: 0.0292352289, 499: 0.0693093985, 500: 0.0693898648, 998: 0.109464034, 999: 0.109544508} {
		if got[i] != want {
			t.Errorf("value %d is %v, want %v", i, got[i], want)
		}
	}
	if one := linspace32(3, 4, 1); one[0] != 3 {
		t.Errorf("one value is %v, want the start", one[0])
	}
}

// TestQuantile has torch.quantile([1, 2, 4, 8], q).
func TestQuantile(t *testing.T) {
	for q, want := range map[float32]float32{0: 1, 0.25: 1.75, 0.5: 3, 0.75: 5, 0.995: 7.94, 1: 8} {
		if got := quantile([]float32{1, 2, 4, 8}, q); math.Abs(float64(got-want)) > 1e-6 {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
}
