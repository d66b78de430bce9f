package main

import (
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestCompletionKnowsEveryFlag: whoever adds a flag decides what completes it.
func TestCompletionKnowsEveryFlag(t *testing.T) {
	if missing := completions().Missing(program()); len(missing) > 0 {
		t.Errorf("no word in completion.go on %s", strings.Join(missing, ", "))
	}
}

// program is the root command, with those below it.
func program() *cobra.Command {
	none := func(string) string { return "" }
	return root(func(*settings) error { return nil }, func() {}, none, 0)
}

func TestCompletes(t *testing.T) {
	for _, c := range []struct {
		typed []string
		want  []string
	}{
		{[]string{""}, []string{"bench\t", "doctor\t", "completion\t"}},
		{[]string{"--provider", ""}, []string{"cpu\ncuda\ntensorrt\n"}},
		{[]string{"bench", "--scheduler", "dpmpp_3m_b"}, []string{"dpmpp_3m_beta\n"}},
		{[]string{"--models", ""}, []string{":16"}},
		{[]string{"doctor", "--metadata", "m"}, []string{"minimal\n"}},
	} {
		code, stdout, _ := runWith(nil, append([]string{"__complete"}, c.typed...)...)
		for _, want := range c.want {
			if code != 0 || !strings.Contains(stdout, want) {
				t.Errorf("%q: exit code %d, %q lacks %q", c.typed, code, stdout, want)
			}
		}
	}
}

func TestVersion(t *testing.T) {
	library := map[string]string{"ONNXRUNTIME_LIB": os.Getenv("ONNXRUNTIME_LIB"), "LANES": "two"}
	if code, stdout, stderr := runWith(library, "--version"); code != 0 || !strings.HasPrefix(stdout, "worker version ") || !strings.Contains(stdout, ", ONNX Runtime 1.28.0)\n") {
		t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
	}
	if code, stdout, _ := runWith(map[string]string{"ONNXRUNTIME_LIB": "/nonexistent"}, "--version"); code != 0 || !strings.Contains(stdout, "no ONNX Runtime") {
		t.Errorf("exit code %d, %q", code, stdout)
	}
}
