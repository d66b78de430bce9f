package manual

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/stipple-ai/stipple/internal/flagenv"
	"github.com/stipple-ai/stipple/internal/terminal"
)

var update = flag.Bool("update", false, "write testdata from what the test got")

const drawManual = `Draw draws what it is told to, and does so in a way that takes more than one line of text to describe to somebody who has
never drawn before.

  tool draw "a cat" --times 3      # three of them
  tool list | tool draw --from -

A file is one thing a line:

  tool would not mind
  -- a line that begins like a flag, and one
  .with a dot; back\slash

With --json it prints one line:
  {"type":"drawn"}
and nothing else.

Every flag has an environment variable, named in brackets; the flag wins. TOOL_* variables are for libraries.

Exit codes: 0 drawn, 1 something broke, of 2 kinds, 2 bad input; 130 interrupted.`

// tool is a program with a command that has one of everything.
func tool() *cobra.Command {
	root := &cobra.Command{Use: "tool", Short: "Draw things", Long: "Tool draws things.\n\nExit codes: 0 always.", Version: "v1", SilenceErrors: true, SilenceUsage: true}
	draw := &cobra.Command{Use: "draw [flags] THING…", Short: "Draw a thing", Long: drawManual, RunE: func(*cobra.Command, []string) error { return nil }}
	fs := draw.Flags()
	fs.SortFlags = false
	fs.IntP("times", "n", 1, "how often; `COUNT` may be large")
	fs.String("style", "", "plain, bold or both")
	fs.String("from", "", "file of things | pipe <name>")
	fs.String("nats-url", "nats://127.0.0.1:4222", "the broker")
	fs.String("s3-bucket", "", "the bucket")
	fs.String("aws-secret-access-key", "hunter2", "its secret")
	fs.Bool("secretly", false, "do not tell")
	if err := fs.MarkHidden("secretly"); err != nil {
		panic(err)
	}
	flagenv.Secret(fs, "aws-secret-access-key")
	flagenv.Describe(fs)
	root.AddCommand(draw)
	Table{
		Flags:     map[string]Values{"style": Words("plain", "bold\tand heavy").List(), "draw --from": Files("txt")},
		Arguments: map[string]Values{"draw": Asked(func(*cobra.Command) []string { return []string{"cat\tan animal", "car", "dog"} })},
	}.Complete(root)
	Install(root, Options{Getenv: func(string) string { return "" }, Version: "v1.2.3"})
	return root
}

// run returns what the program prints.
func run(t *testing.T, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	root := tool()
	root.SetOut(&out)
	root.SetErr(&bytes.Buffer{})
	root.SetArgs(args)
	if err := root.ExecuteContext(t.Context()); err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return out.String()
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; make it with -update", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestFormats(t *testing.T) {
	for name, args := range map[string][]string{
		"draw.txt": {"draw", "-h"},
		"draw.1":   {"help", "draw", "--format", "man"},
		"tool.md":  {"help", "--format", "markdown"},
		"tool.txt": {"help"},
	} {
		got := run(t, args...)
		golden(t, name, got)
		if strings.Contains(got, "hunter2") || strings.Contains(got, "secretly") {
			t.Errorf("%q prints a secret or a hidden flag:\n%s", args, got)
		}
	}
}

func TestMeetsTheWidth(t *testing.T) {
	cmd, _, err := tool().Find([]string{"draw"})
	if err != nil {
		t.Fatal(err)
	}
	for _, width := range []int{0, 20, 80, 400} {
		var out bytes.Buffer
		Of(cmd).Write(&out, width, terminal.Style{})
		limit := min(max(width, leastWidth), mostWidth)
		if width == 0 {
			limit = defaultWidth
		}
		for line := range strings.Lines(out.String()) {
			if n := len([]rune(strings.TrimRight(line, "\n"))); n > limit {
				t.Errorf("width %d: a line of %d: %s", width, n, line)
			}
		}
	}
}

func TestBoldOnTerminals(t *testing.T) {
	cmd := tool()
	var plain, bold bytes.Buffer
	Of(cmd).Write(&plain, 80, terminal.Style{})
	Of(cmd).Write(&bold, 80, terminal.NewStyle(true, func(string) string { return "" }))
	if strings.Contains(plain.String(), "\x1b") || !strings.Contains(bold.String(), "\x1b[1mSYNOPSIS\x1b[0m") {
		t.Errorf("plain:\n%q\nbold:\n%q", &plain, &bold)
	}
}

func TestPages(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "man1")
	run(t, "help", "--format", "man", "--out", dir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if diff := cmp.Diff([]string{"tool-completion.1", "tool-draw.1", "tool.1"}, names); diff != "" {
		t.Error(diff)
	}
}

func TestExits(t *testing.T) {
	for _, c := range []struct {
		text string
		want []Exit
	}{
		{" 0 done, 2 bad flags.", []Exit{{0, "done"}, {2, "bad flags"}}},
		{" 0 told; with a batch those of 3 others; 1 broke, 130 interrupted.", []Exit{{0, "told; with a batch those of 3 others"}, {1, "broke"}, {130, "interrupted"}}},
		{"", nil},
	} {
		if diff := cmp.Diff(c.want, exits(c.text)); diff != "" {
			t.Errorf("%q: %s", c.text, diff)
		}
	}
}

func TestBadHelp(t *testing.T) {
	for _, args := range [][]string{{"help", "drwa"}, {"help", "--format", "pdf"}, {"help", "--out", "x"}, {"completion", "tcsh"}, {"completion"}} {
		root := tool()
		root.SetOut(&bytes.Buffer{})
		root.SetArgs(args)
		if err := root.Execute(); err == nil {
			t.Errorf("%q is no error", args)
		}
	}
}
