package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// What the page needs of the system that it shows. Methods may be called from several goroutines.
type (
	// News is what goes on. It answers at once, from memory.
	News interface {
		// State is the newest snapshot, which is not changed any more. ReadOnly and Version are filled in by the page.
		State() *State
		// Landed returns what has ended after a sequence, at most so many.
		Landed(after uint64, limit int) Landed
		// Letters returns the last dead letters, and how many there are.
		Letters() LetterPage
		// Changed is closed as soon as State or Landed have something new. Take it before looking at them.
		Changed() <-chan struct{}
	}

	// Records are batches and jobs.
	Records interface {
		Batch(ctx context.Context, id string) (Batch, error)
		// Images returns a page of images. It reads as much as the page holds, whatever the size of the batch.
		Images(ctx context.Context, q ImageQuery) (ImagePage, error)
		Job(ctx context.Context, batch string, index int64) (Details, error)
	}

	// Letters are the dead letters.
	Letters interface {
		Dead(ctx context.Context, after uint64, limit int) (LetterPage, error)
	}

	// Pictures are the files in the store. Keys that are not of pictures are not found.
	Pictures interface {
		// Open returns the file as it arrives; the caller closes it.
		Open(ctx context.Context, key string) (io.ReadCloser, error)
		// Read returns a file of at most limit bytes.
		Read(ctx context.Context, key string, limit int64) ([]byte, error)
	}

	// Orders put jobs into the queue. They return how many.
	Orders interface {
		Submit(ctx context.Context, o Order) (Submitted, error)
		// Retry puts jobs of a batch back: index -1 means all that are failed, or missing, as what says.
		Retry(ctx context.Context, batch string, index int64, what string) (int64, error)
		Requeue(ctx context.Context, letters []uint64) (int64, error)
	}

	// Controls stop and start what is in the queue.
	Controls interface {
		Cancel(ctx context.Context, batch string, index int64) (int64, error) // index -1 is the whole batch
		Pause(ctx context.Context, model string, pause bool) (consumers []string, err error)
	}
)

// Landed is what has ended.
type Landed struct {
	Images []Image // in the order in which they were recorded
	Last   uint64  // sequence to go on after
	More   bool    // there are further ones to be had
	Missed bool    // of those before these, some are not kept: list the batch to see them
}

// ImageOrder is the order of the images of a page.
type ImageOrder int

// The orders.
const (
	ByRecord ImageOrder = iota // as they were recorded, from the cursor on
	ByIndex                    // by the job's index: those of From to From+Limit-1 that have ended
	Newest                     // those first that were recorded last, from the cursor back
)

// ImageQuery asks for a page of images.
type ImageQuery struct {
	Batch string // "" for all, with Newest alone
	Order ImageOrder
	After uint64 // the cursor: 0 begins
	From  int64
	Limit int
}

// Order is jobs to enqueue: each of Jobs with every combination of a value of each axis. The last axis goes fastest.
type Order struct {
	Batch    string // "" draws one
	Priority string // "" is normal
	Jobs     []json.RawMessage
	Axes     []Axis
}

// Axis is a field and its values, each as it would stand in text.
type Axis struct {
	Field  string
	Values []string
}

// Error is a failure with the HTTP status that it has.
type Error struct {
	Status int
	Err    error
}

// Errorf makes an error with a status; its text says what failed, on what, and what to do about it.
func Errorf(status int, format string, args ...any) *Error {
	return &Error{status, fmt.Errorf(format, args...)}
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// statusOf is the HTTP status of an error.
func statusOf(err error) int {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Status
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return 504
	case errors.Is(err, context.Canceled):
		return 499 // the client went away, and reads no answer
	}
	return 500
}
