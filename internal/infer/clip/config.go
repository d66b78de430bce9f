package clip

import (
	"encoding/json"
	"fmt"
	"strconv"
)

const (
	defaultMaxLength = 77   // positions of the text encoders of OpenAI's and OpenCLIP's models
	largestMaxLength = 8192 // beyond it, model_max_length is the "no limit" that transformers writes as 1e30
)

// config is what tokenizer_config.json says.
type config struct {
	maxLength int
	roles     map[string]addedToken // by field name; fields left out or null are absent
	added     []addedToken          // added_tokens_decoder; nil if the file has none
}

// parseConfig reads tokenizer_config.json.
func parseConfig(data []byte) (config, error) {
	var file struct {
		MaxLength *float64              `json:"model_max_length"`
		MaxLen    *float64              `json:"max_len"` // its name before transformers 2.9
		Decoder   map[string]addedToken `json:"added_tokens_decoder"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		return config{}, err
	}
	c := config{maxLength: defaultMaxLength}
	if file.MaxLength == nil {
		file.MaxLength = file.MaxLen
	}
	if n := file.MaxLength; n != nil && *n <= largestMaxLength {
		c.maxLength = int(*n)
		if c.maxLength < 2 || float64(c.maxLength) != *n {
			return config{}, fmt.Errorf("model_max_length is %v, want a whole number from 2", *n)
		}
	}
	if file.Decoder != nil {
		c.added = []addedToken{}
	}
	for key, token := range file.Decoder {
		id, err := strconv.ParseUint(key, 10, 31)
		if err != nil {
			return config{}, fmt.Errorf("added_tokens_decoder: %q is not an id", key)
		}
		token.ID = int32(id)
		c.added = append(c.added, token)
	}
	var err error
	c.roles, err = parseRoles(data)
	return c, err
}

// parseRoles reads the fields of an object that name special tokens. As in transformers, an object
// there is not special unless it says so.
func parseRoles(data []byte) (map[string]addedToken, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, err
	}
	found := make(map[string]addedToken)
	for _, role := range roles() {
		raw, ok := fields[role.field]
		if !ok || string(raw) == "null" {
			continue
		}
		var token addedToken
		if err := json.Unmarshal(raw, &token); err != nil {
			return nil, fmt.Errorf("%s: %w", role.field, err)
		}
		if token.Content == "" {
			return nil, fmt.Errorf("%s is empty", role.field)
		}
		found[role.field] = token
	}
	return found, nil
}

// parseSpecialTokens reads special_tokens_map.json, whose tokens are all special.
func parseSpecialTokens(data []byte) (map[string]addedToken, error) {
	found, err := parseRoles(data)
	for role, token := range found {
		token.Special = true
		found[role] = token
	}
	return found, err
}

// parseAddedTokens reads added_tokens.json: an object from token to id.
func parseAddedTokens(data []byte) ([]addedToken, error) {
	var ids map[string]int32
	if err := json.Unmarshal(data, &ids); err != nil {
		return nil, err
	}
	added := make([]addedToken, 0, len(ids))
	for token, id := range ids {
		added = append(added, addedToken{ID: id, Content: token})
	}
	return added, nil
}
