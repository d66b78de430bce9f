package main

import (
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/stipple-ai/stipple/internal/batch"
	"github.com/stipple-ai/stipple/internal/queue"
)

// progress shows on standard error how far a batch is: a bar on a terminal, a line every few seconds elsewhere.
// One goroutine uses it.
type progress struct {
	console *console
	bar     *progressbar.ProgressBar // nil before the total is known, and where there is no terminal
	rate    rate
	lined   time.Time // when the last line was written
	text    string    // what it said
}

// Between two lines: at least, and at most while nothing changes.
const (
	lineEvery = 5 * time.Second
	lineQuiet = time.Minute
)

func newProgress(c *console) *progress { return &progress{console: c, lined: time.Now()} }

// update shows a change, or a sign of life.
func (p *progress) update(u batch.Update) {
	if u.Total == 0 {
		return
	}
	now, done := time.Now(), u.Summary.Total()
	if u.CaughtUp {
		p.rate.note(now, done)
	}
	text := p.describe(u, done)
	if p.console.width > 0 {
		p.draw(u.Total, min(done, u.Total), text)
		return
	}
	line := fmt.Sprintf("%d of %d  %s", done, u.Total, text)
	since := now.Sub(p.lined)
	if u.Done || since < lineEvery || line == p.text && since < lineQuiet {
		return
	}
	p.lined, p.text = now, line
	fmt.Fprintln(p.console, line)
}

// describe is what stands beside the count: rate, time left, and what did not succeed.
func (p *progress) describe(u batch.Update, done int64) string {
	text := ""
	add := func(format string, a ...any) {
		if text != "" {
			text += ", "
		}
		text += fmt.Sprintf(format, a...)
	}
	if u.State == queue.BatchEnqueuing {
		add("still being enqueued")
	}
	if r := p.rate.perSecond(); r > 0 {
		add("%.1f/s", r)
		const longest = 100 * 24 * time.Hour
		if left := float64(u.Total-done) / r; done < u.Total && left < longest.Seconds() {
			add("%v left", roughly(time.Duration(left*float64(time.Second))))
		}
	}
	for _, part := range []struct {
		n    int64
		name string
	}{{u.Summary.Failed, "failed"}, {u.Summary.Expired, "expired"}, {u.Summary.Cancelled, "cancelled"}} {
		if part.n > 0 {
			add("%d %s", part.n, part.name)
		}
	}
	if text == "" {
		return "waiting"
	}
	return text
}

// draw draws the bar.
func (p *progress) draw(total, done int64, text string) {
	p.console.draw(func(w io.Writer) {
		if p.bar == nil {
			p.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(w), progressbar.OptionUseANSICodes(true),
				progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(false), progressbar.OptionSetElapsedTime(false),
				progressbar.OptionThrottle(65*time.Millisecond), progressbar.OptionSetWidth(30), progressbar.OptionShowDescriptionAtLineEnd(),
				progressbar.OptionSetTheme(progressbar.Theme{Saucer: "█", SaucerPadding: "░", BarStart: "", BarEnd: ""}))
			p.console.clear = p.clear
		}
		p.bar.Describe(text)
		_ = p.bar.Set64(done) // a terminal that is gone has nobody to be told
	})
}

// clear takes the bar off its line until the next update.
func (p *progress) clear() {
	_ = p.bar.Clear() // as above
}

// end takes the bar away.
func (p *progress) end() {
	p.console.draw(func(io.Writer) {
		if p.bar != nil {
			p.clear()
		}
		p.console.clear, p.bar = nil, nil
	})
}

// roughly rounds a time left to what is known of it, and up to a second.
func roughly(d time.Duration) time.Duration {
	switch {
	case d > time.Hour:
		return d.Round(time.Minute)
	case d > time.Minute:
		return d.Round(5 * time.Second)
	}
	return max(d.Round(time.Second), time.Second)
}

// rateWindow is how far back the rate looks.
const rateWindow = 30 * time.Second

// rate is how fast a count grows, over the last rateWindow. The zero value is ready.
type rate struct {
	samples []sample // at most one a second, the oldest first
	now     sample
}

type sample struct {
	at time.Time
	n  int64
}

// note says what the count is now.
func (r *rate) note(at time.Time, n int64) {
	r.now = sample{at, n}
	if len(r.samples) == 0 || at.Sub(r.samples[len(r.samples)-1].at) >= time.Second {
		r.samples = append(r.samples, r.now)
	}
	for len(r.samples) > 2 && at.Sub(r.samples[1].at) >= rateWindow {
		r.samples = r.samples[1:]
	}
}

// perSecond is 0 as long as there is not enough to tell.
func (r *rate) perSecond() float64 {
	if len(r.samples) == 0 {
		return 0
	}
	first := r.samples[0]
	if d := r.now.at.Sub(first.at).Seconds(); d >= 0.5 {
		return float64(r.now.n-first.n) / d
	}
	return 0
}
