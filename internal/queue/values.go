package queue

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// optional reads the value of f into *dst; null leaves it nil.
func optional[T any](f member, dst **T, read func(member, *T) error) error {
	if f.null() {
		return nil
	}
	var v T
	if err := read(f, &v); err != nil {
		return err
	}
	*dst = &v
	return nil
}

func readString(f member, dst *string) error {
	if f.value[0] != '"' {
		return &InvalidError{f.name, "must be a string"}
	}
	if loneSurrogate(f.value) {
		return &InvalidError{f.name, "holds half of a surrogate pair, which is no character"}
	}
	if err := json.Unmarshal(f.value, dst); err != nil {
		return &InvalidError{f.name, "must be a string: " + err.Error()}
	}
	return nil
}

// readInt reads an integer whose range validate knows.
func readInt(f member, dst *int) error {
	var n int64
	if err := readInt64(f, &n); err != nil {
		return err
	}
	if int64(int(n)) != n {
		return &InvalidError{f.name, "is too large, is " + shorten(f.value)}
	}
	*dst = int(n)
	return nil
}

func readInt64(f member, dst *int64) error {
	if !isInteger(f.value) {
		return &InvalidError{f.name, "must be an integer, is " + shorten(f.value)}
	}
	n, err := strconv.ParseInt(string(f.value), 10, 64)
	if err != nil {
		return &InvalidError{f.name, "is too large, is " + shorten(f.value)}
	}
	*dst = n
	return nil
}

func readNumber(f member, dst *float64) error {
	if c := f.value[0]; c != '-' && (c < '0' || c > '9') {
		return &InvalidError{f.name, "must be a number, is " + shorten(f.value)}
	}
	x, err := strconv.ParseFloat(string(f.value), 64)
	if err != nil {
		return &InvalidError{f.name, "is too large, is " + shorten(f.value)}
	}
	if x == 0 {
		x = 0 // -0 is 0
	}
	*dst = x
	return nil
}

func readSeed(f member, dst *Seed) error {
	if err := dst.UnmarshalJSON(f.value); err != nil {
		return &InvalidError{f.name, err.Error()}
	}
	return nil
}

// rfc3339 is the form that time.Parse takes more loosely: a comma for the point, hours of one digit.
var rfc3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

func readTime(f member, dst *time.Time) error {
	var s string
	if err := readString(f, &s); err != nil {
		return err
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || !rfc3339.MatchString(s) {
		return &InvalidError{f.name, "must be a time as in RFC 3339, such as 2026-01-02T15:04:05Z, is " + show(s)}
	}
	*dst = t.UTC()
	return nil
}

func readTraceContext(f member, dst *TraceContext) error {
	fields, err := members(f.name, f.value)
	if err != nil {
		return err
	}
	if err := unique(f.name+".", fields); err != nil {
		return err
	}
	for _, sub := range fields {
		var value *string
		switch full := (member{f.name + "." + sub.name, sub.value}); sub.name {
		case "traceparent":
			err = optional(full, &value, readString)
			dst.Traceparent = Or(value, "")
		case "tracestate":
			err = optional(full, &value, readString)
			dst.Tracestate = Or(value, "")
		default:
			err = unknownField(full.name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// isInteger reports whether a JSON value is a number without fraction and exponent.
func isInteger(value []byte) bool {
	digits := strings.TrimPrefix(string(value), "-")
	return digits != "" && strings.Trim(digits, "0123456789") == ""
}

// loneSurrogate reports whether a JSON string holds a \u escape from D800 to DFFF without its other half, which
// encoding/json would replace by U+FFFD.
func loneSurrogate(literal []byte) bool {
	high := false // a high surrogate stands directly before
	for len(literal) > 0 {
		var code uint64
		size := 1
		if literal[0] == '\\' {
			size = 2
			if literal[1] == 'u' {
				size = 6
				var err error
				if code, err = strconv.ParseUint(string(literal[2:6]), 16, 16); err != nil {
					return true // not reached: the JSON parser has seen the literal
				}
			}
		}
		if low := code >= 0xDC00 && code <= 0xDFFF; low != high {
			return true
		}
		high = code >= 0xD800 && code <= 0xDBFF
		literal = literal[size:]
	}
	return high
}

// fieldName is a field's name for a message: as it is if it is a short word, else as show has it.
func fieldName(name string) string {
	if name != "" && len(name) <= 64 && strings.Trim(name, wordChars+".-") == "" {
		return name
	}
	return show(name)
}

// shorten is a JSON value for a message: as it is written if that is short and plain, else as show has it; of an object or a list only that it is one.
func shorten(value []byte) string {
	switch s := string(value); {
	case s[0] == '{':
		return "an object"
	case s[0] == '[':
		return "a list"
	case len(s) <= maxQuoted && plain(s):
		return s
	default:
		return show(s)
	}
}

// show is quote for what stands in a job. Such messages end up in logs, spans and headers, where no prompt may stand: of text that could be one, put into the wrong
// field, only the length is told.
func show(s string) string {
	if !plain(s) {
		return fmt.Sprintf("text of %d bytes", len(s))
	}
	return quote(s)
}

// plain reports whether s is one word of printable ASCII: a name, a number, a subject; and no sentence, in any script.
func plain(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// maxQuoted is how much of a text that came from outside stands in a message, in bytes.
const maxQuoted = 80

// quote quotes text that came from outside, at most 80 bytes of it, for a message.
func quote(s string) string {
	if len(s) > maxQuoted {
		return fmt.Sprintf("%+q…", s[:maxQuoted])
	}
	return fmt.Sprintf("%+q", s)
}
