package main

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stipple-ai/stipple/internal/queue"
)

// TestCompletionKnowsEveryFlag: whoever adds a flag decides what completes it.
func TestCompletionKnowsEveryFlag(t *testing.T) {
	a := &app{getenv: func(string) string { return "" }, stderr: newConsole(io.Discard)}
	if missing := a.completions().Missing(a.command()); len(missing) > 0 {
		t.Errorf("no word in completion.go on %s", strings.Join(missing, ", "))
	}
}

func TestCompletesWords(t *testing.T) {
	w := nowhere(t)
	for _, c := range []struct {
		typed []string
		want  []string
	}{
		{[]string{""}, []string{"cancel\t", "completion\t", "dlq\t", "wait\t"}},
		{[]string{"--prio"}, []string{"--priority\t"}},
		{[]string{"--priority", ""}, []string{"high\nnormal\nlow\n"}},
		{[]string{"--scheduler", "euler,dpmpp_2m_k"}, []string{"euler,dpmpp_2m_karras\n"}},
		{[]string{"--format", ""}, []string{"png\njpeg\nwebp\n"}},
		{[]string{"pause", "--priority", "low,h"}, []string{"low,high\n"}},
		{[]string{"dlq", "list", "--type", "bad"}, []string{queue.TypeBadImage}},
		{[]string{"--input-format", "j"}, []string{"jsonl\n"}},
		{[]string{"explain", ""}, []string{"png\n", ":8"}},
	} {
		w.run(append([]string{"__complete"}, c.typed...)...).want(t, exitOK, c.want...)
	}
}

// TestCompletesBatches asks a broker that is there, and gives up on one that is not.
func TestCompletesBatches(t *testing.T) {
	w := newWorld(t, "m")
	w.run("a cat", "--batch", "monday", "--model", "m").want(t, exitOK)
	w.run("__complete", "wait", "mon").want(t, exitOK, "monday\tcommitted, 1 job, ", ":4")
	w.run("__complete", "--model", "").want(t, exitOK, "m\n", ":6")
	w.run("__complete", "status", "monday", "").want(t, exitOK, ":4")

	alone := nowhere(t)
	begin := time.Now()
	r := alone.run("__complete", "wait", "")
	r.want(t, exitOK, ":4")
	if r.stdout != ":4\n" || strings.Contains(r.stderr, "127.0.0.1") {
		t.Errorf("without a broker it printed %q and %q", r.stdout, r.stderr)
	}
	if took := time.Since(begin); took > 20*patience {
		t.Errorf("a broker that does not answer was waited for %v", took)
	}
}
