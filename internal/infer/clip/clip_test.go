package clip

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func mustLoad(tb testing.TB, dir string) *Tokenizer {
	tb.Helper()
	tok, err := Load(dir)
	if err != nil {
		tb.Fatal(err)
	}
	return tok
}

func readJSON(tb testing.TB, path string, v any) {
	tb.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		tb.Fatal(err)
	}
}

// The ids of transformers' CLIPTokenizer with OpenAI's vocabulary, truncated to 77, without padding.
func TestEncodeEqualsTransformers(t *testing.T) {
	var cases []struct {
		Text string  `json:"text"`
		IDs  []int64 `json:"ids"`
	}
	readJSON(t, "testdata/clip_tokens.json", &cases)
	if len(cases) != 301 {
		t.Fatalf("%d cases, want 301", len(cases))
	}
	tok := mustLoad(t, "testdata/clip")
	for _, c := range cases {
		got := tok.Encode(c.Text)
		want := slices.Clone(c.IDs)
		for len(want) < 77 {
			want = append(want, 49407)
		}
		if diff := cmp.Diff(want, got.IDs); diff != "" {
			t.Errorf("Encode(%q) (-transformers +got):\n%s", c.Text, diff)
		}
		if len(c.IDs) < 77 && (got.Count != len(c.IDs) || got.Truncated) {
			t.Errorf("Encode(%q): count %d, truncated %v; want %d, false", c.Text, got.Count, got.Truncated, len(c.IDs))
		}
	}
}

// reference is testdata/reference.json, written by reference.py beside it.
type reference struct {
	Tokenizers map[string]struct {
		Base  string                     `json:"base"`  // folder with the vocabulary
		Files map[string]json.RawMessage `json:"files"` // the other files; null: those of the folder
	} `json:"tokenizers"`
	Cases []struct {
		Tokenizer string  `json:"tokenizer"`
		Text      string  `json:"text"`
		Repeat    int     `json:"repeat"`
		IDs       []int64 `json:"ids"`
		Count     int     `json:"count"`
	} `json:"cases"`
}

// Hard prompts, and the ways in which folders name their special tokens.
func TestEncodeEqualsReference(t *testing.T) {
	var ref reference
	readJSON(t, "testdata/reference.json", &ref)
	if len(ref.Tokenizers) != 15 || len(ref.Cases) < 800 {
		t.Fatalf("%d tokenizers with %d cases, want 15 with 800 or more", len(ref.Tokenizers), len(ref.Cases))
	}
	toks := make(map[string]*Tokenizer)
	for name, r := range ref.Tokenizers {
		dir := filepath.Join("testdata", r.Base)
		if r.Files != nil {
			dir = withFiles(t, dir, r.Files)
		}
		toks[name] = mustLoad(t, dir)
	}
	for _, c := range ref.Cases {
		text := strings.Repeat(c.Text, c.Repeat)
		got := toks[c.Tokenizer].Encode(text)
		want := Tokens{IDs: c.IDs, Count: c.Count, Truncated: c.Count > len(c.IDs)}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: Encode(%q * %d) (-transformers +got):\n%s", c.Tokenizer, c.Text, c.Repeat, diff)
		}
	}
}

// withFiles returns a new folder with the vocabulary of base and the files given.
func withFiles[T ~[]byte](tb testing.TB, base string, files map[string]T) string {
	tb.Helper()
	dir := tb.TempDir()
	all := make(map[string][]byte)
	for _, name := range []string{vocabFile, mergesFile} {
		data, err := os.ReadFile(filepath.Join(base, name))
		if err != nil {
			tb.Fatal(err)
		}
		all[name] = data
	}
	for name, data := range files {
		all[name] = data
	}
	for name, data := range maps.All(all) {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return dir
}

func TestTokenizerFolders(t *testing.T) {
	for _, tc := range []struct {
		dir    string
		length int
		pad    string
	}{
		{"testdata/clip", 77, endToken},
		{"testdata/tiny", 77, endToken},
		{"testdata/tiny_pad", 77, "!"},
		{"../../../models/tiny-emoji/tokenizer", 32, endToken},
	} {
		t.Run(tc.dir, func(t *testing.T) {
			tok := mustLoad(t, tc.dir)
			v, err := loadVocabulary(tc.dir)
			if err != nil {
				t.Fatal(err)
			}
			if tok.MaxLength() != tc.length || tok.VocabSize() != len(v.ids) {
				t.Errorf("length %d, vocabulary %d; want %d, %d", tok.MaxLength(), tok.VocabSize(), tc.length, len(v.ids))
			}
			var want []int64
			for _, token := range []string{startToken, "the</w>", endToken, tc.pad} {
				id, ok := v.ids[token]
				if !ok {
					t.Fatalf("no token %q", token)
				}
				want = append(want, int64(id))
			}
			if diff := cmp.Diff(want, tok.Encode("The").IDs[:4]); diff != "" {
				t.Errorf("Encode(\"The\") (-want +got):\n%s", diff)
			}
		})
	}
}

// tokenizer.json and vocab.json with merges.txt say the same.
func TestTokenizerJSONEqualsVocabAndMerges(t *testing.T) {
	one := mustLoad(t, "testdata/tiny") // has both: tokenizer.json goes first
	both := mustLoad(t, withFiles[[]byte](t, "testdata/tiny", nil))
	var cases []struct{ Text string }
	readJSON(t, "testdata/clip_tokens.json", &cases)
	for _, c := range cases {
		if diff := cmp.Diff(both.Encode(c.Text), one.Encode(c.Text)); diff != "" {
			t.Errorf("Encode(%q) (-vocab.json +tokenizer.json):\n%s", c.Text, diff)
		}
	}
}

func TestEncodeHugePrompts(t *testing.T) {
	tok := mustLoad(t, "testdata/clip")
	const size = 1 << 20
	for name, tc := range map[string]struct {
		unit string
		ids  int // of all units together
	}{
		"one word":      {"a", size/8 + 1}, // of eight letters each, but the last eight are two
		"many words":    {"photo of a cat, ", size / 16 * 5},
		"marks":         {"\u0301", size},
		"invalid UTF-8": {"\xff", size},
		"specials":      {endToken, size / 13},
	} {
		t.Run(name, func(t *testing.T) {
			got := tok.Encode(strings.Repeat(tc.unit, size/len(tc.unit)))
			if !got.Truncated || len(got.IDs) != 77 || got.IDs[76] != 49407 {
				t.Errorf("truncated %v, %d ids, last %d; want true, 77, 49407", got.Truncated, len(got.IDs), got.IDs[76])
			}
			if want := tc.ids + 2; got.Count != want {
				t.Errorf("count %d, want %d", got.Count, want)
			}
		})
	}
}

func TestEncodeInvalidUTF8(t *testing.T) {
	tok := mustLoad(t, "testdata/clip")
	for _, text := range []string{"a\xffb", "e\u0301\xc3", "\xed\xa0\x80", "\xf0\x9f\x98", "\xe1\x84\x80\xe1\x85"} {
		want := tok.Encode(string([]rune(text)))
		if diff := cmp.Diff(want, tok.Encode(text)); diff != "" {
			t.Errorf("Encode(%q) (-with U+FFFD +got):\n%s", text, diff)
		}
	}
}

func TestEncodeConcurrently(t *testing.T) {
	tok := mustLoad(t, "testdata/tiny")
	texts := []string{"a photo of a cat", "nothing but the theatre", "thinking, nothing", endToken}
	want := make([]Tokens, len(texts))
	for i, text := range texts {
		want[i] = tok.Encode(text)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for n := range 200 {
				i := n % len(texts)
				if diff := cmp.Diff(want[i], tok.Encode(texts[i])); diff != "" {
					t.Errorf("Encode(%q) (-alone +concurrent):\n%s", texts[i], diff)
				}
			}
		})
	}
	wg.Wait()
}
