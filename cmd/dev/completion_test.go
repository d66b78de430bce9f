package main

import (
	"bytes"
	"strings"
	"testing"
)

// TestCompletionKnowsEveryFlag: whoever adds a flag decides what completes it.
func TestCompletionKnowsEveryFlag(t *testing.T) {
	p := process{getenv: func(string) string { return "" }, stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{}}
	if missing := completions().Missing(program(p)); len(missing) > 0 {
		t.Errorf("no word in completion.go on %s", strings.Join(missing, ", "))
	}
}

func TestVersion(t *testing.T) {
	var stdout bytes.Buffer
	p := process{args: []string{"--version"}, getenv: func(string) string { return "" }, stdout: &stdout, stderr: &stdout}
	if code := run(t.Context(), p); code != 0 || !strings.HasPrefix(stdout.String(), "dev version ") {
		t.Errorf("exit code %d, %q", code, &stdout)
	}
}
