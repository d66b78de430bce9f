package clip

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
)

const (
	startToken = "<|startoftext|>"
	endToken   = "<|endoftext|>"
)

// role is a field of the configuration that names a special token.
type role struct {
	field     string
	byDefault string // the token that CLIP has there; "": none
	required  bool
}

// roles returns all roles in the order in which transformers adds their tokens.
func roles() []role {
	return []role{
		{"bos_token", startToken, true},
		{"eos_token", endToken, true},
		{"unk_token", endToken, false},
		{"sep_token", "", false},
		{"pad_token", endToken, true},
		{"cls_token", "", false},
		{"mask_token", "", false},
	}
}

// specials are the special tokens of a tokenizer with their ids.
type specials struct {
	roles           map[string]int32 // id by field; the required ones are always there
	raw, normalized []specialToken
	highest         int32 // id
}

// resolve gives the special tokens their ids: the one in the vocabulary or else the one that an added
// token comes with. A role whose token has neither is an error for BOS, EOS and padding, and left out
// otherwise: the text encoder has nothing for it.
//
// What several places say of one token is settled as in transformers: an added token is taken as the
// last of its name, in the order of the ids; a role named like an added token is that token; of roles
// that share a token the last one to say something new wins.
func resolve(vocab map[string]int32, named map[string]addedToken, added []addedToken) (specials, error) {
	byID := slices.Clone(added)
	slices.SortStableFunc(byID, func(a, b addedToken) int { return cmp.Compare(a.ID, b.ID) })
	byText := make(map[string]addedToken)
	ids := make(map[string]int32)
	for _, a := range byID {
		switch {
		case a.Content == "":
			return specials{}, errors.New("an added token has no content")
		case a.ID < 0:
			return specials{}, fmt.Errorf("added token %q has no id of 0 or more", a.Content)
		}
		id, ok := vocab[a.Content]
		if !ok {
			id = a.ID
		}
		byText[a.Content], ids[a.Content] = a, id
	}
	fromFiles := maps.Clone(ids)

	s := specials{roles: make(map[string]int32)}
	seen := make(map[variant]bool)
	for _, role := range roles() {
		a, ok := named[role.field]
		if !ok {
			if role.byDefault == "" {
				continue
			}
			a = plainToken(role.byDefault)
		}
		id, isAdded := fromFiles[a.Content]
		if !isAdded {
			if id, ok = vocab[a.Content]; !ok {
				if role.required {
					return specials{}, fmt.Errorf("%s is %q, which the vocabulary lacks", role.field, a.Content)
				}
				continue
			}
			if v := a.variant(); !seen[v] {
				seen[v] = true
				byText[a.Content], ids[a.Content] = a, id
			}
		}
		s.roles[role.field] = id
	}

	// Of tokens that normalization makes equal the lowest id is found; transformers takes any of them.
	byNumber := func(a, b string) int { return cmp.Or(cmp.Compare(ids[a], ids[b]), cmp.Compare(a, b)) }
	for _, text := range slices.SortedFunc(maps.Keys(byText), byNumber) {
		a, t := byText[text], specialToken{text: text, id: ids[text], singleWord: byText[text].SingleWord}
		s.highest = max(s.highest, t.id)
		if a.inNormalized() {
			t.text = normalize(text)
			s.normalized = append(s.normalized, t)
		} else {
			s.raw = append(s.raw, t)
		}
	}
	return s, nil
}
