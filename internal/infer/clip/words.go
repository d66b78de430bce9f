package clip

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// contractions are words of their own wherever a word may begin.
var contractions = [...]string{"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"}

// markers are words of their own wherever a word may begin, even in tokenizers whose special tokens
// have other names.
var markers = [...]string{"<|startoftext|>", "<|endoftext|>"}

// nextWord returns the first word of normalized text and what follows it; "" if only white space is
// left. A word is the leftmost match of CLIP's pattern
//
//	<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+
func nextWord(text string) (word, rest string) {
	text = strings.TrimLeftFunc(text, unicode.IsSpace)
	if text == "" {
		return "", ""
	}
	switch text[0] {
	case '\'':
		for _, c := range contractions {
			if strings.HasPrefix(text, c) {
				return c, text[len(c):]
			}
		}
	case '<':
		for _, m := range markers {
			if strings.HasPrefix(text, m) {
				return m, text[len(m):]
			}
		}
	}
	r, end := utf8.DecodeRuneInString(text)
	switch class := classOf(r); class {
	case number:
	case letter, symbol:
		for i, r := range text {
			if classOf(r) != class {
				return text[:i], text[i:]
			}
		}
		end = len(text)
	}
	return text[:end], text[end:]
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
