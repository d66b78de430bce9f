package clip

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMaxLength(t *testing.T) {
	for name, tc := range map[string]struct {
		config string
		want   int
	}{
		"no file":    {"", 77},
		"left out":   {`{}`, 77},
		"null":       {`{"model_max_length": null}`, 77},
		"tiny":       {`{"model_max_length": 32}`, 32},
		"long":       {`{"model_max_length": 248}`, 248},
		"smallest":   {`{"model_max_length": 2}`, 2},
		"as a float": {`{"model_max_length": 77.0}`, 77},
		"no limit":   {`{"model_max_length": 1000000000000000019884624838656}`, 77},
		"before 2.9": {`{"max_len": 64}`, 64},
		"both":       {`{"max_len": 64, "model_max_length": 32}`, 32},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string][]byte{}
			if tc.config != "" {
				files[configFile] = []byte(tc.config)
			}
			tok := mustLoad(t, withFiles(t, "testdata/tiny", files))
			if got := tok.MaxLength(); got != tc.want {
				t.Errorf("MaxLength() = %d, want %d", got, tc.want)
			}
			if got := tok.Encode("the in the in"); len(got.IDs) != tc.want {
				t.Errorf("%d ids, want %d", len(got.IDs), tc.want)
			}
		})
	}
}

func TestLoadRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		files map[string][]byte // nil content: the file is removed
		want  []string          // parts of the error
	}{
		"no vocabulary":       {files{vocabFile: nil}, []string{"neither tokenizer.json nor vocab.json", "copy the tokenizer folder"}},
		"no merges":           {files{mergesFile: nil}, []string{"no merges.txt", "copy it"}},
		"cut vocabulary":      {files{vocabFile: []byte(`{"a": 1,`)}, []string{vocabFile, "unexpected end of JSON", "copy the file again"}},
		"empty vocabulary":    {files{vocabFile: []byte(`{}`)}, []string{vocabFile, "no tokens"}},
		"negative id":         {files{vocabFile: []byte(`{"a": -1}`)}, []string{vocabFile, `"a" has the id -1`}},
		"huge id":             {files{vocabFile: []byte(`{"a": 4294967296}`)}, []string{vocabFile, "4294967296"}},
		"no special tokens":   {files{vocabFile: []byte(`{"a": 1}`)}, []string{`bos_token is "<|startoftext|>", which the vocabulary lacks`, configFile}},
		"bad merge":           {files{mergesFile: []byte("#version: 0.2\ni n\nthe\n")}, []string{mergesFile, "line 3", `"the"`}},
		"foreign merge":       {files{mergesFile: []byte("i n\nq x\n")}, []string{"merge 2", `the token "qx"`, "different tokenizers"}},
		"long line":           {files{mergesFile: []byte(strings.Repeat("x", 1<<17))}, []string{mergesFile, "too long"}},
		"binary tokenizer":    {files{wholeFile: []byte("\x00\x01")}, []string{wholeFile, "invalid character"}},
		"unigram":             {files{wholeFile: []byte(`{"model": {"type": "Unigram", "vocab": {}}}`)}, []string{wholeFile, "Unigram", "another text encoder"}},
		"word piece suffix":   {files{wholeFile: []byte(`{"model": {"end_of_word_suffix": "", "vocab": {"a": 1}}}`)}, []string{wholeFile, "end_of_word_suffix", "another text encoder"}},
		"merge of three":      {files{wholeFile: []byte(`{"model": {"vocab": {"a": 1}, "merges": [["a", "b", "c"]]}}`)}, []string{wholeFile, `["a", "b", "c"]`}},
		"configuration":       {files{configFile: []byte(`[]`)}, []string{configFile, "cannot unmarshal array"}},
		"length of 1":         {files{configFile: []byte(`{"model_max_length": 1}`)}, []string{configFile, "model_max_length is 1"}},
		"negative length":     {files{configFile: []byte(`{"model_max_length": -5}`)}, []string{configFile, "model_max_length is -5"}},
		"fractional length":   {files{configFile: []byte(`{"model_max_length": 7.5}`)}, []string{configFile, "model_max_length is 7.5"}},
		"length in words":     {files{configFile: []byte(`{"model_max_length": "77"}`)}, []string{configFile, "model_max_length"}},
		"padding unknown":     {files{configFile: []byte(`{"pad_token": "qqq"}`)}, []string{`pad_token is "qqq"`, specialsFile, "copy the whole folder"}},
		"padding a number":    {files{configFile: []byte(`{"pad_token": 0}`)}, []string{configFile, "pad_token", "neither a string nor an object"}},
		"padding empty":       {files{specialsFile: []byte(`{"pad_token": ""}`)}, []string{specialsFile, "pad_token is empty"}},
		"added id in words":   {files{configFile: []byte(`{"added_tokens_decoder": {"x": {"content": "<x>"}}}`)}, []string{configFile, `"x" is not an id`}},
		"added without id":    {files{wholeFile: []byte(`{"added_tokens": ["<x>"], "model": {"vocab": {"a": 1}}}`)}, []string{`added token "<x>" has no id`}},
		"added without name":  {files{configFile: []byte(`{"added_tokens_decoder": {"1": {}}}`)}, []string{"no content"}},
		"added with bad id":   {files{addedFile: []byte(`{"<x>": -3}`)}, []string{`"<x>" has no id of 0 or more`}},
		"added tokens a list": {files{addedFile: []byte(`["<x>"]`)}, []string{addedFile, "cannot unmarshal array"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := withFiles(t, "testdata/tiny", tc.files)
			for file, data := range tc.files {
				if data == nil {
					if err := os.Remove(filepath.Join(dir, file)); err != nil {
						t.Fatal(err)
					}
				}
			}
			tok, err := Load(dir)
			if err == nil {
				t.Fatalf("no error, MaxLength %d", tok.MaxLength())
			}
			for _, part := range append(tc.want, "loading CLIP tokenizer: ", dir) {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not say %q", err, part)
				}
			}
		})
	}
}

// files is the content of a folder by file name.
type files = map[string][]byte

func TestLoadMissingFolder(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "tokenizer"))
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v, want one that is fs.ErrNotExist", err)
	}
}

// Without an unk_token in the vocabulary, what cannot be spelled becomes the end token.
func TestUnknownBytes(t *testing.T) {
	dir := withFiles(t, "testdata/tiny", files{
		vocabFile:  []byte(`{"a": 0, "a</w>": 1, "<": 2, "[BOS]": 3, "[EOS]": 4}`),
		mergesFile: nil,
		configFile: []byte(`{"bos_token": "[BOS]", "eos_token": "[EOS]", "pad_token": "<", "model_max_length": 8}`),
	})
	want := []int64{3, 0, 4, 1, 4, 4, 4, 2}
	if diff := cmp.Diff(want, mustLoad(t, dir).Encode("aba é").IDs); diff != "" {
		t.Errorf("ids (-want +got):\n%s", diff)
	}
}

func TestAddedTokensThatNormalizeEqually(t *testing.T) {
	dir := withFiles(t, "testdata/tiny", files{
		addedFile:  []byte(`{"<B>": 1515, "<b>": 1514, "<D>": 1516, "<d>": 1517}`),
		configFile: []byte(`{"model_max_length": 6}`),
	})
	want := []int64{1512, 1514, 1514, 1516, 1516, 1513}
	if diff := cmp.Diff(want, mustLoad(t, dir).Encode("<b> <B> <d> <D>").IDs); diff != "" {
		t.Errorf("ids (-want +got):\n%s", diff)
	}
}
