//go:build !amd64

package ort

// halves and wholes leave all to Go.
func halves([]uint16, []float32) int { return 0 }
func wholes([]float32, []uint16) int { return 0 }
