//go:build unix

package main

import (
	"errors"
	"os"
	"syscall"
)

// lock takes a file for this process, and reports false if another has it. The system lets it go when the file is closed, or
// with the process, however that ends. A file system that knows no locks lets everyone in.
func lock(f *os.File) bool {
	return !errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}
