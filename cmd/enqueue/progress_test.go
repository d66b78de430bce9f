package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stipple-ai/stipple/internal/batch"
	"github.com/stipple-ai/stipple/internal/queue"
)

func standing(succeeded, failed, total int64) batch.Update {
	return batch.Update{Summary: queue.Summary{Succeeded: succeeded, Failed: failed}, Total: total, State: queue.BatchCommitted, CaughtUp: true}
}

func TestProgressLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := newProgress(newConsole(&out))
		p.update(batch.Update{}) // nothing is known yet
		for i := range int64(21) {
			p.update(standing(10*i, i/10, 400))
			time.Sleep(time.Second)
		}
		for range 70 { // nothing moves any more
			p.update(standing(200, 2, 400))
			time.Sleep(time.Second)
		}
		p.update(batch.Update{Total: 400, State: queue.BatchEnqueuing})
		p.end()
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		want := []string{"50 of 400  10.0/s, 35s left", "101 of 400  10.1/s, 30s left, 1 failed", "151 of 400  10.1/s, 25s left, 1 failed"}
		for i, w := range want {
			if i >= len(lines) || lines[i] != w {
				t.Fatalf("lines:\n%s\nwant %q in place %d", out.String(), w, i)
			}
		}
		if n := len(lines); n > 20 {
			t.Errorf("%d lines for 90 s:\n%s", n, out.String())
		}
		if last := lines[len(lines)-1]; last != "0 of 400  still being enqueued" {
			t.Errorf("last line %q", last)
		}
		if last := lines[len(lines)-2]; last != "202 of 400  2 failed" {
			t.Errorf("last line %q", last)
		}
	})
}

func TestProgressBar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		c := newConsole(&out)
		c.width = 80 // as on a terminal
		stdout := c.beside(&out)
		p := newProgress(c)
		for i := range int64(5) {
			p.update(standing(i, 0, 4))
			time.Sleep(time.Second)
		}
		if s := out.String(); !strings.Contains(s, "(4/4)") || !strings.Contains(s, "1.0/s, 1s left") {
			t.Errorf("bar %q", s)
		}
		out.Reset()
		fmt.Fprintln(stdout, "a line")
		fmt.Fprintln(c, "a log line")
		if s := out.String(); !strings.HasSuffix(s, "a log line\n") || !strings.Contains(s, "\x1b[2K\ra line\n") {
			t.Errorf("a line is written into the bar: %q", s)
		}
		p.end()
		out.Reset()
		fmt.Fprintln(stdout, "done")
		if out.String() != "done\n" {
			t.Errorf("behind the end: %q", out.String())
		}
	})
}

func TestRateLooksBackForAWhile(t *testing.T) {
	var r rate
	at := time.Unix(0, 0)
	for range 100 {
		r.note(at, at.Unix()*5)
		at = at.Add(100 * time.Millisecond)
	}
	if got := r.perSecond(); got < 4.4 || got > 5.1 {
		t.Errorf("rate %v, want about 5", got)
	}
	n := at.Unix() * 5
	for range 600 { // a minute of twice the speed
		n++
		r.note(at, n)
		at = at.Add(100 * time.Millisecond)
	}
	if got := r.perSecond(); got < 9.5 || got > 10.5 {
		t.Errorf("rate %v, want about 10", got)
	}
	if len(r.samples) > 40 {
		t.Errorf("%d samples are kept", len(r.samples))
	}
}

func TestTable(t *testing.T) {
	var out bytes.Buffer
	p := &textPrinter{out: &out, width: 100}
	p.begin(heading{Batch: "b", Total: 50, Priority: queue.Normal, Resume: "enqueue --batch b", TraceID: ""})
	var jobs []batch.Published
	for i := range int64(50) {
		prompt := "a\x1b[31m cat"
		if i == 1 {
			prompt = strings.Repeat("long ", 40)
		}
		jobs = append(jobs, batch.Published{Job: queue.Job{BatchID: "b", Index: i, Seed: new(queue.Seed(i)), Prompt: &prompt}, TraceID: strings.Repeat("a", 32)})
	}
	p.jobs(jobs)
	lines := strings.Split(out.String(), "\n")
	if want := "JOB   TRACE                                             SEED  PROMPT"; lines[3] != want {
		t.Errorf("head %q, want %q", lines[3], want)
	}
	if want := "b/0   " + strings.Repeat("a", 32) + "                     0  a [31m cat"; lines[4] != want {
		t.Errorf("row %q, want %q", lines[4], want)
	}
	if n := len([]rune(lines[5])); n > 100 || !strings.HasSuffix(lines[5], "…") {
		t.Errorf("row of %d characters: %q", n, lines[5])
	}
	if !strings.Contains(out.String(), "… and 2 jobs more (--json lists all)") || strings.Contains(out.String(), "b/48") {
		t.Errorf("end of the table:\n%s", out.String())
	}
}
