package otel

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
)

// JobStats is one attempt at a job, as it was settled.
type JobStats struct {
	Model     string // "" where it could not be read
	Outcome   string // an Outcome constant
	ErrorType string // "" unless it failed
	Stream    string // low-cardinality destination
	Consumer  string
	Duration  time.Duration // from receipt to settlement
}

// JobDone counts an attempt and its duration.
func (m *Metrics) JobDone(ctx context.Context, j JobStats) {
	if m == nil {
		return
	}
	done := m.labels.get(labels{kind: kindOutcome, a: j.Outcome, b: j.Model, c: j.ErrorType})
	m.jobs.Add(ctx, 1, done.add...)
	processed := m.labels.get(labels{kind: kindProcess, a: j.Stream, b: j.Consumer, c: j.ErrorType})
	m.process.Record(ctx, j.Duration.Seconds(), processed.record...)
}

// Delivered counts a message received; count is its delivery count, from 1.
func (m *Metrics) Delivered(ctx context.Context, stream, consumer string, count uint64) {
	if m == nil {
		return
	}
	o := m.labels.get(labels{kind: kindReceive, a: stream, b: consumer})
	m.consumed.Add(ctx, 1, o.add...)
	if count > 1 {
		m.redeliveries.Add(ctx, 1, o.add...)
	}
}

// Sent counts messages published to a stream and confirmed.
func (m *Metrics) Sent(ctx context.Context, stream string, n int) {
	if m != nil {
		m.sent.Add(ctx, int64(n), m.labels.get(labels{kind: kindPublish, a: stream}).add...)
	}
}

// Operation records one exchange with the broker: an Operation constant for its name.
func (m *Metrics) Operation(ctx context.Context, name, errType string, d time.Duration) {
	if m != nil {
		m.operation.Record(ctx, d.Seconds(), m.labels.get(labels{kind: kindOperation, a: name, c: errType}).record...)
	}
}

// QueueTime records how long a job waited for this worker; clocks that disagree make it 0, not negative.
func (m *Metrics) QueueTime(ctx context.Context, model string, d time.Duration) {
	if m != nil {
		m.queueTime.Record(ctx, max(0, d.Seconds()), m.model(model).record...)
	}
}

// Stage records a stage by its span's name: tokenize, text_encode, denoise, vae_decode.
func (m *Metrics) Stage(ctx context.Context, model, stage string, d time.Duration) {
	if m != nil {
		m.stage.Record(ctx, d.Seconds(), m.labels.get(labels{kind: kindStage, a: stage, b: model}).record...)
	}
}

// Inference records a job's whole time in the engine.
func (m *Metrics) Inference(ctx context.Context, model, errType string, d time.Duration) {
	if m != nil {
		m.request.Record(ctx, d.Seconds(), m.labels.get(labels{kind: kindInference, b: model, c: errType}).record...)
	}
}

// Call records one UNet call: its time and the rows in it, padding not counted.
// Jobs share a call, so no trace is an example of it: ctx has no span.
func (m *Metrics) Call(ctx context.Context, model string, rows int, d time.Duration) {
	if m == nil {
		return
	}
	o := m.model(model)
	m.step.Record(ctx, d.Seconds(), o.record...)
	m.rows.Record(ctx, int64(rows), o.record...)
}

// Upload records the way of an image into the store, and whether it got there (errType ""); retries are the requests beyond the first.
func (m *Metrics) Upload(ctx context.Context, model, errType string, retries int, d time.Duration) {
	if m == nil {
		return
	}
	m.upload.Record(ctx, d.Seconds(), m.labels.get(labels{kind: kindModel, b: model, c: errType}).record...)
	m.uploadRetries.Add(ctx, int64(retries), m.model(model).add...)
}

// Stored counts an image that was not in the store before.
func (m *Metrics) Stored(ctx context.Context, model string, size int64) {
	if m == nil {
		return
	}
	o := m.model(model)
	m.uploadSize.Record(ctx, size, o.record...)
	m.images.Add(ctx, 1, o.add...)
}

// InFlight adds to the jobs held: 1 at receipt, -1 at settlement.
func (m *Metrics) InFlight(ctx context.Context, delta int) {
	if m != nil {
		m.inFlight.Add(ctx, int64(delta))
	}
}

// Slots sets how many jobs may be held at once.
func (m *Metrics) Slots(ctx context.Context, n int) {
	if m != nil {
		m.slots.Record(ctx, int64(n))
	}
}

// Stranded sets how many jobs lie in the queue that their consumer does not deliver.
func (m *Metrics) Stranded(ctx context.Context, stream, consumer string, n int64) {
	if m != nil {
		m.stranded.Record(ctx, n, with(MessagingSystem.String(SystemNATS), MessagingDestination.String(stream), MessagingConsumerGroup.String(consumer)))
	}
}

// DeadLetter counts a job given up.
func (m *Metrics) DeadLetter(ctx context.Context, model, errType string) {
	if m != nil {
		m.deadLetters.Add(ctx, 1, m.labels.get(labels{kind: kindModel, b: model, c: errType}).add...)
	}
}

// UnknownVersion counts a job handed back because its version is newer than ours.
func (m *Metrics) UnknownVersion(ctx context.Context) {
	if m != nil {
		m.versions.Add(ctx, 1)
	}
}

// ModelLoaded sets how long a model took to load.
func (m *Metrics) ModelLoaded(ctx context.Context, model string, d time.Duration) {
	if m != nil {
		m.modelLoad.Record(ctx, d.Seconds(), m.model(model).record...)
	}
}

// WarmedUp sets how long the warm-up of a model took.
func (m *Metrics) WarmedUp(ctx context.Context, model string, d time.Duration) {
	if m != nil {
		m.warmup.Record(ctx, d.Seconds(), m.model(model).record...)
	}
}

// model is the one attribute of most measurements.
func (m *Metrics) model(name string) options {
	return m.labels.get(labels{kind: kindModel, b: name})
}

// attributes are what a measurement's labels stand for.
func (l labels) attributes() []attribute.KeyValue {
	model, failed := optional(ModelName, l.b), optional(ErrorType, l.c)
	switch l.kind {
	case kindOutcome:
		return []attribute.KeyValue{JobOutcome.String(l.a), model, failed}
	case kindProcess, kindReceive:
		name := OperationProcess
		if l.kind == kindReceive {
			name = OperationReceive
		}
		return []attribute.KeyValue{MessagingSystem.String(SystemNATS), MessagingOperationName.String(name),
			MessagingDestination.String(l.a), MessagingConsumerGroup.String(l.b), failed}
	case kindPublish:
		return []attribute.KeyValue{MessagingSystem.String(SystemNATS), MessagingOperationName.String(OperationPublish), MessagingDestination.String(l.a)}
	case kindOperation:
		return []attribute.KeyValue{MessagingSystem.String(SystemNATS), MessagingOperationName.String(l.a), failed}
	case kindStage:
		return []attribute.KeyValue{stageKey.String(l.a), model}
	case kindInference:
		return []attribute.KeyValue{GenAIOperationName.String(GenAIGenerateContent), GenAIProviderName.String(ProviderONNXRuntime), GenAIRequestModel.String(l.b), failed}
	default:
		return []attribute.KeyValue{model, failed}
	}
}
