package queue

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// The values of error.type: a closed list, on spans, in results and in dead letters.
const (
	TypeInvalidJob     = "invalid_job"     // the job's message cannot be read or asks for what no worker does
	TypeObjectConflict = "object_conflict" // the image's key holds an object made from another job
	TypeBadImage       = "bad_image"       // the pixels are NaN, infinite or of one colour
	TypeModelError     = "model_error"     // a call of the model failed
	TypeOutOfMemory    = "out_of_memory"
	TypeTimeout        = "timeout" // the job ran longer than JOB_TIMEOUT
	TypePanic          = "panic"
	TypeStorage        = "storage"        // the store is away or answers with errors
	TypeStorageConfig  = "storage_config" // the store refuses the key, the bucket or the clock
	TypeBroker         = "broker"         // the broker is away, full, or lacks a stream
	TypeInterrupted    = "interrupted"    // the worker is leaving
	TypeVersion        = "version"        // the job is of a newer version than this worker
)

// Class says what a type of error means for the job.
type Class int

// The classes of the contract's table.
const (
	Permanent Class = iota + 1 // no retry will help: dead letter, result failed, Term
	Retried                    // delivered again after a delay, up to MAX_ATTEMPTS
	Held                       // the job is well: the finished image and the lease are kept until the service is back
	NoAttempt                  // handed back and not counted
)

// String returns the class's name in lower case.
func (c Class) String() string {
	switch c {
	case Permanent:
		return "permanent"
	case Retried:
		return "retried"
	case Held:
		return "held"
	case NoAttempt:
		return "no attempt"
	}
	return fmt.Sprintf("Class(%d)", int(c))
}

// ClassOf returns the class of an error.type and whether the type is on the closed list.
func ClassOf(errorType string) (Class, bool) {
	switch errorType {
	case TypeInvalidJob, TypeObjectConflict, TypeBadImage:
		return Permanent, true
	case TypeModelError, TypeOutOfMemory, TypeTimeout, TypePanic:
		return Retried, true
	case TypeStorage, TypeStorageConfig, TypeBroker:
		return Held, true
	case TypeInterrupted, TypeVersion:
		return NoAttempt, true
	}
	return 0, false
}

// ErrorType returns the error.type of err: that of the first error in its tree with a method ErrorType whose
// answer is on the closed list. Any other error came out of the engine and counts as a model_error. For nil
// it returns "".
func ErrorType(err error) string {
	if err == nil {
		return ""
	}
	var typed interface{ ErrorType() string }
	if errors.As(err, &typed) {
		if _, known := ClassOf(typed.ErrorType()); known {
			return typed.ErrorType()
		}
	}
	return TypeModelError
}

// Action is what a worker does with a job that ended in an error.
type Action int

// What can be done with a job.
const (
	DeadLetter Action = iota + 1 // publish to DEAD, record a failed result, Term
	Retry                        // write the attempt, Nak with RetryDelay
	Hold                         // keep image and lease, stop fetching, go on when the service is back
	HandBack                     // write the hand-back, Nak with HandBackDelay
	Drop                         // send nothing: the lease may be lost and the job another worker's
)

// String returns the action's name in lower case.
func (a Action) String() string {
	switch a {
	case DeadLetter:
		return "dead letter"
	case Retry:
		return "retry"
	case Hold:
		return "hold"
	case HandBack:
		return "hand back"
	case Drop:
		return "drop"
	}
	return fmt.Sprintf("Action(%d)", int(a))
}

// Decide returns what to do with a job that ended in an error of errorType in its attempt-th counted start.
// A type that is not on the closed list counts as a model_error.
func Decide(errorType string, attempt, maxAttempts int, leaseLost bool) Action {
	class, known := ClassOf(errorType)
	if !known {
		class = Retried
	}
	switch {
	case class == Held:
		return Hold // a success may be recorded without a lease
	case leaseLost:
		return Drop
	case class == NoAttempt:
		return HandBack
	case class == Retried && attempt < maxAttempts:
		return Retry
	}
	return DeadLetter
}

// HandBackDelay is how long a job handed back for errorType stays away: a job of a newer version waits 30 s
// for a newer worker, an interrupted one goes to the next worker at once.
func HandBackDelay(errorType string) time.Duration {
	if errorType == TypeVersion {
		return 30 * time.Second
	}
	return 0
}

// Bounds of RetryDelay before jitter.
const (
	retryBase = time.Second
	retryCap  = 2 * time.Minute
)

// RetryDelay is the delay before the start that follows failed attempt number attempt (from 1): 1 s doubling
// up to 2 min, of which a random half is taken off so that jobs that failed together do not return together.
func RetryDelay(attempt int) time.Duration {
	d := retryBase
	for i := 1; i < attempt && d < retryCap; i++ {
		d *= 2
	}
	d = min(d, retryCap)
	return d - rand.N(d/2)
}

// InvalidError is a job that no retry will mend: the field that is wrong and why. Field is the name in the
// JSON body, "body" for the body as a whole, or the name of a header.
type InvalidError struct {
	Field  string
	Reason string
}

// Error returns "invalid job: <field> <reason>".
func (e *InvalidError) Error() string { return "invalid job: " + e.Field + " " + e.Reason }

// ErrorType returns invalid_job.
func (e *InvalidError) ErrorType() string { return TypeInvalidJob }

// typedError is a sentinel that knows its error.type.
type typedError struct {
	errorType string
	message   string
}

func (e *typedError) Error() string     { return e.message }
func (e *typedError) ErrorType() string { return e.errorType }

// Errors that callers tell apart with errors.Is.
var (
	// ErrNewerVersion is a job of a version this worker does not know. It is not invalid: it is handed back
	// for a worker that does.
	ErrNewerVersion error = &typedError{TypeVersion, "the job is of a newer version than this program reads; upgrade it"}

	// ErrQueueFull is a publish that the JOBS stream has no room for. The same message may be published
	// again once workers have drained some of it.
	ErrQueueFull error = &typedError{TypeBroker, "the queue is full"}

	// ErrStreamFull is a result or dead letter that its stream has no room for. The job is held.
	ErrStreamFull error = &typedError{TypeBroker, "the stream is full"}

	// ErrMissing is a stream, consumer or bucket that is not there and that this program may not make.
	ErrMissing error = &typedError{TypeBroker, "missing on the broker; run `enqueue setup`, or set QUEUE_AUTO_CREATE=true"}

	// ErrClosed is a use of a Client after Close.
	ErrClosed error = &typedError{TypeBroker, "the connection to the broker is closed"}
)

// brokerError is an operation that the broker did not do: away, refusing, or too slow.
type brokerError struct {
	doing string
	err   error
}

func (e *brokerError) Error() string     { return e.doing + ": " + e.err.Error() }
func (e *brokerError) Unwrap() error     { return e.err }
func (e *brokerError) ErrorType() string { return TypeBroker }
