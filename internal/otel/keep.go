package otel

import (
	"context"
	"slices"
	"sync"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Bounds of what keepErrors holds: jobs whose local root has not ended, and spans of one job, under way and ended.
const (
	keepJobs  = 1024
	keepSpans = 64
)

// keepErrors saves failed jobs from sampling (TRACE_KEEP_ERRORS): it holds the
// unsampled spans of a job until its local root ends (the span without a parent
// in this process), and passes them on if one has failed. Several jobs may be
// of one trace, that of the request that asked for them. It needs a sampler
// that records all, and costs what recording costs.
type keepErrors struct {
	sdktrace.SpanProcessor // what comes after

	mu   sync.Mutex
	jobs int // whose root is in open
	open map[spanID]*keptJob
}

// spanID is a span of any trace.
type spanID struct {
	trace trace.TraceID
	span  trace.SpanID
}

func idOf(sc trace.SpanContext) spanID { return spanID{sc.TraceID(), sc.SpanID()} }

// keptJob is the spans below a local root, and that.
type keptJob struct {
	open   int // spans that have not ended
	ended  []sdktrace.ReadOnlySpan
	over   bool // the root has ended
	failed bool // and so had a span until then
}

func newKeepErrors(next sdktrace.SpanProcessor) *keepErrors {
	return &keepErrors{SpanProcessor: next, open: map[spanID]*keptJob{}}
}

// OnStart implements [sdktrace.SpanProcessor].
func (k *keepErrors) OnStart(ctx context.Context, s sdktrace.ReadWriteSpan) {
	if !s.SpanContext().IsSampled() {
		k.begin(s)
	}
	k.SpanProcessor.OnStart(ctx, s)
}

// OnEnd implements [sdktrace.SpanProcessor].
func (k *keepErrors) OnEnd(s sdktrace.ReadOnlySpan) {
	if s.SpanContext().IsSampled() {
		k.SpanProcessor.OnEnd(s)
		return
	}
	for _, kept := range k.end(s) {
		k.SpanProcessor.OnEnd(sampledSpan{kept})
	}
}

// isLocalRoot reports whether a span has no parent in this process.
func isLocalRoot(s sdktrace.ReadOnlySpan) bool { return !s.Parent().IsValid() || s.Parent().IsRemote() }

// begin notes which job a span is of, where there is room.
func (k *keepErrors) begin(s sdktrace.ReadOnlySpan) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var job *keptJob
	if isLocalRoot(s) {
		if k.jobs >= keepJobs {
			return
		}
		k.jobs++
		job = &keptJob{}
	} else if job = k.open[idOf(s.Parent())]; job == nil || job.open > keepSpans {
		return
	}
	job.open++
	k.open[idOf(s.SpanContext())] = job
}

// end keeps a span, and returns those to be passed on, if any.
func (k *keepErrors) end(s sdktrace.ReadOnlySpan) []sdktrace.ReadOnlySpan {
	id, root := idOf(s.SpanContext()), isLocalRoot(s)
	k.mu.Lock()
	defer k.mu.Unlock()
	job, known := k.open[id]
	switch {
	case known:
		delete(k.open, id)
		job.open--
		if root {
			k.jobs--
		}
	case root: // it always finds room: it is the span that says what became of the job
		job = &keptJob{}
	default:
		return nil
	}
	if !root && !job.over {
		if len(job.ended) < keepSpans {
			job.ended = append(job.ended, s)
		}
		return nil
	}
	spans := slices.Concat(job.ended, []sdktrace.ReadOnlySpan{s})
	job.ended = nil
	if root {
		job.over = true
		job.failed = slices.ContainsFunc(spans, func(x sdktrace.ReadOnlySpan) bool { return x.Status().Code == codes.Error })
	}
	if job.failed {
		return spans // of a root that has ended: a late one
	}
	return nil
}

// Shutdown implements [sdktrace.SpanProcessor]; jobs that have not ended have not failed.
func (k *keepErrors) Shutdown(ctx context.Context) error {
	k.mu.Lock()
	clear(k.open)
	k.jobs = 0
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
