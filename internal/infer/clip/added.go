package clip

import (
	"encoding/json"
	"fmt"
)

// addedToken is a special token as the files describe it: its string alone, or an object.
type addedToken struct {
	ID         int32  `json:"id"` // -1: not given
	Content    string `json:"content"`
	Normalized *bool  `json:"normalized"` // nil: the opposite of Special
	SingleWord bool   `json:"single_word"`
	Special    bool   `json:"special"`
	plain      bool   // described by its string alone
}

// plainToken is the token that a string alone describes.
func plainToken(content string) addedToken {
	return addedToken{ID: -1, Content: content, Special: true, plain: true}
}

// UnmarshalJSON reads a string or an object, [json.Unmarshaler].
func (a *addedToken) UnmarshalJSON(data []byte) error {
	var content string
	if json.Unmarshal(data, &content) == nil {
		*a = plainToken(content)
		return nil
	}
	type object addedToken // without this method
	o := object{ID: -1}
	if err := json.Unmarshal(data, &o); err != nil {
		return fmt.Errorf("token %s is neither a string nor an object with a content", data)
	}
	*a = addedToken(o)
	return nil
}

// inNormalized says whether the token is looked for in the normalized text, not in the raw one.
func (a addedToken) inNormalized() bool {
	if a.Normalized != nil {
		return *a.Normalized
	}
	return !a.Special
}

// variant is what makes two descriptions of a token differ.
type variant struct {
	content                                string
	normalized, singleWord, special, plain bool
}

func (a addedToken) variant() variant {
	return variant{a.Content, a.inNormalized(), a.SingleWord, a.Special, a.plain}
}
