//go:build unix

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Rows are read twice, and a pipe gives them once: one that a shell makes for <(generate), and one with a name.
func TestFileThatIsAPipe(t *testing.T) {
	w := newWorld(t, "m")
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	named := filepath.Join(t.TempDir(), "rows")
	if err := syscall.Mkfifo(named, 0o600); err != nil {
		t.Fatal(err)
	}
	written := make(chan error, 2)
	write := func(f *os.File, err error) {
		if err == nil {
			_, err = f.WriteString("a cat\na dog\n")
		}
		if f != nil {
			f.Close()
		}
		written <- err
	}
	go write(out, nil)
	go func() { write(os.OpenFile(named, os.O_WRONLY, 0)) }() // which waits for a reader
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	w.runWith(ctx, nil, nil, "--batch", "b", "--file", fmt.Sprintf("/dev/fd/%d", in.Fd())).want(t, exitOK, "enqueued 2 jobs")
	w.jobs("b", 2)
	w.purge("JOBS", "jobs.>")
	w.runWith(ctx, nil, nil, "--batch", "c", "--file", named).want(t, exitOK, "enqueued 2 jobs")
	w.jobs("c", 2)
	for range 2 {
		if err := <-written; err != nil {
			t.Error(err)
		}
	}
}

// A pipe to which nobody writes is waited for until Ctrl-C.
func TestFileThatIsAPipeWithoutAWriter(t *testing.T) {
	named := filepath.Join(t.TempDir(), "rows")
	if err := syscall.Mkfifo(named, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	nowhere(t).runWith(ctx, nil, nil, "--file", named).want(t, exitInterrupted)
	w, err := os.OpenFile(named, os.O_WRONLY, 0) // lets the reader go
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
}
