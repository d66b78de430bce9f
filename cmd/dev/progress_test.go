package main

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// show runs two pictures, half a second each, past a progress of that width.
func show(width int) string {
	var out bytes.Buffer
	p := &progress{out: &out, width: width}
	p.note("loading the model")
	p.start(2)
	for _, prompt := range []string{"a\ncat", "a very " + strings.Repeat("long ", 40) + "dog"} {
		time.Sleep(500 * time.Millisecond)
		p.step(prompt, "500 ms")
	}
	p.end()
	return out.String()
}

func TestProgressWithoutATerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		want := "loading the model\n1/2  a cat  (500 ms)\n2/2  a very " + strings.Repeat("long ", 40) + "dog  (500 ms)\n"
		if diff := cmp.Diff(want, show(0)); diff != "" {
			t.Errorf("output (-want +got):\n%s", diff)
		}
	})
}

func TestProgressOnATerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		half, full := strings.Repeat("█", 14), strings.Repeat("█", 28)
		want := []string{
			"",
			"loading the model",
			strings.Repeat("░", 28) + " 0/2  ",
			half + strings.Repeat("░", 14) + " 1/2  2.0 images/s  a cat",
			full + " 2/2  2.0 images/s  a very long lo…",
			"",
		}
		var got []string
		for line := range strings.SplitSeq(show(64), "\r") {
			line = strings.TrimSuffix(line, "\x1b[K")
			if n := utf8.RuneCountInString(line); n > 63 {
				t.Errorf("line %q is %d wide on a terminal of 64", line, n)
			}
			got = append(got, line)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("lines (-want +got):\n%s", diff)
		}
	})
}
