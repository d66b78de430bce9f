package batch

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/stipple-ai/stipple/internal/otel"
	"github.com/stipple-ai/stipple/internal/queue"
)

// recorder is a tracing whose spans can be looked at.
func recorder() (*tracetest.SpanRecorder, Tracing) {
	r := tracetest.NewSpanRecorder()
	p := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(r))
	return r, Tracing{
		Tracer: p.Tracer("test"),
		Inject: otel.Propagator{}.Inject,
		Fail:   func(span trace.Span, err error) { otel.Fail(span, err, "") },
	}
}

func attributes(s sdktrace.ReadOnlySpan) map[attribute.Key]any {
	all := map[attribute.Key]any{}
	for _, kv := range s.Attributes() {
		all[kv.Key] = kv.Value.AsInterface()
	}
	return all
}

func TestTraceOfASmallBatch(t *testing.T) {
	b := startBroker(t, queue.Layout{}, nil)
	rec, tracing := recorder()
	ctx, command := tracing.Tracer.Start(t.Context(), "enqueue")
	s := Submission{Batch: "b", Total: 2, Tracing: tracing, Plan: Plan{Rows: Args("café", ""), Defaults: queue.Job{Model: "sd.1", NumInferenceSteps: new(4), GuidanceScale: new(2.0)}}}
	var heard []Published
	s.OnJobs = func(jobs []Published) { heard = append(heard, jobs...) }
	if _, err := Submit(ctx, b.client, s); err != nil {
		t.Fatal(err)
	}
	command.End()
	spans := rec.Ended()
	if len(spans) != 3 {
		t.Fatalf("%d spans, want 3", len(spans))
	}
	traces := map[trace.TraceID]bool{command.SpanContext().TraceID(): true}
	for i, m := range b.wantJobs(t, "b", 2) {
		span := spans[i]
		if span.Name() != "publish jobs.normal.sd_1" || span.SpanKind() != trace.SpanKindProducer || span.Parent().IsValid() {
			t.Errorf("span %q of kind %v with parent %v", span.Name(), span.SpanKind(), span.Parent())
		}
		if len(span.Links()) != 1 || span.Links()[0].SpanContext.SpanID() != command.SpanContext().SpanID() {
			t.Errorf("links %v, want one to the command", span.Links())
		}
		if traces[span.SpanContext().TraceID()] {
			t.Error("two jobs share a trace")
		}
		traces[span.SpanContext().TraceID()] = true
		want := map[attribute.Key]any{
			otel.ServerAddress: "127.0.0.1", otel.ServerPort: b.port(t),
			otel.MessagingSystem: "nats", otel.MessagingOperationName: "publish", otel.MessagingOperationType: "send",
			otel.MessagingDestination: "jobs.normal.sd_1.b", otel.MessagingTemplate: "jobs.normal.sd_1.{batch}", otel.NATSStream: "JOBS",
			otel.MessagingMessageID: m.MsgID, otel.MessagingConversationID: m.MsgID, otel.JobID: m.MsgID, otel.NATSSequence: int64(i + 1),
			otel.ModelName: "sd.1", otel.PromptLength: int64([]int{4, 0}[i]), otel.NumInferenceSteps: int64(4), otel.GuidanceScale: 2.0,
		}
		if diff := cmp.Diff(want, attributes(span)); diff != "" {
			t.Errorf("attributes (-want +got):\n%s", diff)
		}
		parent := fmt.Sprintf("00-%s-%s-01", span.SpanContext().TraceID(), span.SpanContext().SpanID())
		if diff := cmp.Diff([]string{parent}, m.Header["traceparent"]); diff != "" {
			t.Errorf("traceparent (-want +got):\n%s", diff)
		}
		if m.Header["tracestate"] != nil {
			t.Errorf("tracestate %q", m.Header["tracestate"])
		}
		if heard[i].TraceID != span.SpanContext().TraceID().String() {
			t.Errorf("heard of trace %s, want %s", heard[i].TraceID, span.SpanContext().TraceID())
		}
	}
}

func TestTraceOfALargeBatch(t *testing.T) {
	b := startBroker(t, queue.Layout{}, nil)
	rec, tracing := recorder()
	ctx, command := tracing.Tracer.Start(t.Context(), "enqueue")
	s := seeds(t, "b", 1001)
	s.Tracing = tracing
	if _, err := Submit(ctx, b.client, s); err != nil {
		t.Fatal(err)
	}
	spans := rec.Ended()
	if len(spans) != 2 {
		t.Fatalf("%d spans, want one for each chunk", len(spans))
	}
	for i, span := range spans {
		if span.Name() != "publish jobs.normal.m" || span.SpanKind() != trace.SpanKindProducer || span.Parent().SpanID() != command.SpanContext().SpanID() {
			t.Errorf("span %q of kind %v under %v", span.Name(), span.SpanKind(), span.Parent().SpanID())
		}
		want := map[attribute.Key]any{
			otel.ServerAddress: "127.0.0.1", otel.ServerPort: b.port(t),
			otel.MessagingSystem: "nats", otel.MessagingOperationName: "publish", otel.MessagingOperationType: "send",
			otel.MessagingDestination: "jobs.normal.m.b", otel.MessagingTemplate: "jobs.normal.m.{batch}", otel.NATSStream: "JOBS",
			otel.MessagingBatchCount: int64([]int{1000, 1}[i]), otel.NATSSequence: int64([]int{1000, 1001}[i]),
		}
		if diff := cmp.Diff(want, attributes(span)); diff != "" {
			t.Errorf("attributes (-want +got):\n%s", diff)
		}
	}
	for i, m := range b.wantJobs(t, "b", 1001) {
		span := spans[i/1000].SpanContext()
		got := otel.Propagator{}.Extract(context.Background(), m.Header, nil)
		sc := trace.SpanContextFromContext(got)
		if sc.SpanID() != span.SpanID() || sc.TraceState().Get(ChunkStateKey) != ChunkStateValue {
			t.Fatalf("job %d carries %v, want the chunk's context with its mark", i, sc)
		}
	}
}

func TestTraceOfFailuresAndDuplicates(t *testing.T) {
	b := startBroker(t, queue.Layout{}, nil)
	rec, tracing := recorder()
	crash := errors.New("crash")
	s := seeds(t, "b", 1)
	s.Tracing = tracing
	if _, err := Submit(t.Context(), faulty{Queue: b.client, publish: func([]queue.Message) error { return crash }}, s); !errors.Is(err, crash) {
		t.Fatal(err)
	}
	if _, err := Submit(t.Context(), faulty{Queue: b.client, update: func(r queue.Batch) error {
		if r.Cursor == 1 {
			return crash
		}
		return nil
	}}, s); !errors.Is(err, crash) {
		t.Fatal(err)
	}
	s.OnJobs = func(jobs []Published) {
		if jobs[0].TraceID != "" {
			t.Errorf("trace %s of a job that carries another", jobs[0].TraceID)
		}
	}
	if _, err := Submit(t.Context(), b.client, s); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, span := range rec.Ended() {
		a := attributes(span)
		got = append(got, fmt.Sprint(span.Status().Code, " ", a["error.type"], " ", a[otel.NATSDuplicate], " ", a[otel.NATSSequence]))
	}
	if diff := cmp.Diff([]string{"Error _OTHER <nil> <nil>", "Unset <nil> <nil> 1", "Unset <nil> true <nil>"}, got); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
}

// TestWithoutTracing publishes with neither tracer nor propagator.
func TestWithoutTracing(t *testing.T) {
	b := startBroker(t, queue.Layout{}, nil)
	if _, err := Submit(t.Context(), b.client, seeds(t, "b", 3)); err != nil {
		t.Fatal(err)
	}
	for _, m := range b.wantJobs(t, "b", 3) {
		if len(m.Header["traceparent"]) != 0 {
			t.Errorf("header %v", m.Header)
		}
	}
}

// The keys are written out in trace.go because the package that names them is a sibling.
func TestAttributeKeysAreThoseOfTheTelemetryPackage(t *testing.T) {
	for key, want := range map[attribute.Key]attribute.Key{
		keySystem: otel.MessagingSystem, keyOperation: otel.MessagingOperationName, keyOperationType: otel.MessagingOperationType,
		keyDestination: otel.MessagingDestination, keyTemplate: otel.MessagingTemplate, keyMessageID: otel.MessagingMessageID,
		keyConversationID: otel.MessagingConversationID, keyMessageCount: otel.MessagingBatchCount, keyServer: otel.ServerAddress, keyPort: otel.ServerPort, keyStream: otel.NATSStream,
		keySequence: otel.NATSSequence, keyDuplicate: otel.NATSDuplicate, keyJobID: otel.JobID, keyModel: otel.ModelName,
		keyPromptLength: otel.PromptLength, keySteps: otel.NumInferenceSteps, keyGuidance: otel.GuidanceScale,
	} {
		if key != want {
			t.Errorf("key %s, want %s", key, want)
		}
	}
}
