package batch

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stipple-ai/stipple/internal/queue"
)

// field is a job's field that rows and flags may set. To let a new one be given in text, CSV, flags and axes is
// one line in fields.
type field struct {
	name string // in a job's JSON, and so in headers of CSV files
	list listKind
	set  func(j *queue.Job, text string) error // reads the field from text; its range is the queue's to check
	has  func(j *queue.Job) bool
	copy func(dst, src *queue.Job)
}

// listKind says how several values of a field stand in one text.
type listKind int

const (
	noList   listKind = iota // free text, in which a comma is a comma
	words                    // separated by commas
	integers                 // separated by commas, ranges such as 1..8 among them
)

// fields lists what a row may set. What the queue knows of a job beside (version, batch, index, retry, trace
// context) is set when the job is made.
func fields() []field {
	return []field{
		plain("id", noList, func(j *queue.Job) *string { return &j.ID }),
		plain("model", words, func(j *queue.Job) *string { return &j.Model }),
		pointer("prompt", noList, parseText, func(j *queue.Job) **string { return &j.Prompt }),
		pointer("negative_prompt", noList, parseText, func(j *queue.Job) **string { return &j.NegativePrompt }),
		pointer("num_inference_steps", integers, parseInt, func(j *queue.Job) **int { return &j.NumInferenceSteps }),
		pointer("guidance_scale", words, parseNumber, func(j *queue.Job) **float64 { return &j.GuidanceScale }),
		pointer("seed", integers, parseSeed, func(j *queue.Job) **queue.Seed { return &j.Seed }),
		pointer("width", integers, parseInt, func(j *queue.Job) **int { return &j.Width }),
		pointer("height", integers, parseInt, func(j *queue.Job) **int { return &j.Height }),
		pointer("scheduler", words, parseText, func(j *queue.Job) **string { return &j.Scheduler }),
		pointer("format", words, parseText, func(j *queue.Job) **string { return &j.Format }),
		pointer("quality", integers, parseInt, func(j *queue.Job) **int { return &j.Quality }),
		pointer("deadline", noList, parseTime, func(j *queue.Job) **time.Time { return &j.Deadline }),
	}
}

// fieldNames are the names of fields, for messages.
func fieldNames(all []field) string {
	names := make([]string, len(all))
	for i, f := range all {
		names[i] = f.name
	}
	return strings.Join(names, ", ")
}

// findField returns the field of that name.
func findField(name string) (field, error) {
	all := fields()
	if i := slices.IndexFunc(all, func(f field) bool { return f.name == name }); i >= 0 {
		return all[i], nil
	}
	return field{}, fmt.Errorf("%q is not a field that a row may set; these are: %s", name, fieldNames(all))
}

// plain is a field that "" leaves out.
func plain(name string, list listKind, at func(*queue.Job) *string) field {
	return field{
		name: name, list: list,
		set:  func(j *queue.Job, text string) error { *at(j) = text; return nil },
		has:  func(j *queue.Job) bool { return *at(j) != "" },
		copy: func(dst, src *queue.Job) { *at(dst) = *at(src) },
	}
}

// pointer is a field that nil leaves out.
func pointer[T any](name string, list listKind, parse func(string) (T, error), at func(*queue.Job) **T) field {
	return field{
		name: name, list: list,
		set: func(j *queue.Job, text string) error {
			v, err := parse(text)
			if err != nil {
				return &queue.InvalidError{Field: name, Reason: err.Error()}
			}
			*at(j) = &v
			return nil
		},
		has:  func(j *queue.Job) bool { return *at(j) != nil },
		copy: func(dst, src *queue.Job) { *at(dst) = *at(src) },
	}
}

func parseText(s string) (string, error) { return s, nil }

func parseInt(s string) (int, error) {
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil {
		return 0, fmt.Errorf("must be an integer, is %s", shorten(s))
	}
	return n, nil
}

func parseNumber(s string) (float64, error) {
	x, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || math.IsInf(x, 0) || math.IsNaN(x) {
		return 0, fmt.Errorf("must be a number, is %s", shorten(s))
	}
	if x == 0 {
		return 0, nil // -0 is 0, as in a job's JSON
	}
	return x, nil
}

func parseSeed(s string) (queue.Seed, error) {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("must be an integer from 0 to 2^64-1, is %s", shorten(s))
	}
	return queue.Seed(n), nil
}

func parseTime(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(s))
	if err != nil {
		return time.Time{}, fmt.Errorf("must be a time as in RFC 3339, such as 2026-01-02T15:04:05Z, is %s", shorten(s))
	}
	return t.UTC(), nil
}

// shorten quotes text of the input for a message, at most 60 bytes of it.
func shorten(s string) string {
	const most = 60
	if len(s) > most {
		return fmt.Sprintf("%+q…", s[:most])
	}
	return strconv.QuoteToASCII(s)
}

// check returns the *queue.InvalidError for a field of j that no job may have. Identity and model may still be
// missing: the batch is not named yet, and the model may be the only one there is.
func check(j queue.Job) error {
	j.BatchID, j.Index, j.Retry = "b", 0, 0 // any valid identity
	if j.Model == "" {
		j.Model = "m" // any valid model
	}
	_, err := j.Encode()
	return err
}
