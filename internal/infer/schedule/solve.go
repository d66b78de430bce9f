package schedule

import "math"

// solve is Gaussian elimination with row exchange, in place. A singular matrix gives values that are
// not finite.
func solve(matrix [][]float64, right []float64) []float64 {
	for c := range matrix {
		pivot := c
		for r := c + 1; r < len(matrix); r++ {
			if math.Abs(matrix[r][c]) > math.Abs(matrix[pivot][c]) {
				pivot = r
			}
		}
		matrix[c], matrix[pivot] = matrix[pivot], matrix[c]
		right[c], right[pivot] = right[pivot], right[c]
		for r := c + 1; r < len(matrix); r++ {
			factor := matrix[r][c] / matrix[c][c]
			for k := c; k < len(matrix); k++ {
				matrix[r][k] -= factor * matrix[c][k]
			}
			right[r] -= factor * right[c]
		}
	}
	for c := len(matrix) - 1; c >= 0; c-- {
		for k := c + 1; k < len(matrix); k++ {
			right[c] -= matrix[c][k] * right[k]
		}
		right[c] /= matrix[c][c]
	}
	return right
}
