package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/stipple-ai/stipple/internal/ledger"
	"github.com/stipple-ai/stipple/internal/ops"
	"github.com/stipple-ai/stipple/internal/queue"
)

// explanationText is an explanation for people.
type explanationText struct{ *ops.Explanation }

// write writes it, on a terminal so many characters wide; 0 is none.
func (e explanationText) write(w io.Writer, width int, now time.Time) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-11s %s\n", name, escaped(fmt.Sprintf(format, args...)))
	}
	name := e.ID
	if name == "" {
		name = "a picture of a job that is not known"
	}
	line("job", "%s  %s", name, e.Status)
	if e.Error != nil {
		line("error", "%s: %s", e.Error.Type, e.Error.Message)
	}
	if e.Why != "" {
		line("why", "%s", e.Why)
	}
	if q := e.Queue; q != nil {
		line("published", "%s (%s UTC), with %s priority", ago(q.Published, now), q.Published.Format(time.DateTime), q.Priority)
	}
	if e.File != "" {
		line("file", "%s", e.File)
	}
	if i := e.Image; i != nil {
		line("image", "s3://%s/%s  %d×%d, %d bytes", i.Bucket, i.Key, i.Width, i.Height, i.Size)
		if i.PixelsSHA256 != "" {
			line("pixels", "sha256 %s", i.PixelsSHA256)
		}
	}
	e.writeJob(line)
	if e.TraceID != "" {
		line("trace", "%s", e.TraceID)
	}
	switch {
	case e.Worker != "" && e.Attempt > 0:
		line("worker", "%s, attempt %d", e.Worker, e.Attempt)
	case e.Worker != "":
		line("worker", "%s", e.Worker)
	}
	e.writeLedger(w, width)
	if len(e.Notes) > 0 {
		fmt.Fprintln(w)
	}
	for _, n := range e.Notes {
		fmt.Fprintf(w, "note: %s\n", escaped(n))
	}
}

// writeJob writes what the picture was drawn from.
func (e explanationText) writeJob(line func(name, format string, args ...any)) {
	if e.Decoded != nil {
		line("prompt", "%s", queue.Or(e.Decoded.Prompt, ""))
		if negative := queue.Or(e.Decoded.NegativePrompt, ""); negative != "" {
			line("negative", "%s", negative)
		}
		if e.PromptTruncated {
			line("", "(cut: it is longer than the model reads)")
		}
	}
	if parameters := e.parameters(); parameters != "" {
		line("parameters", "%s", parameters)
	}
	if e.Seed != nil {
		line("seed", "%d", uint64(*e.Seed))
	}
	if e.Model != "" {
		line("model", "%s", e.Model)
	}
	if e.ModelDigest != "" {
		line("digest", "%s", e.ModelDigest)
	}
}

// parameters are the job's fields, and behind them in brackets what the model's defaults were for those it leaves out.
func (e explanationText) parameters() string {
	var job queue.Job
	if e.Decoded != nil {
		job = *e.Decoded
	}
	var set []string
	add := func(field string, value, model string) {
		if value != "" {
			set = append(set, field+" "+value)
		} else if model != "" {
			set = append(set, field+" "+model+" (the model's)")
		}
	}
	sampler := e.Settings["Sampler"]
	if schedule := e.Settings["Schedule type"]; schedule != "" {
		sampler += " " + schedule
	}
	width, height, _ := strings.Cut(e.Settings["Size"], "x")
	add("num_inference_steps", text(job.NumInferenceSteps, strconv.Itoa), e.Settings["Steps"])
	add("guidance_scale", text(job.GuidanceScale, func(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }), e.Settings["CFG scale"])
	add("width", text(job.Width, strconv.Itoa), width)
	add("height", text(job.Height, strconv.Itoa), height)
	add("scheduler", queue.Or(job.Scheduler, ""), sampler)
	add("format", queue.Or(job.Format, ""), "")
	add("quality", text(job.Quality, strconv.Itoa), "")
	return strings.Join(set, ", ")
}

// text is an optional field as text.
func text[T any](p *T, format func(T) string) string {
	if p == nil {
		return ""
	}
	return format(*p)
}

// writeLedger writes where the time went.
func (e explanationText) writeLedger(w io.Writer, width int) {
	if e.Ledger == nil {
		return
	}
	fmt.Fprintln(w)
	e.Accounted.Write(w, width)
	if e.Ledger.RowsMean > 0 {
		fmt.Fprintf(w, "rows_mean %.3g: of each call of the denoising about %s was its own\n", float64(e.Ledger.RowsMean), ledger.Percent(e.ownOfCalls()))
	}
	if e.Ledger.Source == ops.FromObject {
		fmt.Fprintln(w, "by the object, which does not know of the upload; the total is what it does know of")
	}
	if b := e.Batch; b != nil {
		fmt.Fprintf(w, "its own %s are %s of the %s that %s of its batch took, from the first that a worker got to the last result\n",
			ledger.Milliseconds(e.Accounted.Own), ledger.Percent(b.Time.Share(e.Accounted)), ledger.Milliseconds(time.Duration(b.Wall)), all(b.Jobs, "result"))
	}
}

// ownOfCalls is the picture's share of the denoising.
func (e explanationText) ownOfCalls() float64 {
	for _, p := range e.Accounted.Parts {
		if p.Name == ledger.Denoise && p.Time > 0 {
			return float64(p.Own) / float64(p.Time)
		}
	}
	return 1
}

// escaped is text from outside with what could steer a terminal, or break a line, as Go writes it in a string.
func escaped(s string) string {
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRune(r)
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	return b.String()
}
