package clip

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// nextWord returns the first word of normalized text and what follows it; "" if only white space is
// left. A word is the leftmost match of CLIP's pattern
//
//	<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+
func nextWord(text string) (word, rest string) {
	text = strings.TrimLeftFunc(text, unicode.IsSpace)
	if text == "" {
		return "", ""
	}
	if text[0] == '<' || text[0] == '\'' {
		for _, word := range [...]string{startToken, endToken, "'s", "'t", "'re", "'ve", "'m", "'ll", "'d"} {
			if strings.HasPrefix(text, word) {
				return word, text[len(word):]
			}
		}
	}
	r, size := utf8.DecodeRuneInString(text)
	class := classOf(r)
	if class == number {
		return text[:size], text[size:]
	}
	for i, r := range text {
		if classOf(r) != class {
			return text[:i], text[i:]
		}
	}
	return text, ""
}

// class is what CLIP's pattern tells characters apart by.
type class int

const (
	symbol class = iota // whatever is none of the others, combining marks among them
	letter
	number
	space
)

func classOf(r rune) class {
	switch {
	case unicode.IsLetter(r):
		return letter
	case unicode.IsNumber(r):
		return number
	case unicode.IsSpace(r):
		return space
	}
	return symbol
}
