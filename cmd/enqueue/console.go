package main

import (
	"io"
	"sync"

	"github.com/stipple-ai/stipple/internal/terminal"
)

// console is standard error: the log and the progress share it, so that a line of one does not end up in the
// bar of the other.
type console struct {
	width int // of the terminal, in characters; 0 where it is none

	mu    sync.Mutex
	w     io.Writer
	clear func() // takes the bar off the line; nil while there is none
}

func newConsole(w io.Writer) *console { return &console{w: w, width: terminal.Width(w)} }

// Write writes p on a line of its own; the bar comes back with its next step.
func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.clear != nil {
		c.clear()
	}
	return c.w.Write(p)
}

// beside returns a writer to w that writes around the bar, for the case that w is the same terminal.
func (c *console) beside(w io.Writer) io.Writer { return besideBar{c, w} }

type besideBar struct {
	console *console
	w       io.Writer
}

func (b besideBar) Write(p []byte) (int, error) {
	b.console.mu.Lock()
	defer b.console.mu.Unlock()
	if b.console.clear != nil {
		b.console.clear()
	}
	return b.w.Write(p)
}

// draw calls f, which writes to the console's writer itself.
func (c *console) draw(f func(w io.Writer)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(c.w)
}
