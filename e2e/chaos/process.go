package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// process is a program that runs, with its output in files of the run's folder.
type process struct {
	name   string
	cmd    *exec.Cmd
	exited chan struct{} // closed by the goroutine that waits for the process, and ends with it
	ended  time.Time     // read after exited
}

// start starts a program; env is its whole environment. A name that was used before gets its output appended.
func start(dir, name string, env []string, program string, args ...string) (*process, error) {
	out, err := os.OpenFile(filepath.Join(dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644) //nolint:gosec // the folder is the one that a flag names
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	defer out.Close()                                                                           // the process has its own
	p := &process{name: name, cmd: exec.Command(program, args...), exited: make(chan struct{})} //nolint:gosec,noctx // and so are the programs; faults end them
	p.cmd.Env, p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = env, dir, out, out
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() {
		defer close(p.exited)
		_ = p.cmd.Wait() // how it ended is in ProcessState
		p.ended = time.Now()
	}()
	return p, nil
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

// signal sends a signal; to a process that has ended it is none.
func (p *process) signal(s os.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("sending %v to %s: %w", s, p.name, err)
	}
	return nil
}

// kill is kill -9, and returns when the process is gone.
func (p *process) kill() error {
	err := p.signal(os.Kill)
	if err == nil {
		<-p.exited
	}
	return err
}

// code is the exit code of a process that has ended, -1 for a signal.
func (p *process) code() int { return p.cmd.ProcessState.ExitCode() }
