package manual

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/stipple-ai/stipple/internal/terminal"
)

// Widths of the text, in characters. Prose is hard to read beyond the largest, and flags do not fit below the least.
const (
	defaultWidth = 100
	leastWidth   = 60
	mostWidth    = 110
)

// anyEnvironment is what holds for every command that has a variable behind each flag.
const (
	anyEnvironment = "Every flag has an environment variable, named in brackets; the flag wins."
	colour         = "With NO_COLOR set, nothing is coloured; nothing is either where the output is no terminal."
)

// Write writes the page as -h shows it. Width is that of the terminal, 0 if it is none.
func (p Page) Write(w io.Writer, width int, style terminal.Style) {
	if width == 0 {
		width = defaultWidth
	}
	h := helpWriter{w, min(max(width, leastWidth), mostWidth), style}
	h.section("NAME", func() { h.prose(p.Name+" - "+lowerFirst(p.Short), 1) })
	h.section("SYNOPSIS", func() { h.literal(strings.Join(p.Synopsis, "\n"), 1) })
	h.blocks("DESCRIPTION", p.Text)
	if len(p.Commands) > 0 {
		h.section("COMMANDS", func() {
			for _, c := range p.Commands {
				h.entry(c.Name, lowerFirst(c.Short), 12)
			}
		})
	}
	for _, g := range p.Groups {
		h.section(strings.ToUpper(strings.TrimSpace(g.Title+" flags")), func() {
			for _, f := range g.Flags {
				h.flag(f)
			}
		})
	}
	h.blocks("JSON OUTPUT", p.JSON)
	h.blocks("ENVIRONMENT", p.environment())
	if len(p.Exits) > 0 {
		h.section("EXIT CODES", func() {
			for _, e := range p.Exits {
				h.entry(fmt.Sprint(e.Code), e.Meaning, 3)
			}
		})
	}
	h.blocks("EXAMPLES", p.Examples)
	if len(p.Related) > 0 {
		h.section("SEE ALSO", func() { h.prose(strings.Join(p.Related, ", "), 1) })
	}
}

// environment is what the page says of the environment, with what all pages say.
func (p Page) environment() []Block {
	all := p.Environment
	if len(all) == 0 && p.hasVariables() {
		all = []Block{{Text: anyEnvironment}}
	}
	return append(slices.Clip(all), Block{Text: colour})
}

func (p Page) hasVariables() bool {
	for _, g := range p.Groups {
		for _, f := range g.Flags {
			if f.Variable != "" {
				return true
			}
		}
	}
	return false
}

// helpWriter writes a page to a terminal.
type helpWriter struct {
	w     io.Writer
	width int
	style terminal.Style
}

// indent is a level of it, in characters.
const indent = 4

func (h helpWriter) section(title string, body func()) {
	if title != "NAME" {
		fmt.Fprintln(h.w)
	}
	fmt.Fprintln(h.w, h.style.Bold(title))
	body()
}

// blocks writes a section, unless it is empty.
func (h helpWriter) blocks(title string, all []Block) {
	if len(all) == 0 {
		return
	}
	h.section(title, func() {
		for i, b := range all {
			if i > 0 {
				fmt.Fprintln(h.w)
			}
			if b.Literal {
				h.literal(b.Text, 1)
			} else {
				h.prose(b.Text, 1)
			}
		}
	})
}

// literal writes lines as they stand.
func (h helpWriter) literal(text string, level int) {
	for line := range strings.SplitSeq(text, "\n") {
		fmt.Fprintln(h.w, strings.TrimRight(strings.Repeat(" ", level*indent)+line, " "))
	}
}

// prose writes text, broken into lines anew.
func (h helpWriter) prose(text string, level int) {
	h.literal(strings.Join(wrap(text, h.width-level*indent), "\n"), level)
}

// entry writes a term and its text beside it, which begins in the column after so many characters.
func (h helpWriter) entry(term, text string, column int) {
	lines := wrap(text, h.width-indent-column-2)
	for i, line := range lines {
		if i > 0 {
			term = ""
		}
		h.literal(fmt.Sprintf("%-*s  %s", column, term, line), 1)
	}
}

// flag writes a flag and its variable on a line, and what it does below.
func (h helpWriter) flag(f Flag) {
	line := h.style.Bold(f.heading())
	if f.Variable != "" {
		line += "  [$" + f.Variable + "]"
	}
	h.literal(line, 1)
	h.prose(f.meaning(), 2)
}

// wrap breaks text into lines of at most so many characters, where its words allow that.
func wrap(text string, width int) []string {
	var lines []string
	line, length := "", 0
	for word := range strings.FieldsSeq(text) {
		n := utf8.RuneCountInString(word)
		if length > 0 && length+1+n > width {
			lines, line, length = append(lines, line), "", 0
		}
		if length > 0 {
			line, length = line+" ", length+1
		}
		line, length = line+word, length+n
	}
	return append(lines, line)
}

// lowerFirst begins a line that follows a dash.
func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}
