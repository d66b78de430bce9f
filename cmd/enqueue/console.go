package main

import (
	"errors"
	"fmt"
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

// beside returns standard output, written to w.
func (c *console) beside(w io.Writer) *output { return &output{console: c, w: w} }

// output is standard output. It is written around the bar, for the case that it is the same terminal, and remembers what
// went wrong, so that not everyone who prints has to.
type output struct {
	console *console
	w       io.Writer
	failed  error // the first; nil while all is written
}

func (o *output) Write(p []byte) (int, error) {
	o.console.mu.Lock()
	defer o.console.mu.Unlock()
	if o.console.clear != nil {
		o.console.clear()
	}
	n, err := o.w.Write(p)
	if o.failed == nil {
		o.failed = err
	}
	return n, err
}

// check adds what went wrong to the error of what was printed, unless that has it.
func (o *output) check(err error) error {
	o.console.mu.Lock()
	defer o.console.mu.Unlock()
	if o.failed == nil || errors.Is(err, o.failed) {
		return err
	}
	return errors.Join(err, fmt.Errorf("writing standard output: %w", o.failed))
}

// draw calls f, which writes to the console's writer itself.
func (c *console) draw(f func(w io.Writer)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(c.w)
}
