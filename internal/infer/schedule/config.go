package schedule

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// Config is a model's scheduler_config.json: the scheduler's class and the fields the file sets. It
// keeps apart what the file leaves out, since each class has its own defaults. The zero value sets
// nothing and names no class. A Config does not change once parsed, so it may be shared.
type Config struct {
	class    string
	settings map[string]setting // by the name in the file
}

// setting is a field of Params that a file sets.
type setting struct {
	index int // of the field in Params
	value reflect.Value
}

// ParseConfig reads a scheduler_config.json. Fields that no class knows are ignored, as are nulls and
// the fields listed in _use_default_values. An error names the field that is of the wrong type or out
// of range. Python's Infinity and -Infinity are understood.
func ParseConfig(data []byte) (Config, error) {
	c, err := decodeConfig(StandardJSON(data))
	if err != nil {
		return Config{}, fmt.Errorf("reading scheduler config: %w", err)
	}
	return c, nil
}

// Class is the diffusers class the file was written by, "" if it names none.
func (c Config) Class() string { return c.class }

func decodeConfig(data []byte) (Config, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return Config{}, err
	}
	var c Config
	if err := decodeField(fields, "_class_name", &c.class); err != nil {
		return Config{}, err
	}
	var unset []string
	if err := decodeField(fields, "_use_default_values", &unset); err != nil {
		return Config{}, err
	}
	for _, field := range unset {
		delete(fields, field)
	}
	p := defaults()
	settings, err := decodeSettings(fields, &p)
	if err != nil {
		return Config{}, err
	}
	c.settings = settings
	return c, p.validate()
}

// decodeSettings decodes the fields of a file into those of p, and returns them.
func decodeSettings(fields map[string]json.RawMessage, p *Params) (map[string]setting, error) {
	settings := map[string]setting{}
	for f, value := range reflect.ValueOf(p).Elem().Fields() {
		name := f.Tag.Get("json")
		if err := decodeField(fields, name, value.Addr().Interface()); err != nil {
			return nil, err
		}
		if raw, ok := fields[name]; ok && string(raw) != "null" {
			settings[name] = setting{f.Index[0], value}
		}
	}
	return settings, nil
}

// decodeField decodes a field, if the file has it, and names it if that fails. Null leaves into as it is.
func decodeField(fields map[string]json.RawMessage, field string, into any) error {
	raw, ok := fields[field]
	if !ok {
		return nil
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("%s: %w", field, err)
	}
	return nil
}

// overlay sets those of the known fields of p that the file sets.
func (c Config) overlay(p *Params, known []string) {
	to := reflect.ValueOf(p).Elem()
	for _, field := range known {
		if s, ok := c.settings[field]; ok {
			to.Field(s.index).Set(s.value)
		}
	}
}

// flow says that the model was trained for flow matching (Lipman et al. 2023): it predicts a velocity
// on a straight line between noise and picture, and no diffusion schedule fits it.
func (c Config) flow() bool {
	prediction, ok := c.settings["prediction_type"]
	return strings.HasPrefix(c.class, "FlowMatch") || ok && prediction.value.String() == "flow_prediction"
}

// StandardJSON puts the bare words that Python's json writes for non-finite numbers in quotes, which makes
// the text JSON that others than Python read; [ParseConfig] understands it either way. Diffusers writes
// lambda_min_clipped as -Infinity.
func StandardJSON(data []byte) []byte {
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
