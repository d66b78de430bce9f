package otel

import (
	"errors"
	"fmt"
	"runtime/debug"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// maxMessage bounds an exception's text, in characters: the SDK does not cut attributes of events.
const maxMessage = 1000

// Fail marks a span as failed: an exception event, error.type, and status
// ERROR. A good span is left alone, its status unset. errType is one of the
// design's closed list; "" asks err for its ErrorType method, else _OTHER.
//
// span.RecordError is not used: its exception.type of a wrapped error is
// *fmt.wrapError, and it leaves the status unset. err's text must hold no prompt;
// queries of URLs, where signatures live, are taken off. A nil err does nothing.
func Fail(span trace.Span, err error, errType string) {
	fail(span, err, errType, "")
}

func fail(span trace.Span, err error, errType, stack string) {
	if err == nil || !span.IsRecording() {
		return
	}
	errType = ErrorTypeOf(err, errType)
	message := safeText(err.Error())
	attrs := []attribute.KeyValue{
		ExceptionType.String(typeName(err)),
		ExceptionMessage.String(message),
	}
	if stack != "" {
		attrs = append(attrs, ExceptionStacktrace.String(cleanText(stack)))
	}
	span.AddEvent("exception", trace.WithAttributes(attrs...))
	span.SetAttributes(ErrorType.String(errType))
	span.SetStatus(codes.Error, message)
}

// ErrorTypeOf is errType, else what err's ErrorType method says, else _OTHER.
func ErrorTypeOf(err error, errType string) string {
	if errType != "" {
		return errType
	}
	var typed interface{ ErrorType() string }
	if errors.As(err, &typed) && typed.ErrorType() != "" {
		return typed.ErrorType()
	}
	return "_OTHER"
}

// PanicError is a recovered panic.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// ErrorType is the design's name for it.
func (e *PanicError) ErrorType() string { return "panic" }

// Unwrap returns the value where it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// Recover turns a panic into *err, a *PanicError, and marks the span with it
// and the stack. It must be deferred itself, after (so running before) span.End:
//
//	defer span.End()
//	defer otel.Recover(span, &err)
func Recover(span trace.Span, err *error) {
	v := recover()
	if v == nil {
		return
	}
	p := &PanicError{Value: v, Stack: debug.Stack()}
	*err = p
	fail(span, p, p.ErrorType(), string(p.Stack))
}

// typeName is the type of the error that caused err: wrappers made by fmt and errors say nothing.
func typeName(err error) string {
	for {
		name := fmt.Sprintf("%T", err)
		switch name {
		case "*fmt.wrapError":
			err = errors.Unwrap(err)
		case "*fmt.wrapErrors", "*errors.joinError":
			inner, ok := err.(interface{ Unwrap() []error })
			if !ok || len(inner.Unwrap()) == 0 {
				return name
			}
			err = inner.Unwrap()[0]
		default:
			return name
		}
	}
}
