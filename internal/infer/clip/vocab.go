package clip

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// vocabulary is what the files say about the model, before it is laid out for encoding.
type vocabulary struct {
	ids    map[string]int32 // id of each symbol, in the printable spelling of its bytes
	merges [][2]string      // by rank
	added  []addedToken     // tokenizer.json only
}

const endOfWord = "</w>" // suffix of the last symbol of a word

// parseVocab reads vocab.json: an object from symbol to id.
func parseVocab(data []byte) (map[string]int32, error) {
	var ids map[string]int32
	if err := json.Unmarshal(data, &ids); err != nil {
		return nil, err
	}
	return ids, checkIDs(ids)
}

func checkIDs(ids map[string]int32) error {
	if len(ids) == 0 {
		return errors.New("it has no tokens")
	}
	for token, id := range ids {
		if id < 0 {
			return fmt.Errorf("token %q has the id %d, want 0 or more", token, id)
		}
	}
	return nil
}

// parseMerges reads merges.txt: a line for each rule, the two symbols with a space between, the
// strongest first. A line that begins with #version is a comment.
func parseMerges(data []byte) ([][2]string, error) {
	var merges [][2]string
	lines := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if line == "" || strings.HasPrefix(line, "#version") {
			continue
		}
		rule, err := splitMerge(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		merges = append(merges, rule)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	return merges, nil
}

func splitMerge(rule string) ([2]string, error) {
	left, right, ok := strings.Cut(rule, " ")
	if !ok || left == "" || right == "" || strings.Contains(right, " ") {
		return [2]string{}, fmt.Errorf("%q is not two symbols with a space between", rule)
	}
	return [2]string{left, right}, nil
}

// mergePair reads a rule of tokenizer.json, which is "left right" or, since tokenizers 0.20,
// ["left", "right"].
type mergePair [2]string

func (p *mergePair) UnmarshalJSON(data []byte) error {
	var rule string
	if json.Unmarshal(data, &rule) == nil {
		pair, err := splitMerge(rule)
		*p = pair
		return err
	}
	var pair []string
	if err := json.Unmarshal(data, &pair); err != nil || len(pair) != 2 {
		return fmt.Errorf("merge %s is not two symbols", data)
	}
	*p = mergePair(pair)
	return nil
}

// parseTokenizer reads tokenizer.json. Its normalizer, pre-tokenizer and post-processor are not looked
// at: transformers builds CLIP's own in their place.
func parseTokenizer(data []byte) (vocabulary, error) {
	var file struct {
		AddedTokens []addedToken `json:"added_tokens"`
		Model       struct {
			Type   string           `json:"type"`
			Suffix *string          `json:"end_of_word_suffix"`
			Vocab  map[string]int32 `json:"vocab"`
			Merges []mergePair      `json:"merges"`
		} `json:"model"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		return vocabulary{}, err
	}
	m := file.Model
	if m.Type != "" && m.Type != "BPE" {
		return vocabulary{}, fmt.Errorf("its model is %s, CLIP's is BPE: it belongs to another text encoder", m.Type)
	}
	if m.Suffix != nil && *m.Suffix != endOfWord {
		return vocabulary{}, fmt.Errorf("its end_of_word_suffix is %q, CLIP's is %q: it belongs to another text encoder", *m.Suffix, endOfWord)
	}
	if err := checkIDs(m.Vocab); err != nil {
		return vocabulary{}, err
	}
	v := vocabulary{ids: m.Vocab, merges: make([][2]string, len(m.Merges)), added: file.AddedTokens}
	for i, p := range m.Merges {
		v.merges[i] = p
	}
	return v, nil
}

// newBPE lays the vocabulary out by bytes and ids. Bytes that it lacks become unknown.
func newBPE(v vocabulary, unknown int32) (bpe, error) {
	b := bpe{
		rules: make([]mergeRule, len(v.merges)),
		rank:  make(map[uint64]int32, len(v.merges)),
	}
	for i, spelling := range byteSpelling() {
		b.inner[i], b.last[i] = unknown, unknown
		if id, ok := v.ids[string(spelling)]; ok {
			b.inner[i] = id
		}
		if id, ok := v.ids[string(spelling)+endOfWord]; ok {
			b.last[i] = id
		}
	}
	for rank, pair := range v.merges {
		var rule mergeRule
		for _, s := range []struct {
			symbol string
			id     *int32
		}{{pair[0], &rule.left}, {pair[1], &rule.right}, {pair[0] + pair[1], &rule.result}} {
			id, ok := v.ids[s.symbol]
			if !ok {
				return bpe{}, fmt.Errorf("merge %d (%q + %q) needs the token %q, which the vocabulary lacks", rank+1, pair[0], pair[1], s.symbol)
			}
			*s.id = id
		}
		b.rules[rank] = rule
		b.rank[pairKey(rule.left, rule.right)] = int32(rank)
	}
	return b, nil
}

// byteSpelling returns the character that stands for each byte in vocabularies since GPT-2: itself for
// the printable ones of Latin-1, and for the rest the characters from U+0100 on, in order.
func byteSpelling() [256]rune {
	var spelling [256]rune
	next := rune(256)
	for b := range rune(256) {
		if '!' <= b && b <= '~' || '¡' <= b && b <= '¬' || '®' <= b && b <= 'ÿ' {
			spelling[b] = b
		} else {
			spelling[b] = next
			next++
		}
	}
	return spelling
}
