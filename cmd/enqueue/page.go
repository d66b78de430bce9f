package main

import (
	"bytes"
	"io"
)

// What a terminal does (ECMA-48).
const (
	cursorHome = "\x1b[H"
	clearLine  = "\x1b[K" // from the cursor to its end
	clearBelow = "\x1b[J" // from the cursor to the end of the screen
)

// pageWriter writes a page over the one before, line by line, so that nothing flickers.
type pageWriter struct{ b bytes.Buffer }

func (p *pageWriter) Write(text []byte) (int, error) {
	p.b.Write(bytes.ReplaceAll(text, []byte("\n"), []byte(clearLine+"\n")))
	return len(text), nil
}

var _ io.Writer = (*pageWriter)(nil)

// redraw writes a page to the terminal that standard output is.
func (a *app) redraw(write func(page *pageWriter)) {
	page := &pageWriter{}
	page.b.WriteString(cursorHome)
	write(page)
	page.b.WriteString(clearBelow)
	// Standard output remembers what went wrong.
	_, _ = a.stdout.Write(page.b.Bytes())
}
