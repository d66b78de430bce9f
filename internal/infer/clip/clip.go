// Package clip turns prompts into the token ids that CLIP text encoders were trained on: byte-level
// byte-pair encoding over lower-cased words (Radford et al., "Learning Transferable Visual Models From
// Natural Language Supervision", 2021; Sennrich et al., "Neural Machine Translation of Rare Words with
// Subword Units", 2016).
//
// The reference is CLIPTokenizer of transformers 5, id for id. The known differences are of Unicode
// versions: characters assigned after Go's tables ([unicode.Version]) count as symbols here, and marks
// assigned after Unicode 9 keep their place in a run of several marks there.
// Older releases of transformers repair mojibake and HTML entities first when the ftfy package is
// installed; neither transformers 5 nor this package does.
package clip

// Tokenizer holds a vocabulary and its merges. It is immutable: any number of goroutines may encode at
// once. Create one with [Load].
type Tokenizer struct {
	bpe           bpe
	raw           tokenSet // special tokens that are looked for in the text as it came
	normalized    tokenSet // special tokens that are looked for in the normalized text
	bos, eos, pad int64
	maxLength     int // at least 2
	vocabSize     int
}

// Tokens is an encoded prompt.
type Tokens struct {
	// IDs has exactly MaxLength elements: BOS, the text's ids as far as they fit, EOS, padding.
	IDs []int64
	// Count is the number of ids before truncation and padding, BOS and EOS included.
	Count int
	// Truncated says that Count exceeds MaxLength: the end of the prompt has no effect.
	Truncated bool
}

// MaxLength returns the number of ids in every encoded prompt, 77 for the released models.
func (t *Tokenizer) MaxLength() int { return t.maxLength }

// VocabSize returns the number of rows that a text encoder's embedding needs: one more than the
// highest id.
func (t *Tokenizer) VocabSize() int { return t.vocabSize }

// Encode returns the ids of text. It never fails: bytes that are not UTF-8 count as U+FFFD, and what
// the vocabulary cannot spell becomes its unknown token. Special tokens that stand in the text, such
// as <|endoftext|>, become their own ids, as they do in transformers.
func (t *Tokenizer) Encode(text string) Tokens {
	e := encoder{t: t, ids: make([]int64, 0, t.maxLength)}
	e.ids = append(e.ids, t.bos)
	t.raw.split(text, e.add, func(plain string) {
		t.normalized.split(normalize(plain), e.add, e.words)
	})
	e.ids = append(e.ids, t.eos)
	for len(e.ids) < t.maxLength {
		e.ids = append(e.ids, t.pad)
	}
	count := e.count + 2
	return Tokens{IDs: e.ids, Count: count, Truncated: count > t.maxLength}
}

// encoder is the state of one Encode call.
type encoder struct {
	t     *Tokenizer
	ids   []int64 // BOS and the text's ids, always with room left for EOS
	count int     // ids of the text, those that did not fit included
	merge merger
}

// add appends an id of the text if it fits.
func (e *encoder) add(id int32) {
	e.count++
	if len(e.ids) < e.t.maxLength-1 {
		e.ids = append(e.ids, int64(id))
	}
}

// words encodes normalized text that holds no special tokens.
func (e *encoder) words(text string) {
	for {
		word, rest := nextWord(text)
		if word == "" {
			return
		}
		if word == startToken || word == endToken {
			// transformers cuts these out as a word, then cuts that again where its character classes change.
			// They get here where the text's own case differs, or where the special tokens have other names.
			e.word(word[:2])
			e.word(word[2 : len(word)-2])
			e.word(word[len(word)-2:])
		} else {
			e.word(word)
		}
		text = rest
	}
}

// word encodes one word.
func (e *encoder) word(word string) {
	e.merge.encode(&e.t.bpe, word)
	for id := range e.merge.ids {
		e.add(id)
	}
}
