package clip

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// specialToken is a string that is cut out of the text before words are made and has an id of its own.
type specialToken struct {
	text       string
	id         int32
	singleWord bool // only where no letter, digit or the like touches it
}

// tokenSet finds special tokens in text: the leftmost, and of those that begin at one place the longest.
// The zero value finds none.
type tokenSet struct {
	byFirst map[byte][]specialToken // by first byte, longest first
}

func newTokenSet(tokens []specialToken) tokenSet {
	s := tokenSet{byFirst: make(map[byte][]specialToken)}
	for _, t := range tokens {
		s.byFirst[t.text[0]] = append(s.byFirst[t.text[0]], t)
	}
	for _, list := range s.byFirst {
		slices.SortStableFunc(list, func(a, b specialToken) int { return cmp.Compare(len(b.text), len(a.text)) })
	}
	return s
}

// split calls special for every special token in text and plain for every stretch between them, in
// order.
func (s *tokenSet) split(text string, special func(id int32), plain func(text string)) {
	done := 0
	for i := 0; i < len(text); {
		t, ok := s.at(text[i:])
		if !ok {
			i++
			continue
		}
		end := i + len(t.text)
		if !t.singleWord || standsAlone(text, i, end) {
			if done < i {
				plain(text[done:i])
			}
			special(t.id)
			done = end
		}
		i = end
	}
	if done < len(text) {
		plain(text[done:])
	}
}

// at returns the longest token that text begins with.
func (s *tokenSet) at(text string) (specialToken, bool) {
	for _, t := range s.byFirst[text[0]] {
		if strings.HasPrefix(text, t.text) {
			return t, true
		}
	}
	return specialToken{}, false
}

// standsAlone says whether neither neighbour of text[start:end] belongs to a word.
func standsAlone(text string, start, end int) bool {
	before, _ := utf8.DecodeLastRuneInString(text[:start]) // RuneError at the edge: not of a word
	after, _ := utf8.DecodeRuneInString(text[end:])
	return !inWord(before) && !inWord(after)
}

// inWord is \w of Unicode Technical Standard 18.
func inWord(r rune) bool {
	return unicode.In(r, unicode.L, unicode.M, unicode.Nd, unicode.Nl, unicode.Pc, unicode.Other_Alphabetic, unicode.Join_Control)
}
