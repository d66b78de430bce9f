package ort

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stipple-ai/stipple/internal/infer/onnx"
)

// BenchmarkCall makes a step's call again and again, on the smallest model: what it allocates is what every step of a real one allocates on top of ONNX Runtime. Tensors are
// made once for a shape, so neither rows nor pixels count.
func BenchmarkCall(b *testing.B) {
	p := load(b, filepath.Join(root, "testdata", "pipelines", "sd15"))
	for _, rows := range []int{1, 2, 8} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			c := call(p, rows, 1)
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			b.ReportAllocs()
			for b.Loop() {
				check(b, p.Denoise(ctx, c))
			}
		})
	}
}

// BenchmarkCopy is the host's side of the latents' way to a device and back, for a row and step: what is written into the call's tensor and read from it. Its
// bytes are those of the tensor, and so what crosses the bus.
func BenchmarkCopy(b *testing.B) {
	for _, side := range []int{512, 1024} {
		for _, elem := range []onnx.Elem{onnx.Float32, onnx.Float16} {
			b.Run(fmt.Sprintf("%d²/%s", side, elem), func(b *testing.B) {
				t, err := newTensor(elem, 1, 4, int64(side/8), int64(side/8))
				if err != nil {
					b.Fatal(err)
				}
				defer func() { check(b, t.value.Destroy()) }()
				latent := make([]float32, t.n)
				for i := range latent {
					latent[i] = float32(i%2000)/500 - 2
				}
				b.SetBytes(int64(2 * 8 * len(t.words)))
				b.ReportAllocs()
				for b.Loop() {
					t.setFloats(0, latent...)
					t.floats(latent, 0)
				}
			})
		}
	}
}
