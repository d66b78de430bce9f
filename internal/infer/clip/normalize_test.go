package clip

import (
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"
)

func TestNormalize(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"", ""},
		{"A Photo\t\r\n of\u00a0\u3000a CAT ", "a photo of a cat "},
		{"E\u0301COLE", "école"},
		{"İ", "i\u0307"},
		{"ΟΔΟΣ", "οδοσ"}, // no final sigma
		{"ẞ \u212a", "ß k"},
		{"a\xffb", "a\ufffdb"},
		{"Z" + strings.Repeat("\u0301", 40), "ź" + strings.Repeat("\u0301", 39)},
		{"q" + strings.Repeat("\u0301\u0323", 31), "q" + strings.Repeat("\u0323", 31) + strings.Repeat("\u0301", 31)},
		{"q" + strings.Repeat("\u0301\u0323\u0300\u0316", 16), "q" + strings.Repeat("\u0323\u0316", 16) + strings.Repeat("\u0301\u0300", 16)},
	} {
		if got := normalize(tc.in); got != tc.want {
			t.Errorf("normalize(%q) = %q, want %q", tc.in, got, tc.want)
		}
	}
}

// Where no run of marks is long, nfc agrees with the norm package.
func TestNFCEqualsNorm(t *testing.T) {
	check := func(text string) {
		if got, want := nfc(text), norm.NFC.String(text); got != want {
			t.Fatalf("nfc(%+q) = %+q, want %+q", text, got, want)
		}
		if got, want := string(compose(decompose(text))), norm.NFC.String(text); got != want {
			t.Fatalf("compose(decompose(%+q)) = %+q, want %+q", text, got, want)
		}
	}
	for r := range rune(0x30000) { // no character beyond has a decomposition
		if 0xd800 <= r && r < 0xe000 {
			continue // not characters
		}
		check(string(r))
		check(norm.NFD.String(string(r)))
	}
	r := rand.New(rand.NewPCG(1, 2))
	blocks := [][2]rune{{'A', 'z'}, {0xc0, 0x24f}, {0x300, 0x36f}, {0x900, 0xdff}, {0x1100, 0x11ff}, {0x1e00, 0x1fff}, {0xac00, 0xd7a3}, {0x1d100, 0x1d1ff}, {0x11000, 0x119ff}}
	for range 50_000 {
		var b strings.Builder
		for range r.IntN(9) {
			block := blocks[r.IntN(len(blocks))]
			b.WriteRune(block[0] + r.Int32N(block[1]-block[0]+1))
		}
		check(b.String())
	}
}
