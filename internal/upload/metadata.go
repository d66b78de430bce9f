package upload

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	maxMetadata = 2 << 10 // bytes of all keys and values: S3's limit of user-defined metadata
	maxWorker   = 128     // bytes of Worker that are kept
)

// Metadata travels with an object, so that a worker that finds one can write the result of the job that made it. It
// never holds a prompt. The zero value of a field that is not an identity means "not known".
type Metadata struct {
	Spec16       string // which job the object belongs to; another one under the same key is a conflict
	SHA256       string // of the file, in hex
	PixelsSHA256 string // of the decoded RGB, in hex
	Model        string
	ModelDigest  string
	Seed         uint64
	TraceID      string // 32 hex digits
	Width        int
	Height       int

	Attempt         int    // which attempt drew it, from 1
	Worker          string // cut to 128 bytes
	PromptTruncated bool
	RowsMean        float64 // mean UNet rows in the calls that the job's rows rode in
	Timings         Timings
}

// Timings are the parts of a job's time up to the PUT, kept to the microsecond.
type Timings struct {
	Queue, Wait, TextEncode, Denoise, Decode, ImageEncode time.Duration
}

// parts lists the durations under the names they have in a result, without the _ms.
func (t *Timings) parts() []timing {
	return []timing{
		{"queue", &t.Queue}, {"wait", &t.Wait}, {"text_encode", &t.TextEncode},
		{"denoise", &t.Denoise}, {"decode", &t.Decode}, {"image_encode", &t.ImageEncode},
	}
}

type timing struct {
	name string
	d    *time.Duration
}

// texts lists the string fields under their keys. Keys have hyphens: some proxies drop headers with underscores.
func (m *Metadata) texts() []struct {
	key  string
	text *string
} {
	return []struct {
		key  string
		text *string
	}{
		{"spec16", &m.Spec16}, {"sha256", &m.SHA256}, {"pixels-sha256", &m.PixelsSHA256}, {"model", &m.Model},
		{"model-digest", &m.ModelDigest}, {"trace-id", &m.TraceID}, {"worker", &m.Worker},
	}
}

// Encode gives the object's user-defined metadata: ASCII keys and values, under 2 KB unless a field is far longer than
// it is meant to be, which Put refuses. Text is percent-encoded where a header could not carry it.
func (m Metadata) Encode() map[string]string {
	if m == (Metadata{}) {
		return nil
	}
	encoded := map[string]string{
		"seed":   strconv.FormatUint(m.Seed, 10),
		"width":  strconv.Itoa(m.Width),
		"height": strconv.Itoa(m.Height),
	}
	m.Worker = cut(m.Worker, maxWorker)
	for _, t := range m.texts() {
		if *t.text != "" {
			encoded[t.key] = url.PathEscape(*t.text)
		}
	}
	if m.Attempt != 0 {
		encoded["attempt"] = strconv.Itoa(m.Attempt)
	}
	if m.PromptTruncated {
		encoded["prompt-truncated"] = "true"
	}
	if m.RowsMean != 0 {
		encoded["rows-mean"] = strconv.FormatFloat(m.RowsMean, 'g', -1, 64)
	}
	var times []string
	for _, t := range m.Timings.parts() {
		if us := t.d.Microseconds(); us > 0 {
			times = append(times, t.name+"="+strconv.FormatFloat(float64(us)/1000, 'f', -1, 64))
		}
	}
	if len(times) > 0 {
		encoded["timings-ms"] = strings.Join(times, ";")
	}
	return encoded
}

// DecodeMetadata reads what Encode wrote. Keys it does not know are left alone. The error names every value it could
// not read, whose field stays zero; the other fields are good all the same, so that an object of another version is
// still recognised by its spec16.
func DecodeMetadata(encoded map[string]string) (Metadata, error) {
	var m Metadata
	var errs []error
	read := func(key string, parse func(value string) error) {
		value, ok := encoded[key]
		if !ok {
			return
		}
		if err := parse(value); err != nil {
			errs = append(errs, fmt.Errorf("reading the object's metadata %s=%q: %w", key, value, err))
		}
	}
	for _, t := range m.texts() {
		read(t.key, func(value string) (err error) {
			*t.text, err = url.PathUnescape(value)
			return err
		})
	}
	read("seed", func(value string) (err error) {
		m.Seed, err = strconv.ParseUint(value, 10, 64)
		return zeroOnError(&m.Seed, err)
	})
	for key, field := range map[string]*int{"width": &m.Width, "height": &m.Height, "attempt": &m.Attempt} {
		read(key, func(value string) error {
			n, err := strconv.ParseUint(value, 10, 31)
			*field = int(n)
			return zeroOnError(field, err)
		})
	}
	read("prompt-truncated", func(value string) (err error) {
		m.PromptTruncated, err = strconv.ParseBool(value)
		return err
	})
	read("rows-mean", func(value string) (err error) {
		m.RowsMean, err = parseNonNegative(value)
		return err
	})
	read("timings-ms", m.Timings.decode)
	return m, errors.Join(errs...)
}

// decode reads name=milliseconds pairs; names it does not know are left alone.
func (t *Timings) decode(value string) error {
	for pair := range strings.SplitSeq(value, ";") {
		name, text, _ := strings.Cut(pair, "=") // no "=": an empty number, which is the error
		ms, err := parseNonNegative(text)
		if err != nil {
			*t = Timings{}
			return err
		}
		for _, part := range t.parts() {
			if part.name == name {
				*part.d = time.Duration(math.Round(ms*1000)) * time.Microsecond
			}
		}
	}
	return nil
}

// parseNonNegative reads a finite number that is not negative and, taken as milliseconds, no longer than a year.
func parseNonNegative(text string) (float64, error) {
	x, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil:
		return 0, err
	case !(x >= 0 && x <= 366*24*3600*1000): // NaN too
		return 0, errors.New("out of range")
	}
	return x, nil
}

// zeroOnError clears a field that strconv has set to the end of its range.
func zeroOnError[T any](field *T, err error) error {
	if err != nil {
		var zero T
		*field = zero
	}
	return err
}

// checkSize refuses metadata that S3 would.
func checkSize(encoded map[string]string) error {
	size := 0
	for key, value := range encoded {
		size += len(key) + len(value)
	}
	if size > maxMetadata {
		return fmt.Errorf("the object's metadata has %d bytes, S3 takes %d", size, maxMetadata)
	}
	return nil
}
