package clip

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// normalize brings text into CLIP's form: Unicode normalization form C, each run of white space as one
// space, each character in lower case. The result is valid UTF-8.
func normalize(text string) string {
	text = nfc(text)
	var b strings.Builder
	b.Grow(len(text))
	inSpace := false
	for _, r := range text {
		if unicode.IsSpace(r) {
			if !inSpace {
				b.WriteByte(' ')
			}
			inSpace = true
			continue
		}
		inSpace = false
		if r == 'İ' {
			// The one character whose lower case is two; unicode.ToLower gives the first alone.
			b.WriteString("i\u0307")
		} else {
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return b.String()
}

// nfc returns text in normalization form C (Unicode Standard Annex 15). The norm package does all of
// it but for one thing: it follows the Stream-Safe Text Process and puts U+034F into runs of more than
// 30 marks, which the reference does not. So its tables are used, and its loop only where it has
// nothing to do.
func nfc(text string) string {
	if norm.NFC.IsNormalString(text) {
		return text
	}
	return string(compose(decompose(text)))
}

// codePoint is a character with what normalization needs to know of it.
type codePoint struct {
	r     rune
	class uint8 // canonical combining class; 0: a starter
	joins bool  // may compose with a character before it
}

// decompose returns the full canonical decomposition of text, marks in canonical order.
func decompose(text string) []codePoint {
	points := make([]codePoint, 0, len(text))
	for i, r := range text {
		if r < utf8.RuneSelf {
			points = append(points, codePoint{r: r})
			continue
		}
		d := string(r) // not a slice of text, whose bytes may not be UTF-8
		if part := norm.NFD.PropertiesString(text[i:]).Decomposition(); part != nil {
			d = string(part)
		}
		for j, r := range d {
			p := norm.NFC.PropertiesString(d[j:])
			points = append(points, codePoint{r, p.CCC(), !p.BoundaryBefore()})
		}
	}
	for i := 0; i < len(points); i++ {
		start := i
		for i < len(points) && points[i].class != 0 {
			i++
		}
		slices.SortStableFunc(points[start:i], func(a, b codePoint) int { return cmp.Compare(a.class, b.class) })
	}
	return points
}

// compose joins each character with the last starter before it where Unicode has a character for the
// two and no character between them stands in the way. It overwrites points.
func compose(points []codePoint) []rune {
	out := make([]rune, 0, len(points))
	starter := -1    // index in out
	last := uint8(0) // combining class of the last character of out
	for _, p := range points {
		if p.joins && starter >= 0 && (last == 0 || last < p.class) {
			if r, ok := composite(out[starter], p.r); ok {
				out[starter] = r
				continue
			}
		}
		if p.class == 0 {
			starter = len(out)
		}
		last = p.class
		out = append(out, p.r)
	}
	return out
}

// composite returns the character that a and b make together, if there is one.
func composite(a, b rune) (rune, bool) {
	var buf [4 * utf8.UTFMax]byte
	pair := utf8.AppendRune(utf8.AppendRune(buf[:0], a), b)
	joined := norm.NFC.Bytes(pair)
	r, size := utf8.DecodeRune(joined)
	return r, size == len(joined)
}
