package terminal

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestStyle(t *testing.T) {
	for _, c := range []struct {
		name     string
		terminal bool
		env      map[string]string
		want     string
	}{
		{"terminal", true, nil, "\x1b[31mfailed\x1b[0m"},
		{"pipe", false, nil, "failed"},
		{"NO_COLOR", true, map[string]string{"NO_COLOR": "1"}, "failed"},
		{"empty NO_COLOR", true, map[string]string{"NO_COLOR": ""}, "\x1b[31mfailed\x1b[0m"},
		{"dumb", true, map[string]string{"TERM": "dumb"}, "failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := NewStyle(c.terminal, func(name string) string { return c.env[name] })
			if got := s.Red("failed"); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if got := s.Bold(""); got != "" {
				t.Errorf("nothing is painted as %q", got)
			}
		})
	}
}

func TestNoTerminal(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if w := Width(file); w != 0 {
		t.Errorf("a file is %d wide", w)
	}
	if w := Width(&bytes.Buffer{}); w != 0 {
		t.Errorf("a buffer is %d wide", w)
	}
	none := func(string) string { return "" }
	if got := StyleOf(file, none).Green("done"); got != "done" {
		t.Errorf("a file is painted: %q", got)
	}
}
