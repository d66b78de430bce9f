package batch

import (
	"context"
	"strings"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/stipple-ai/stipple/internal/queue"
)

// Tracing is how publishing is traced. The zero value traces nothing.
//
// A batch of up to 1000 jobs has a PRODUCER span for each job, the root of that job's trace and linked to the
// span of the command; a larger one has a span for each chunk, under the command's, and the trace state of its
// jobs' context says so (see [ChunkStateKey]).
type Tracing struct {
	Tracer trace.Tracer                                          // nil makes no spans
	Inject func(ctx context.Context, header map[string][]string) // writes ctx's trace context into a message's header
	Fail   func(span trace.Span, err error)                      // marks a span as failed
}

// ChunkStateKey and ChunkStateValue are the entry of tracestate on a context that the jobs of a whole chunk share. A
// consumer that meets it starts a trace of its own, linked to that context, whatever else its rule is: a
// thousand pictures are not one trace.
const (
	ChunkStateKey   = "stipple"
	ChunkStateValue = "chunk"
)

// Attributes of publish spans, after the conventions for messaging; NATS has none of its own.
const (
	keySystem         = attribute.Key("messaging.system")
	keyOperation      = attribute.Key("messaging.operation.name")
	keyOperationType  = attribute.Key("messaging.operation.type")
	keyDestination    = attribute.Key("messaging.destination.name")
	keyTemplate       = attribute.Key("messaging.destination.template")
	keyMessageID      = attribute.Key("messaging.message.id")
	keyConversationID = attribute.Key("messaging.message.conversation_id")
	keyMessageCount   = attribute.Key("messaging.batch.message_count")
	keyServer         = attribute.Key("server.address")
	keyPort           = attribute.Key("server.port")
	keyStream         = attribute.Key("messaging.nats.stream")
	keySequence       = attribute.Key("messaging.nats.sequence")
	keyDuplicate      = attribute.Key("messaging.nats.duplicate")
	keyJobID          = attribute.Key("job.id")
	keyModel          = attribute.Key("model.name")
	keyPromptLength   = attribute.Key("prompt.length") // code points
	keySteps          = attribute.Key("num_inference_steps")
	keyGuidance       = attribute.Key("guidance_scale")
)

// publisher traces the publishing of one batch.
type publisher struct {
	Tracing
	queue Place
	names queue.Names
	each  bool // a span for each job
}

func newPublisher(t Tracing, q Place, total int64) publisher {
	if t.Tracer == nil {
		t.Tracer = noop.NewTracerProvider().Tracer("")
	}
	if t.Inject == nil {
		t.Inject = func(context.Context, map[string][]string) {}
	}
	if t.Fail == nil {
		t.Fail = func(trace.Span, error) {}
	}
	return publisher{Tracing: t, queue: q, names: q.Names(), each: total <= queue.ChunkSize}
}

// spans are those of one chunk: one for each job, or one for all.
type spans []trace.Span

// start begins the spans of a chunk and gives its messages their headers.
func (p publisher) start(ctx context.Context, chunk []queue.Message) spans {
	if p.each {
		all := make(spans, len(chunk))
		command := trace.LinkFromContext(ctx)
		for i := range chunk {
			own, span := p.Tracer.Start(ctx, p.spanName(chunk[i]), trace.WithNewRoot(), trace.WithLinks(command),
				trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(p.jobAttributes(chunk[i])...))
			chunk[i].Header = map[string][]string{}
			p.Inject(own, chunk[i].Header)
			all[i] = span // ended by end
		}
		return all
	}
	ctx, span := p.Tracer.Start(ctx, p.spanName(chunk[0]), trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(append(p.attributes(chunk[0]), keyMessageCount.Int(len(chunk)))...))
	header := map[string][]string{}
	p.Inject(shared(ctx), header)
	for i := range chunk {
		chunk[i].Header = header
	}
	return spans{span}
}

// shared marks ctx's trace context as that of a whole chunk.
func shared(ctx context.Context) context.Context {
	sc := trace.SpanContextFromContext(ctx)
	state, err := sc.TraceState().Insert(ChunkStateKey, ChunkStateValue)
	if err != nil {
		return ctx // not reached: the entry is well-formed, and a full list makes room
	}
	return trace.ContextWithSpanContext(ctx, sc.WithTraceState(state))
}

// end ends the spans of a chunk with what became of it.
func (p publisher) end(s spans, ack queue.Ack, err error) {
	host, port := p.queue.Server() // the one that took the chunk, of several
	for i, span := range s {
		if host != "" {
			span.SetAttributes(keyServer.String(host), keyPort.Int(port))
		}
		switch {
		case err != nil:
			p.Fail(span, err)
		case ack.Duplicate:
			span.SetAttributes(keyDuplicate.Bool(true))
		case ack.Sequence > 0:
			// The messages of an atomic batch are stored one behind the other; ack has the last one's sequence.
			span.SetAttributes(keySequence.Int64(int64(ack.Sequence) - int64(len(s)-1-i)))
		}
		span.End()
	}
}

// traceID is the trace id of the i-th job of a chunk, "" where there is none.
func (s spans) traceID(i int) string { return hexTraceID(s[min(i, len(s)-1)].SpanContext()) }

// traceID is the trace id of ctx, "" where there is none.
func traceID(ctx context.Context) string { return hexTraceID(trace.SpanContextFromContext(ctx)) }

func hexTraceID(sc trace.SpanContext) string {
	if !sc.HasTraceID() {
		return ""
	}
	return sc.TraceID().String()
}

// spanName is "publish" and the subject without the batch, of which there are any number.
func (p publisher) spanName(m queue.Message) string {
	subject := p.names.JobSubject(m.Priority, m.Job.Model, m.Job.BatchID)
	return "publish " + strings.TrimSuffix(subject, "."+m.Job.BatchID)
}

func (p publisher) attributes(m queue.Message) []attribute.KeyValue {
	return []attribute.KeyValue{
		keySystem.String("nats"), keyOperation.String("publish"), keyOperationType.String("send"),
		keyDestination.String(p.names.JobSubject(m.Priority, m.Job.Model, m.Job.BatchID)),
		keyTemplate.String(p.names.JobSubject(m.Priority, m.Job.Model, "{batch}")),
		keyStream.String(p.names.JobsStream()),
	}
}

func (p publisher) jobAttributes(m queue.Message) []attribute.KeyValue {
	j := m.Job
	id := j.ID
	if id == "" {
		id = j.Identity().String()
	}
	all := append(p.attributes(m), keyMessageID.String(j.Identity().MsgID()), keyConversationID.String(id),
		keyJobID.String(j.Identity().String()), keyModel.String(j.Model), keyPromptLength.Int(utf8.RuneCountInString(queue.Or(j.Prompt, ""))))
	if j.NumInferenceSteps != nil {
		all = append(all, keySteps.Int(*j.NumInferenceSteps))
	}
	if j.GuidanceScale != nil {
		all = append(all, keyGuidance.Float64(*j.GuidanceScale))
	}
	return all
}
