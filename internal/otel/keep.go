package otel

import (
	"context"
	"sync"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Bounds of what keepErrors holds: traces whose local root has not ended, and spans of one trace.
const (
	keepTraces = 1024
	keepSpans  = 64
)

// keepErrors saves failed jobs from sampling (TRACE_KEEP_ERRORS): it holds the
// unsampled spans of a trace until the local root ends (the span without a
// parent in this process: one job's), and passes them on if one has failed. It
// needs a sampler that records all, and costs what recording costs.
type keepErrors struct {
	sdktrace.SpanProcessor // what comes after

	mu   sync.Mutex
	held map[trace.TraceID][]sdktrace.ReadOnlySpan
}

func newKeepErrors(next sdktrace.SpanProcessor) *keepErrors {
	return &keepErrors{SpanProcessor: next, held: map[trace.TraceID][]sdktrace.ReadOnlySpan{}}
}

// OnEnd implements [sdktrace.SpanProcessor].
func (k *keepErrors) OnEnd(s sdktrace.ReadOnlySpan) {
	if s.SpanContext().IsSampled() {
		k.SpanProcessor.OnEnd(s)
		return
	}
	for _, kept := range k.hold(s) {
		k.SpanProcessor.OnEnd(sampledSpan{kept})
	}
}

// hold keeps a span, and returns those to be passed on, if any.
func (k *keepErrors) hold(s sdktrace.ReadOnlySpan) []sdktrace.ReadOnlySpan {
	id := s.SpanContext().TraceID()
	k.mu.Lock()
	defer k.mu.Unlock()
	spans := k.held[id]
	if root := !s.Parent().IsValid() || s.Parent().IsRemote(); root {
		delete(k.held, id)
		// A root always finds room; it is the span that says what became of the job.
		spans = append(spans, s)
		for _, x := range spans {
			if x.Status().Code == codes.Error {
				return spans
			}
		}
		return nil
	}
	if len(spans) < keepSpans && (spans != nil || len(k.held) < keepTraces) {
		k.held[id] = append(spans, s)
	}
	return nil
}

// Shutdown implements [sdktrace.SpanProcessor]; jobs that have not ended have not failed.
func (k *keepErrors) Shutdown(ctx context.Context) error {
	k.mu.Lock()
	clear(k.held)
	k.mu.Unlock()
	return k.SpanProcessor.Shutdown(ctx)
}

// sampledSpan says that it is sampled; the batch processor drops others.
type sampledSpan struct{ sdktrace.ReadOnlySpan }

// SpanContext implements [sdktrace.ReadOnlySpan].
func (s sampledSpan) SpanContext() trace.SpanContext {
	sc := s.ReadOnlySpan.SpanContext()
	return sc.WithTraceFlags(sc.TraceFlags().WithSampled(true))
}
