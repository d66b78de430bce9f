package gallery

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/image/font"
	"golang.org/x/image/math/fixed"
)

// wrap breaks text at spaces into lines of at most width pixels, and not more of them than lines; what does not fit
// is left out and the last line ends in "…". A word that is longer than a line is broken anywhere.
func wrap(face font.Face, text string, width, lines int) []string {
	fits := func(s string) bool { return font.MeasureString(face, s) <= fixed.I(width) }
	words := strings.Fields(text)
	var out []string
	for len(words) > 0 {
		line := words[0]
		if !fits(line) {
			n := longest(line, fits)
			if words[0] = line[n:]; words[0] == "" { // a single rune
				words = words[1:]
			}
			line = line[:n]
		} else {
			words = words[1:]
			for len(words) > 0 && fits(line+" "+words[0]) {
				line, words = line+" "+words[0], words[1:]
			}
		}
		if len(out) == lines-1 && len(words) > 0 {
			n := longest(line, func(s string) bool { return fits(strings.TrimRight(s, " ") + "…") })
			return append(out, strings.TrimRight(line[:n], " ")+"…")
		}
		out = append(out, line)
	}
	return out
}

// longest is the length in bytes of the longest beginning of s, of whole runes and of one at least, that fits.
func longest(s string, fits func(string) bool) int {
	n := 0
	for n < len(s) {
		_, size := utf8.DecodeRuneInString(s[n:])
		if n > 0 && !fits(s[:n+size]) {
			break
		}
		n += size
	}
	return n
}
