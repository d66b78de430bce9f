package clip

import (
	"strings"
	"testing"
)

func BenchmarkLoad(b *testing.B) {
	for _, dir := range []string{"clip", "tiny"} {
		b.Run(dir, func(b *testing.B) {
			for b.Loop() {
				mustLoad(b, "testdata/"+dir)
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	tok := mustLoad(b, "testdata/clip")
	for _, tc := range []struct{ name, text string }{
		{"prompt", "a highly detailed oil painting of a lighthouse on a cliff at sunset, dramatic lighting, by Albert Bierstadt, 8k"},
		{"accents", "un café à l'aube, lumière dorée, e\u0301te\u0301"},
		{"word of 16 KiB", strings.Repeat("a", 16<<10)},
		{"word of 1 MiB", strings.Repeat("a", 1<<20)},
		{"words of 1 MiB", strings.Repeat("photo of a cat, ", 1<<16)},
	} {
		b.Run(tc.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(tc.text)))
			for b.Loop() {
				tok.Encode(tc.text)
			}
		})
	}
}
