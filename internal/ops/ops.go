// Package ops knows what is told of batches, jobs and workers, and what may be done with them: what `enqueue` and the page
// have in common. It works with a queue and a store that are open already, and prints nothing.
package ops

import "fmt"

// InputError is something the caller has to mend: a batch that is not there, a job that cannot be. Nothing was done.
type InputError struct{ Err error }

func (e InputError) Error() string { return e.Err.Error() }

// Unwrap returns what is wrong.
func (e InputError) Unwrap() error { return e.Err }

// Input marks err, if it is one, as the caller's.
func Input(err error) error {
	if err == nil {
		return nil
	}
	return InputError{err}
}

// Plural is a number with its noun.
func Plural[N int | int64 | uint64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
