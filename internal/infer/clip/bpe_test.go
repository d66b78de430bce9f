package clip

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// mergeNaively applies the lowest rule at its leftmost place until none applies.
func mergeNaively(b *bpe, word string) []int32 {
	var ids []int32
	for i := range len(word) {
		ids = append(ids, b.inner[word[i]])
	}
	ids[len(ids)-1] = b.last[word[len(word)-1]]
	for {
		best, at := int32(-1), -1
		for i := range len(ids) - 1 {
			if rank, ok := b.rank[pairKey(ids[i], ids[i+1])]; ok && (best < 0 || rank < best) {
				best, at = rank, i
			}
		}
		if at < 0 {
			return ids
		}
		ids = slices.Replace(ids, at, at+2, b.rules[best].result)
	}
}

func TestMergerEqualsNaive(t *testing.T) {
	tok := mustLoad(t, "testdata/tiny")
	r := rand.New(rand.NewPCG(3, 4))
	var m merger // used again and again, as in Encode
	for range 5000 {
		letters := "etaoinshr"[:1+r.IntN(9)]
		word := make([]byte, 1+r.IntN(40))
		for i := range word {
			word[i] = letters[r.IntN(len(letters))]
		}
		want := mergeNaively(&tok.bpe, string(word))
		m.encode(&tok.bpe, string(word))
		if diff := cmp.Diff(want, slices.Collect(m.ids)); diff != "" {
			t.Fatalf("merging %q (-naive +got):\n%s", word, diff)
		}
	}
}

// Where a damaged vocabulary gives two tokens one id, a place on the heap may be out of date although
// the symbol there has the id that its rule wants.
func TestMergerWithSharedIDs(t *testing.T) {
	b, err := newBPE(vocabulary{
		ids:    map[string]int32{"t": 2, "th": 2, "the</w>": 2, "h": 3, "he</w>": 3, "e</w>": 4},
		merges: [][2]string{{"h", "e</w>"}, {"t", "h"}},
	}, 1)
	if err != nil {
		t.Fatal(err)
	}
	var m merger
	m.encode(&b, "the")
	if diff := cmp.Diff([]int32{2}, slices.Collect(m.ids)); diff != "" {
		t.Errorf("merging (-want +got):\n%s", diff)
	}
}

func TestNextWord(t *testing.T) {
	for _, tc := range []struct {
		text string
		want []string
	}{
		{"", nil},
		{"  ", nil},
		{"a photo, of", []string{"a", "photo", ",", "of"}},
		{"it's 'tis '", []string{"it", "'s", "'t", "is", "'"}},
		{"!'s", []string{"!'", "s"}},
		{"20½a", []string{"2", "0", "½", "a"}},
		{"e\u0301e", []string{"e", "\u0301", "e"}},
		{"<|endoftext|>!", []string{"<|endoftext|>", "!"}},
		{"!<|endoftext|>", []string{"!<|", "endoftext", "|>"}},
		{"<|endoftext|", []string{"<|", "endoftext", "|"}},
	} {
		var got []string
		for rest := tc.text; ; {
			var word string
			if word, rest = nextWord(rest); word == "" {
				break
			}
			got = append(got, word)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("words of %q (-want +got):\n%s", tc.text, diff)
		}
	}
}

func TestByteSpelling(t *testing.T) {
	spelling := byteSpelling()
	seen := maps.Collect(func(yield func(rune, int) bool) {
		for b, r := range spelling {
			if !yield(r, b) {
				return
			}
		}
	})
	if len(seen) != 256 {
		t.Errorf("%d spellings for 256 bytes", len(seen))
	}
	for b, want := range map[byte]rune{'a': 'a', 0: 'Ā', ' ': 'Ġ', 0x7f: 'ġ', 0xad: 'Ń', 0xff: 'ÿ'} {
		if got := spelling[b]; got != want {
			t.Errorf("byte %#x is spelled %q, want %q", b, got, want)
		}
	}
}
