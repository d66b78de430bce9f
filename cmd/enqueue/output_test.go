package main

import (
	"errors"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// fullDisk is standard output that takes so many bytes.
type fullDisk struct{ room int }

func (d *fullDisk) Write(p []byte) (int, error) {
	n := min(len(p), d.room)
	d.room -= n
	if n < len(p) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

// Output that could not be written is told, and is no success: whoever reads it has half of it.
func TestOutputOnAFullDisk(t *testing.T) {
	w := newWorld(t, "m").withStore()
	w.work([]string{"m"}, nil)
	w.run("a cat", "--batch", "b", "--wait").want(t, exitOK)
	var all sync.WaitGroup
	for _, args := range [][]string{
		{"a cat", "--batch", "c"}, {"a cat", "--batch", "d", "--json"}, {"wait", "b"}, {"wait", "b", "--json"}, {"status"}, {"status", "--json"},
		{"status", "b"}, {"dlq", "list"}, {"explain", "b/0"}, {"explain", "b/0", "--json"}, {"a cat", "--dry-run"}, {"a cat", "--dry-run", "--json"},
		{"setup", "--models", "m"}, {"cancel", "b/0"}, {"dlq", "requeue", "b"}, {"pause"}, {"resume"}, {"-h"}, {"--version"}, {"completion", "bash"},
	} {
		all.Go(func() {
			err := run(t.Context(), args, func(k string) string { return w.env[k] }, strings.NewReader(""), &fullDisk{room: 10}, &tap{})
			if exitCode(err) != exitFailed || !errors.Is(err, syscall.ENOSPC) || strings.Count(err.Error(), syscall.ENOSPC.Error()) != 1 {
				t.Errorf("enqueue %s: exit code %d, %v", strings.Join(args, " "), exitCode(err), err)
			}
		})
	}
	all.Wait()
}
