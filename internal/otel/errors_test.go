package otel

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

type typedError struct{}

func (typedError) Error() string     { return "no room" }
func (typedError) ErrorType() string { return "out_of_memory" }

// record runs f on a span and returns it ended.
func record(t *testing.T, f func(trace.Span)) sdktrace.ReadOnlySpan {
	t.Helper()
	rec := tracetest.NewSpanRecorder()
	_, span := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(rec)).Tracer("t").Start(t.Context(), "s")
	f(span)
	span.End()
	return rec.Ended()[0]
}

func attrsOf(s sdktrace.ReadOnlySpan) map[string]any {
	out := map[string]any{}
	for _, kv := range s.Attributes() {
		out[string(kv.Key)] = kv.Value.AsInterface()
	}
	return out
}

func eventAttrs(e sdktrace.Event) map[string]any {
	out := map[string]any{}
	for _, kv := range e.Attributes {
		out[string(kv.Key)] = kv.Value.AsInterface()
	}
	return out
}

func TestFail(t *testing.T) {
	tests := []struct {
		name                string
		err                 error
		errType             string
		wantType, exception string
		message             string
	}{
		{"plain", errors.New("gone"), "model_error", "model_error", "*errors.errorString", "gone"},
		{"wrapped", fmt.Errorf("reading: %w", io.ErrUnexpectedEOF), "storage", "storage", "*errors.errorString", "reading: unexpected EOF"},
		{"type from the error", fmt.Errorf("running: %w", typedError{}), "", "out_of_memory", "otel.typedError", "running: no room"},
		{"given type wins", typedError{}, "timeout", "timeout", "otel.typedError", "no room"},
		{"unknown", errors.New("x"), "", "_OTHER", "*errors.errorString", "x"},
		{"joined", errors.Join(&net.DNSError{Err: "none", Name: "h"}, io.EOF), "broker", "broker", "*net.DNSError", "lookup h: none\nEOF"},
		{"several wrapped", fmt.Errorf("%w and %w", typedError{}, io.EOF), "", "out_of_memory", "otel.typedError", "no room and EOF"},
		{"signed URL", errors.New(`Put "https://b.s3/x.png?X-Amz-Signature=abc&X-Amz-Credential=k": EOF`), "storage", "storage",
			"*errors.errorString", `Put "https://b.s3/x.png?[redacted]": EOF`},
		{"bad UTF-8", errors.New("a\xffb"), "x", "x", "*errors.errorString", "a\uFFFDb"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := record(t, func(span trace.Span) { Fail(span, tt.err, tt.errType) })
			if s.Status().Code != codes.Error || s.Status().Description != tt.message {
				t.Errorf("status %+v", s.Status())
			}
			if diff := cmp.Diff(map[string]any{"error.type": tt.wantType}, attrsOf(s)); diff != "" {
				t.Errorf("attributes (-want +got):\n%s", diff)
			}
			if len(s.Events()) != 1 || s.Events()[0].Name != "exception" {
				t.Fatalf("events %v", s.Events())
			}
			want := map[string]any{"exception.type": tt.exception, "exception.message": tt.message}
			if diff := cmp.Diff(want, eventAttrs(s.Events()[0])); diff != "" {
				t.Errorf("event (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFailLeavesGoodSpansAlone(t *testing.T) {
	s := record(t, func(span trace.Span) { Fail(span, nil, "x") })
	if s.Status().Code != codes.Unset || len(s.Events()) != 0 || len(s.Attributes()) != 0 {
		t.Errorf("status %v, events %v, attributes %v", s.Status(), s.Events(), s.Attributes())
	}
}

func TestFailCutsLongMessages(t *testing.T) {
	s := record(t, func(span trace.Span) { Fail(span, errors.New(strings.Repeat("é", 5000)), "x") })
	got := s.Status().Description
	if n := utf8.RuneCountInString(got); n != maxMessage+1 || !utf8.ValidString(got) {
		t.Errorf("%d characters", n)
	}
}

func TestRecover(t *testing.T) {
	var got error
	s := record(t, func(span trace.Span) {
		got = func() (err error) {
			defer Recover(span, &err)
			panic(fmt.Errorf("index: %w", io.EOF))
		}()
	})
	var p *PanicError
	if !errors.As(got, &p) || !errors.Is(got, io.EOF) || ErrorTypeOf(got, "") != "panic" || got.Error() != "panic: index: EOF" {
		t.Fatalf("error %v", got)
	}
	if s.Status().Code != codes.Error || attrsOf(s)["error.type"] != "panic" {
		t.Errorf("status %v, attributes %v", s.Status(), attrsOf(s))
	}
	if stack, _ := eventAttrs(s.Events()[0])["exception.stacktrace"].(string); !strings.Contains(stack, "TestRecover") {
		t.Errorf("stack %q", stack)
	}
	if len(s.Events()) != 1 {
		t.Errorf("%d events", len(s.Events()))
	}
}

func TestRecoverWithoutPanic(t *testing.T) {
	want := errors.New("kept")
	s := record(t, func(span trace.Span) {
		err := func() (err error) {
			defer Recover(span, &err)
			return want
		}()
		if !errors.Is(err, want) {
			t.Errorf("error %v", err)
		}
	})
	if s.Status().Code != codes.Unset {
		t.Errorf("status %v", s.Status())
	}
}
