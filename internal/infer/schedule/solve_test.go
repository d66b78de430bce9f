package schedule

import (
	"math"
	"testing"
)

func TestSolve(t *testing.T) {
	// The first pivot is 0, so rows must be exchanged.
	got := solve([][]float64{{0, 2, 1}, {1, 1, 1}, {4, -1, 3}}, []float64{7, 6, 11})
	for i, want := range []float64{1, 2, 3} {
		if math.Abs(got[i]-want) > 1e-12 {
			t.Errorf("x[%d] is %v, want %v", i, got[i], want)
		}
	}
	if got := solve([][]float64{{1, 1}, {1, 1}}, []float64{1, 2}); !math.IsNaN(got[1]) && !math.IsInf(got[1], 0) {
		t.Errorf("a singular matrix gives %v", got)
	}
}
