package main

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/stipple-ai/stipple/internal/batch"
	"github.com/stipple-ai/stipple/internal/ops"
	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/terminal"
)

// printer tells on standard output what happens to a batch: for people, or as JSON lines.
type printer interface {
	begin(h heading)
	jobs(jobs []batch.Published)
	submitted(r batch.Receipt)
	result(r queue.Result, file string) // file is "" where nothing was downloaded
	end(s ending)
}

// heading is what is told before anything is sent.
type heading struct {
	Batch    string
	Total    int64
	Priority string
	Resume   string // the command that goes on with the batch
	TraceID  string // of the command
}

// ending is what became of a batch.
type ending struct {
	Batch string
	outcome
	Elapsed time.Duration // of the wait
	Dir     string        // where the pictures are; "" if they were not downloaded
}

func (a *app) printer(asJSON bool, keys keyer) printer {
	if asJSON {
		return &jsonPrinter{out: bufio.NewWriter(a.stdout), keys: keys}
	}
	return &textPrinter{out: a.stdout, width: a.width, style: a.style}
}

// textPrinter prints for people: on a terminal a table of the first jobs, elsewhere all of them with tabs in
// between.
type textPrinter struct {
	out   io.Writer
	width int // of the terminal; 0 where it is none
	style terminal.Style
	each  bool // tells of every picture, too
	total int64
	shown int64
}

// maxShown bounds the table on a terminal.
const maxShown = 48

// traceWidth is the width of a trace id.
const traceWidth = 32

func (p *textPrinter) begin(h heading) {
	p.total = h.Total
	fmt.Fprintf(p.out, "batch   %s  (%s, %s priority)\nresume  %s\n", h.Batch, ops.Plural(h.Total, "job"), h.Priority, h.Resume)
	if h.TraceID != "" {
		fmt.Fprintf(p.out, "trace   %s\n", h.TraceID)
	}
}

func (p *textPrinter) jobs(jobs []batch.Published) {
	w := bufio.NewWriter(p.out)
	defer func() {
		_ = w.Flush() // standard output remembers what went wrong
	}()
	for _, j := range jobs {
		id, trace, seed := j.Job.Identity().String(), j.TraceID, strconv.FormatUint(j.Job.SeedOrDefault(), 10)
		if p.width == 0 {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", id, trace, seed, printable(queue.Or(j.Job.Prompt, "")))
			continue
		}
		if p.shown >= maxShown {
			return
		}
		idWidth := len(j.Job.BatchID) + 1 + len(strconv.FormatInt(p.total-1, 10))
		const seedWidth = 20 // of the largest
		if p.shown == 0 {
			fmt.Fprintf(w, "\n%-*s  %-*s  %*s  %s\n", idWidth, "JOB", traceWidth, "TRACE", seedWidth, "SEED", "PROMPT")
		}
		p.shown++
		left := max(p.width-idWidth-traceWidth-seedWidth-7, 10)
		fmt.Fprintf(w, "%-*s  %-*s  %*s  %s\n", idWidth, id, traceWidth, trace, seedWidth, seed, shorten(printable(queue.Or(j.Job.Prompt, "")), left))
		if p.shown == maxShown && p.total > maxShown {
			fmt.Fprintf(w, "… and %s more (--json lists all)\n", ops.Plural(p.total-maxShown, "job"))
		}
	}
}

func (p *textPrinter) submitted(r batch.Receipt) {
	switch {
	case r.Before == r.Total:
		fmt.Fprintf(p.out, "\nnothing to do: %s of this batch were in the queue already\n", all(r.Total, "job"))
	case r.Before > 0:
		fmt.Fprintf(p.out, "\nenqueued %s; %s were in the queue already\n", ops.Plural(r.Total-r.Before, "job"), ops.Plural(r.Before, "job"))
	default:
		fmt.Fprintf(p.out, "\nenqueued %s\n", ops.Plural(r.Total, "job"))
	}
}

func (p *textPrinter) result(r queue.Result, _ string) {
	if r.Status != queue.Succeeded || p.each {
		fmt.Fprintln(p.out, painted(p.style, r.Status, landed(r))) // the progress counts the others
	}
}

// painted is text in the colour of a result's status; what is well needs none.
func painted(style terminal.Style, status, text string) string {
	switch status {
	case queue.Failed, queue.Expired:
		return style.Red(text)
	case queue.Cancelled:
		return style.Yellow(text)
	}
	return text
}

// landed is a line for a result: where its picture lies, or why there is none.
func landed(r queue.Result) string {
	line := fmt.Sprintf("%s %s", r.Identity(), r.Status)
	switch {
	case r.Image != nil:
		line += fmt.Sprintf(" s3://%s/%s", r.Image.Bucket, r.Image.Key)
	case r.Error != nil:
		line += fmt.Sprintf(": %s: %s", r.Error.Type, r.Error.Message)
	}
	return printable(line)
}

func (p *textPrinter) end(e ending) {
	fmt.Fprintf(p.out, "%s: %s of %d in %s", e.Batch, p.ended(e.outcome), e.Total, e.Elapsed.Round(100*time.Millisecond))
	if e.Source == fromResults && e.Elapsed > time.Second && e.Summary.Succeeded > 0 {
		fmt.Fprintf(p.out, " (%.1f a second)", float64(e.Summary.Succeeded)/e.Elapsed.Seconds())
	}
	if e.Dir != "" {
		fmt.Fprintf(p.out, "; pictures in %s", e.Dir)
	}
	fmt.Fprintln(p.out)
}

// ended is how it ended, in the colour of the worst of it.
func (p *textPrinter) ended(o outcome) string {
	switch {
	case o.Summary.Failed+o.Summary.Expired > 0:
		return p.style.Red(o.String())
	case o.Summary.Cancelled > 0:
		return p.style.Yellow(o.String())
	}
	return p.style.Green(o.String())
}

func all(n int64, noun string) string {
	if n == 1 {
		return "the " + noun
	}
	return "all " + ops.Plural(n, noun)
}

// printable is text from outside with what could steer a terminal replaced.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
}

// shorten cuts text to a number of characters.
func shorten(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}
