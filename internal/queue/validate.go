package queue

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// validate returns an *InvalidError for the first field, in the order of the struct, that breaks its rule. What
// depends on the model (multiples of the VAE's scale factor, known schedulers, the worker's limits) is the
// worker's to check.
func (j Job) validate() error {
	if err := j.Identity().validate(); err != nil {
		return err
	}
	for _, check := range []error{
		label("id", j.ID),
		model(j.Model),
		text("prompt", j.Prompt),
		text("negative_prompt", j.NegativePrompt),
		within("num_inference_steps", j.NumInferenceSteps, 1, MaxSteps),
		within("guidance_scale", j.GuidanceScale, 0, MaxScale),
		within("width", j.Width, MinSize, MaxSize),
		within("height", j.Height, MinSize, MaxSize),
		scheduler(j.Scheduler),
		format(j.Format),
		within("quality", j.Quality, 1, 100),
		deadline(j),
		traceContext(j.TraceContext),
	} {
		if check != nil {
			return check
		}
	}
	return nil
}

// within checks lo <= *v <= hi; NaN is not within anything.
func within[T int | float64](field string, v *T, lo, hi T) error {
	if v == nil || *v >= lo && *v <= hi {
		return nil
	}
	return &InvalidError{field, fmt.Sprintf("must be from %v to %v, is %v", lo, hi, *v)}
}

func model(name string) error {
	if why := modelProblem(name, show); why != "" {
		return &InvalidError{"model", why}
	}
	return nil
}

// modelProblem says what is wrong with a model's name, "" if nothing is.
func modelProblem(name string, quote func(string) string) string {
	switch {
	case name == "":
		return "is missing"
	case !validModel(name):
		return fmt.Sprintf("must be a letter or digit and up to 63 of A-Z a-z 0-9 . _ -, is %s", quote(name))
	}
	return ""
}

func text(field string, s *string) error {
	switch {
	case s == nil:
		return nil
	case len(*s) > MaxPrompt:
		return &InvalidError{field, fmt.Sprintf("must be at most %d bytes, is %d", MaxPrompt, len(*s))}
	case !utf8.ValidString(*s):
		return &InvalidError{field, "is not valid UTF-8"}
	}
	return nil
}

// label checks text that stands in logs, spans and headers: one line of printable ASCII or other UTF-8.
func label(field, s string) error {
	switch {
	case len(s) > maxLabel:
		return &InvalidError{field, fmt.Sprintf("must be at most %d bytes, is %d", maxLabel, len(s))}
	case !utf8.ValidString(s), strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return &InvalidError{field, "must be UTF-8 without control characters"}
	}
	return nil
}

// scheduler checks only the form: which names exist is known to package schedule, and that the model's type
// takes it to the worker.
func scheduler(name *string) error {
	if name == nil || len(*name) >= 1 && len(*name) <= 64 && strings.Trim(*name, wordChars) == "" {
		return nil
	}
	return &InvalidError{"scheduler", fmt.Sprintf("must be 1 to 64 of A-Z a-z 0-9 _, is %s", show(*name))}
}

// Formats returns the image formats that this version writes.
func Formats() []string { return []string{"png", "jpeg", "webp"} }

func format(name *string) error {
	if name == nil || slices.Contains(Formats(), *name) {
		return nil
	}
	return &InvalidError{"format", fmt.Sprintf("must be one of %s, is %s", strings.Join(Formats(), ", "), show(*name))}
}

// deadline checks that the time can be written as RFC 3339 in UTC.
func deadline(j Job) error {
	if j.Deadline == nil {
		return nil
	}
	if y := j.Deadline.UTC().Year(); y < 1 || y > 9999 {
		return &InvalidError{"deadline", fmt.Sprintf("must be in the years 1 to 9999 UTC, is in %d", y)}
	}
	return nil
}

// traceContext checks size and characters alone: a context that makes no sense is ignored by its reader and
// costs no job.
func traceContext(c *TraceContext) error {
	if c == nil {
		return nil
	}
	for _, f := range []struct{ name, value string }{
		{"trace_context.traceparent", c.Traceparent},
		{"trace_context.tracestate", c.Tracestate},
	} {
		if len(f.value) > maxContext {
			return &InvalidError{f.name, fmt.Sprintf("must be at most %d bytes, is %d", maxContext, len(f.value))}
		}
		if strings.ContainsFunc(f.value, func(r rune) bool { return r < ' ' || r > '~' }) {
			return &InvalidError{f.name, "must be printable ASCII"}
		}
	}
	return nil
}
