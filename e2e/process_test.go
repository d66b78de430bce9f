package e2e_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// process is a program that a story started. Its output goes to files in the story's folder.
type process struct {
	t      *testing.T
	name   string
	cmd    *exec.Cmd
	stdout string // files
	stderr string
	exited chan struct{} // closed by the goroutine that waits for the process, which ends with it
	ended  time.Time     // read after exited
}

// start starts a program. env is its whole environment. When the story ends it is killed, if it still runs.
func start(t *testing.T, dir, name string, env []string, program string, args ...string) *process {
	t.Helper()
	p := &process{t: t, name: name, cmd: exec.Command(program, args...), exited: make(chan struct{})}
	p.cmd.Env, p.cmd.Dir = env, dir
	stdout, stderr := create(t, dir, name, ".out"), create(t, dir, name, ".log")
	defer stdout.Close()
	defer stderr.Close()
	p.stdout, p.stderr = stdout.Name(), stderr.Name()
	p.cmd.Stdout, p.cmd.Stderr = stdout, stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", name, err)
	}
	go func() {
		defer close(p.exited)
		p.cmd.Wait() // how it ended is in ProcessState
		p.ended = time.Now()
	}()
	t.Cleanup(p.kill)
	return p
}

// create makes a file for the output of a program; one that is started again gets another.
func create(t *testing.T, dir, name, suffix string) *os.File {
	t.Helper()
	for n := 1; ; n++ {
		path := filepath.Join(dir, name+suffix)
		if n > 1 {
			path = filepath.Join(dir, fmt.Sprintf("%s-%d%s", name, n, suffix))
		}
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
}

// running reports whether the process has not ended yet.
func (p *process) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatalf("sending %v to %s: %v", s, p.name, err)
	}
}

// kill ends the process at once: kill -9.
func (p *process) kill() {
	p.signal(os.Kill)
	<-p.exited
}

// exit waits for the process to end and returns its exit code, -1 for a signal.
func (p *process) exit(within time.Duration) int {
	p.t.Helper()
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(within):
		p.t.Fatalf("%s has not ended within %v", p.name, within)
		return 0
	}
}

// out is what the process has written to standard output until now, errs the same of standard error.
func (p *process) out() string  { return read(p.t, p.stdout) }
func (p *process) errs() string { return read(p.t, p.stderr) }

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// folder is the story's folder: data of its servers and the output of every process. A story that fails keeps it,
// and shows the end of every log.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "stipple-e2e-") //nolint:usetesting // kept where the story fails
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !t.Failed() {
			os.RemoveAll(dir)
			return
		}
		t.Logf("data and logs are kept in %s", dir)
		logs, err := filepath.Glob(filepath.Join(dir, "*.log"))
		if err != nil {
			t.Error(err)
		}
		for _, file := range logs {
			if lines := tail(read(t, file), 25); lines != "" {
				t.Logf("the end of %s:\n%s", filepath.Base(file), lines)
			}
		}
	})
	return dir
}

// tail is the last n lines of text.
func tail(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// eventually waits until ok says nothing, and fails with what it said last.
func eventually(t *testing.T, within time.Duration, ok func() (problem string)) {
	t.Helper()
	for deadline := time.Now().Add(within); ; time.Sleep(20 * time.Millisecond) {
		problem := ok()
		if problem == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", within, problem)
		}
	}
}

// mentions fails unless text holds every one of the words.
func mentions(t *testing.T, what, text string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("%s does not mention %q:\n%s", what, word, tail(text, 20))
		}
	}
}

// lines splits the output of a program, without the empty line at its end.
func lines(output string) []string {
	var all []string
	for line := range bytes.Lines([]byte(output)) {
		all = append(all, string(bytes.TrimSpace(line)))
	}
	return all
}
