package otel

import (
	"context"
	"sync/atomic"

	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// queueStats bounds and counts what waits before an exporter, the batch under
// way included. The SDK's own queues drop in silence, spans the newest and log
// records the oldest; here what finds no room is refused and counted.
type queueStats struct {
	signal    string
	limit     int64
	size      atomic.Int64
	processed atomic.Int64 // since the start, refused ones not included
	refused   atomic.Int64
}

// enter takes a place; false when there is none.
func (q *queueStats) enter() bool {
	if q.size.Add(1) > q.limit {
		q.size.Add(-1)
		q.refused.Add(1)
		return false
	}
	q.processed.Add(1)
	return true
}

func (q *queueStats) left(n int) { q.size.Add(int64(-n)) }

// spanQueue stands before the SDK's batch processor.
type spanQueue struct {
	sdktrace.SpanProcessor
	*queueStats
	losses        *losses
	started, live atomic.Int64 // sampled spans
}

// OnStart implements [sdktrace.SpanProcessor].
func (q *spanQueue) OnStart(ctx context.Context, s sdktrace.ReadWriteSpan) {
	if s.SpanContext().IsSampled() {
		q.started.Add(1)
		q.live.Add(1)
	}
	q.SpanProcessor.OnStart(ctx, s)
}

// OnEnd implements [sdktrace.SpanProcessor].
func (q *spanQueue) OnEnd(s sdktrace.ReadOnlySpan) {
	if !s.SpanContext().IsSampled() {
		return
	}
	if _, kept := s.(sampledSpan); !kept { // of those that keepErrors sends on the start was not counted
		q.live.Add(-1)
	}
	if !q.enter() {
		q.losses.add(signalTraces, reasonQueueFull, 1, nil)
		return
	}
	q.SpanProcessor.OnEnd(s)
}

// logQueue stands before the SDK's batch processor of log records.
type logQueue struct {
	sdklog.Processor
	*queueStats
	losses *losses
}

// OnEmit implements [sdklog.Processor].
func (q *logQueue) OnEmit(ctx context.Context, r *sdklog.Record) error {
	if !q.enter() {
		q.losses.add(signalLogs, reasonQueueFull, 1, nil)
		return nil
	}
	return q.Processor.OnEmit(ctx, r)
}
