package clip

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// The files of a tokenizer folder, as transformers writes them.
const (
	wholeFile    = "tokenizer.json"
	vocabFile    = "vocab.json"
	mergesFile   = "merges.txt"
	configFile   = "tokenizer_config.json"
	specialsFile = "special_tokens_map.json"
	addedFile    = "added_tokens.json"
)

// Load reads the tokenizer in the folder dir: tokenizer.json or else vocab.json with merges.txt, and
// where they are there tokenizer_config.json, special_tokens_map.json and added_tokens.json, by the
// rules of transformers. MaxLength is the configuration's model_max_length; 77 where it is left out or
// means no limit. The error names the file that is missing or wrong, what is wrong with it and how to
// mend it.
func Load(dir string) (*Tokenizer, error) {
	t, err := load(dir)
	if err != nil {
		return nil, fmt.Errorf("loading CLIP tokenizer: %w", err)
	}
	return t, nil
}

func load(dir string) (*Tokenizer, error) {
	v, err := loadVocabulary(dir)
	if err != nil {
		return nil, err
	}
	c, err := loadConfig(dir, v.added)
	if err != nil {
		return nil, err
	}
	return newTokenizer(dir, v, c)
}

// newTokenizer lays out what the files of dir say for encoding.
func newTokenizer(dir string, v vocabulary, c config) (*Tokenizer, error) {
	s, err := resolve(v.ids, c.roles, c.added)
	if err != nil {
		return nil, fmt.Errorf("special tokens of %s: %w: %s or %s belongs to another tokenizer, copy the whole folder again from the model", dir, err, configFile, specialsFile)
	}
	unknown, ok := s.roles["unk_token"]
	if !ok {
		unknown = s.roles["eos_token"]
	}
	b, err := newBPE(v, unknown)
	if err != nil {
		return nil, fmt.Errorf("merges of %s: %w: the files belong to different tokenizers or are damaged, copy the whole folder again from the model", dir, err)
	}
	highest := s.highest
	for id := range maps.Values(v.ids) {
		highest = max(highest, id)
	}
	return &Tokenizer{
		bpe:        b,
		raw:        newTokenSet(s.raw),
		normalized: newTokenSet(s.normalized),
		bos:        int64(s.roles["bos_token"]),
		eos:        int64(s.roles["eos_token"]),
		pad:        int64(s.roles["pad_token"]),
		maxLength:  c.maxLength,
		vocabSize:  int(highest) + 1,
	}, nil
}

func loadVocabulary(dir string) (vocabulary, error) {
	v, err := read(dir, wholeFile, parseTokenizer)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return v, err
	}
	ids, err := read(dir, vocabFile, parseVocab)
	if errors.Is(err, fs.ErrNotExist) {
		return vocabulary{}, fmt.Errorf("%s has neither %s nor %s: %w: copy the tokenizer folder of the model there", dir, wholeFile, vocabFile, fs.ErrNotExist)
	} else if err != nil {
		return vocabulary{}, err
	}
	merges, err := read(dir, mergesFile, parseMerges)
	if errors.Is(err, fs.ErrNotExist) {
		return vocabulary{}, fmt.Errorf("%s has a %s but no %s: %w: copy it there from the tokenizer folder of the model", dir, vocabFile, mergesFile, fs.ErrNotExist)
	}
	return vocabulary{ids: ids, merges: merges}, err
}

// loadConfig reads the configuration of the tokenizer in dir, whose tokenizer.json has the added tokens
// inTokenizer. If tokenizer_config.json lists the added tokens, then as in transformers it alone counts;
// else special_tokens_map.json goes before it.
func loadConfig(dir string, inTokenizer []addedToken) (config, error) {
	c, err := readOptional(dir, configFile, config{maxLength: defaultMaxLength}, parseConfig)
	if err != nil || c.added != nil {
		return c, err
	}
	named, err := readOptional(dir, specialsFile, nil, parseSpecialTokens)
	if err != nil {
		return config{}, err
	}
	added, err := readOptional(dir, addedFile, nil, parseAddedTokens)
	if err != nil {
		return config{}, err
	}
	merged := make(map[string]addedToken)
	maps.Copy(merged, c.roles)
	maps.Copy(merged, named)
	for i := range added {
		for _, token := range merged {
			added[i].Special = added[i].Special || token.Content == added[i].Content
		}
	}
	c.roles, c.added = merged, slices.Concat(added, inTokenizer)
	return c, nil
}

// read parses the file name of dir. An error of the file system comes as it is.
func read[T any](dir, name string, parse func(data []byte) (T, error)) (T, error) {
	var none T
	path := filepath.Join(dir, name)
	data, err := os.ReadFile(path)
	if err != nil {
		return none, err
	}
	parsed, err := parse(data)
	if err != nil {
		return none, fmt.Errorf("%s: %w: copy the file again from the model", path, err)
	}
	return parsed, nil
}

// readOptional is read for a file that may be missing: then it returns missing.
func readOptional[T any](dir, name string, missing T, parse func(data []byte) (T, error)) (T, error) {
	parsed, err := read(dir, name, parse)
	if errors.Is(err, fs.ErrNotExist) {
		return missing, nil
	}
	return parsed, err
}
