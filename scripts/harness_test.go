// Package scripts tests the shell scripts in a copy of their folder, with stand-ins for the programs they call
// to reach a network, so that what they do when something is missing or fails can be seen.
package scripts_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// harness is a copy of the scripts in a tree of their own, with a PATH that holds ordinary tools only.
type harness struct {
	tree  string // where scripts/ lies
	bin   string // the PATH
	cache string // STIPPLE_CACHE, unless a test sets another
}

// tools are what the scripts may call on any machine, and may find absent: flock, ldd, openssl and the like.
var tools = []string{
	"awk", "cat", "chmod", "cmp", "cp", "cut", "df", "dirname", "env", "flock", "go", "grep", "ldd", "ln", "mkdir",
	"mv", "openssl", "rm", "sh", "sha256sum", "shasum", "sleep", "tail", "tar", "tr", "uname",
}

func newHarness(t *testing.T) harness {
	t.Helper()
	h := harness{tree: t.TempDir(), bin: t.TempDir(), cache: filepath.Join(t.TempDir(), "cache")}
	scripts, err := filepath.Glob("*.sh")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts here: %v", err)
	}
	for _, script := range scripts {
		data, err := os.ReadFile(script)
		if err != nil {
			t.Fatal(err)
		}
		h.write(t, filepath.Join(h.tree, "scripts", script), string(data))
	}
	for _, tool := range tools {
		path, err := exec.LookPath(tool)
		if err != nil {
			continue
		}
		if err := os.Symlink(path, filepath.Join(h.bin, tool)); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func (h harness) write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
}

// stub puts a shell script of that name into the PATH, in place of the tool.
func (h harness) stub(t *testing.T, name, body string) {
	t.Helper()
	path := filepath.Join(h.bin, name)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	h.write(t, path, "#!/bin/sh\n"+body)
}

type result struct {
	stdout, stderr string
	code           int
}

// run runs a script with that environment, beside PATH, and STIPPLE_CACHE where env does not mention it.
func (h harness) run(t *testing.T, env []string, script string, args ...string) result {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(h.tree, "scripts", script), args...)
	cmd.Dir = h.tree
	cmd.Env = append([]string{"PATH=" + h.bin, "STIPPLE_CACHE=" + h.cache}, env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", script, err)
	}
	return result{strings.TrimSpace(stdout.String()), stderr.String(), cmd.ProcessState.ExitCode()}
}

// fails holds that a run ended badly, printed no result and told its user each of these.
func (r result) fails(t *testing.T, says ...string) {
	t.Helper()
	if r.code == 0 || r.stdout != "" {
		t.Errorf("exit status %d and result %q, want a failure without a result", r.code, r.stdout)
	}
	for _, text := range says {
		if !strings.Contains(r.stderr, text) {
			t.Errorf("the message does not say %q:\n%s", text, r.stderr)
		}
	}
}

// prints holds that a run ended well with that result.
func (r result) prints(t *testing.T, want string) {
	t.Helper()
	if r.code != 0 || r.stdout != want {
		t.Errorf("exit status %d, result %q, want %q\n%s", r.code, r.stdout, want, r.stderr)
	}
}
