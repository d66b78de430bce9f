package clip

import (
	"os"
	"testing"
)

func FuzzEncode(f *testing.F) {
	tok := mustLoad(f, "testdata/tiny_pad")
	for _, text := range []string{"", "a photo of a cat", "It's 42!", "e\u0301İ", endToken + "!", "<|ENDOFTEXT|>", "a\xff\xc3", "\u1100\u1161\u11a8"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := tok.Encode(text)
		if len(got.IDs) != tok.MaxLength() {
			t.Fatalf("%d ids, want %d", len(got.IDs), tok.MaxLength())
		}
		for i, id := range got.IDs {
			if id < 0 || id >= int64(tok.VocabSize()) {
				t.Fatalf("id %d of %d is outside the vocabulary of %d", id, i, tok.VocabSize())
			}
		}
		if got.Count < 2 || got.Truncated != (got.Count > tok.MaxLength()) {
			t.Fatalf("count %d, truncated %v with a length of %d", got.Count, got.Truncated, tok.MaxLength())
		}
		if end := min(got.Count, tok.MaxLength()) - 1; got.IDs[0] != tok.bos || got.IDs[end] != tok.eos {
			t.Fatalf("ids %v do not begin with BOS and end with EOS at %d", got.IDs, end)
		}
	})
}

// check lays out what a decoder accepted and encodes with it: an error is fine, a panic is not.
func check(t *testing.T, v vocabulary, c config) {
	t.Helper()
	tok, err := newTokenizer("dir", v, c)
	if err != nil {
		return
	}
	if got := tok.Encode("A the <x> é!"); len(got.IDs) != tok.MaxLength() {
		t.Fatalf("%d ids, want %d", len(got.IDs), tok.MaxLength())
	}
}

var smallVocab = map[string]int32{startToken: 0, endToken: 1, "t": 2, "h": 3, "th": 4, "e</w>": 5, "a</w>": 6, "!": 7}

func FuzzVocabAndMerges(f *testing.F) {
	f.Add([]byte(`{"<|startoftext|>": 0, "<|endoftext|>": 1, "t": 2, "h": 3, "th": 4}`), []byte("#version: 0.2\nt h\n"))
	f.Add([]byte(`{"<|startoftext|>": 2147483647, "<|endoftext|>": -1}`), []byte("t h\r\n\r\n a"))
	f.Add([]byte(`{"a": null}`), []byte("t  h"))
	f.Fuzz(func(t *testing.T, vocab, merges []byte) {
		ids, err := parseVocab(vocab)
		if err != nil {
			ids = smallVocab
		}
		rules, err := parseMerges(merges)
		if err != nil {
			return
		}
		check(t, vocabulary{ids: ids, merges: rules}, config{maxLength: 8})
	})
}

func FuzzTokenizerJSON(f *testing.F) {
	f.Add([]byte(`{"added_tokens": [{"id": 0, "content": "<x>", "single_word": true}], "model": {"type": "BPE", "end_of_word_suffix": "</w>",
		"vocab": {"<|startoftext|>": 0, "<|endoftext|>": 1, "t": 2, "h": 3, "th": 4}, "merges": ["t h", ["t", "h"]]}}`))
	f.Add([]byte(`{"added_tokens": ["x", null], "model": {"type": "Unigram", "vocab": [], "merges": null}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := parseTokenizer(data)
		if err != nil {
			return
		}
		check(t, v, config{maxLength: 8, added: v.added})
	})
}

func FuzzConfig(f *testing.F) {
	for _, dir := range []string{"testdata/clip", "testdata/tiny_pad"} {
		data, err := os.ReadFile(dir + "/" + configFile)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, []byte(`{"pad_token": {"content": "!", "normalized": true}}`))
	}
	f.Add([]byte(`{"added_tokens_decoder": {"7": {"content": "<x>", "special": true}}, "model_max_length": 1e30}`), []byte(`{"<x>": 9}`))
	f.Fuzz(func(t *testing.T, data, more []byte) {
		c, err := parseConfig(data)
		if err != nil {
			c = config{maxLength: defaultMaxLength}
		}
		if c.maxLength < 2 || c.maxLength > largestMaxLength {
			t.Fatalf("length %d", c.maxLength)
		}
		if roles, err := parseSpecialTokens(more); err == nil {
			c.roles = roles
		}
		if added, err := parseAddedTokens(more); err == nil {
			c.added = append(c.added, added...)
		}
		check(t, vocabulary{ids: smallVocab}, c)
	})
}
