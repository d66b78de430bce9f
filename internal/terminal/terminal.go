// Package terminal says what a stream can show: how wide it is and whether it takes colour.
package terminal

import (
	"io"
	"os"

	"golang.org/x/term"
)

// defaultWidth is that of a terminal that does not say.
const defaultWidth = 80

// Width is the width in characters of the terminal that w is, 0 if it is none.
func Width(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
		return width
	}
	return defaultWidth
}

// Style paints text (ECMA-48, SGR). The zero value paints nothing.
type Style struct{ on bool }

// StyleOf paints where w is a terminal, unless NO_COLOR is set (https://no-color.org) or TERM is dumb.
func StyleOf(w io.Writer, getenv func(string) string) Style {
	return NewStyle(Width(w) > 0, getenv)
}

// NewStyle is StyleOf for a stream of which it is known whether it is a terminal.
func NewStyle(terminal bool, getenv func(string) string) Style {
	return Style{on: terminal && getenv("NO_COLOR") == "" && getenv("TERM") != "dumb"}
}

// Bold is for headings.
func (s Style) Bold(text string) string { return s.paint("1", text) }

// Red is for what has failed.
func (s Style) Red(text string) string { return s.paint("31", text) }

// Green is for what has succeeded.
func (s Style) Green(text string) string { return s.paint("32", text) }

// Yellow is for what somebody should look at.
func (s Style) Yellow(text string) string { return s.paint("33", text) }

func (s Style) paint(code, text string) string {
	if !s.on || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}
