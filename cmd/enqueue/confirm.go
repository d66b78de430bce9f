package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"
)

// errDeclined is a question that was answered with no.
var errDeclined = errors.New("nothing was done")

// confirm asks on standard error whether to do what a question says, and returns nil for yes. Where nobody can
// answer, --yes must say it.
func (a *app) confirm(ctx context.Context, question string, yes bool) error {
	if yes {
		return nil
	}
	if f, ok := a.stdin.(*os.File); ok && !term.IsTerminal(int(f.Fd())) {
		return input(fmt.Errorf("%s There is nobody to ask here: say --yes", question))
	}
	fmt.Fprintf(a.stderr, "%s [y/N] ", question)
	answers := make(chan string, 1)
	go func() { // ends with the answer; a signal does not wait for that, and the process ends then
		answer, err := bufio.NewReader(a.stdin).ReadString('\n')
		if err != nil {
			fmt.Fprintln(a.stderr) // the input has ended
		}
		answers <- strings.ToLower(strings.TrimSpace(answer))
	}()
	select {
	case answer := <-answers:
		if answer == "y" || answer == "yes" {
			return nil
		}
		return errDeclined
	case <-ctx.Done():
		return errInterrupted
	}
}
