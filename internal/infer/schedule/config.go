package schedule

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// Config is a model's scheduler_config.json: the scheduler's class and the fields the file sets. It
// keeps apart what the file leaves out, since each class has its own defaults. The zero value sets
// nothing and names no class. A Config does not change once parsed, so it may be shared.
type Config struct {
	class  string
	fields map[string]json.RawMessage
}

// ParseConfig reads a scheduler_config.json. Fields that no class knows are ignored, as are nulls and
// the fields listed in _use_default_values. An error names the field that is of the wrong type or out
// of range. Python's Infinity and -Infinity are understood.
func ParseConfig(data []byte) (Config, error) {
	c, err := decodeConfig(quoteNonFinite(data))
	if err != nil {
		return Config{}, fmt.Errorf("reading scheduler config: %w", err)
	}
	p := defaults()
	if err := c.overlay(&p, allFields()); err != nil {
		return Config{}, fmt.Errorf("reading scheduler config: %w", err)
	}
	if err := p.validate(); err != nil {
		return Config{}, fmt.Errorf("reading scheduler config: %w", err)
	}
	return c, nil
}

// Class is the diffusers class the file was written by, "" if it names none.
func (c Config) Class() string { return c.class }

func decodeConfig(data []byte) (Config, error) {
	var c Config
	if err := json.Unmarshal(data, &c.fields); err != nil {
		return c, err
	}
	if err := c.private("_class_name", &c.class); err != nil {
		return c, err
	}
	var unset []string
	if err := c.private("_use_default_values", &unset); err != nil {
		return c, err
	}
	for _, field := range unset {
		delete(c.fields, field)
	}
	return c, nil
}

// private decodes one of the fields that stand for themselves and are no setting.
func (c Config) private(field string, into any) error {
	raw, ok := c.fields[field]
	if !ok {
		return nil
	}
	delete(c.fields, field)
	return decodeField(field, raw, into)
}

// overlay sets those of the known fields of p that the file sets.
func (c Config) overlay(p *Params, known []string) error {
	for _, field := range known {
		raw, ok := c.fields[field]
		if !ok {
			continue
		}
		object := fmt.Appendf(nil, "{%q:%s}", field, raw)
		if err := decodeField(field, object, p); err != nil {
			return err
		}
	}
	return nil
}

// decodeField decodes JSON into a value and names the field if that fails. Null leaves it as it is.
func decodeField(field string, data []byte, into any) error {
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: %w", field, err)
	}
	return nil
}

// flow says that the model was trained for flow matching (Lipman et al. 2023): it predicts a velocity
// on a straight line between noise and picture, and no diffusion schedule fits it.
func (c Config) flow() bool {
	return strings.HasPrefix(c.class, "FlowMatch") || string(c.fields["prediction_type"]) == `"flow_prediction"`
}

// quoteNonFinite puts the bare words that Python's json writes for non-finite numbers in quotes, which
// makes the text JSON again.
func quoteNonFinite(data []byte) []byte {
	if !bytes.Contains(data, []byte("Infinity")) && !bytes.Contains(data, []byte("NaN")) {
		return data
	}
	var out []byte
	for inString := false; len(data) > 0; {
		word := ""
		if !inString {
			for _, w := range []string{"-Infinity", "Infinity", "NaN"} {
				if bytes.HasPrefix(data, []byte(w)) {
					word = w
					break
				}
			}
		}
		switch {
		case word != "":
			out = append(append(append(out, '"'), word...), '"')
			data = data[len(word):]
		case inString && data[0] == '\\' && len(data) > 1:
			out = append(out, data[0], data[1])
			data = data[2:]
		default:
			if data[0] == '"' {
				inString = !inString
			}
			out = append(out, data[0])
			data = data[1:]
		}
	}
	return out
}
