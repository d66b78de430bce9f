package main

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// progress shows how far a run is: a bar that is drawn over itself on a terminal, a line for each picture elsewhere.
// One goroutine uses it.
type progress struct {
	out   io.Writer
	width int // of the terminal, in characters; 0 is no terminal
	total int

	done  int
	began time.Time
}

// note says what goes on before there is anything to count.
func (p *progress) note(text string) {
	if p.width == 0 {
		fmt.Fprintln(p.out, text)
		return
	}
	p.draw(text)
}

// start begins to count.
func (p *progress) start(total int) {
	p.total, p.done, p.began = total, 0, time.Now()
	if p.width > 0 {
		p.bar("")
	}
}

// step counts a picture; detail is shown with it on a line of its own, but not on a terminal.
func (p *progress) step(prompt, detail string) {
	p.done++
	prompt = oneLine(prompt)
	if p.width > 0 {
		p.bar(prompt)
		return
	}
	fmt.Fprintf(p.out, "%*d/%d  %s  (%s)\n", len(fmt.Sprint(p.total)), p.done, p.total, prompt, detail)
}

// end leaves the terminal with an empty line.
func (p *progress) end() {
	if p.width > 0 {
		p.draw("")
	}
}

// barWidth is the bar's, in characters.
const barWidth = 28

func (p *progress) bar(text string) {
	full := barWidth * p.done / max(1, p.total)
	line := fmt.Sprintf("%s%s %d/%d", strings.Repeat("█", full), strings.Repeat("░", barWidth-full), p.done, p.total)
	if p.done > 0 {
		line += fmt.Sprintf("  %.1f images/s  %s", float64(p.done)/time.Since(p.began).Seconds(), text)
	} else {
		line += "  " + text
	}
	p.draw(line)
}

// draw writes a line over the last one.
func (p *progress) draw(line string) {
	if most := p.width - 1; utf8.RuneCountInString(line) > most {
		line = string([]rune(line)[:max(0, most-1)]) + "…"
	}
	fmt.Fprintf(p.out, "\r%s\x1b[K", line)
}

// oneLine replaces what is no letter of a line: line breaks, and what a terminal would obey.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}
