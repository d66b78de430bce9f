package otel

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Bucket boundaries. The SDK's default ones are meant for milliseconds.
var (
	// secondsLong are the GenAI conventions' own, two longer: a picture takes 10 ms to minutes.
	secondsLong = []float64{.01, .02, .04, .08, .16, .32, .64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84, 327.68}
	// secondsShort are the messaging conventions'.
	secondsShort = []float64{.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10}
	secondsQueue = []float64{.1, .5, 1, 5, 15, 60, 300, 900, 3600}
	rowsBuckets  = []float64{1, 2, 4, 8, 16, 32}
	bytesBuckets = []float64{16 << 10, 64 << 10, 256 << 10, 512 << 10, 1 << 20, 2 << 20, 4 << 20, 8 << 20, 16 << 20, 64 << 20}
)

// Metrics are the worker's instruments. A nil *Metrics does nothing, so that
// tests and tools need none. Give each method the context of the job's span,
// before it ends: exemplars come from it. Attributes are few-valued: never a
// batch, an index or a subject.
type Metrics struct {
	jobs, images, redeliveries, deadLetters, versions, uploadRetries, consumed metric.Int64Counter

	inFlight     metric.Int64UpDownCounter
	slots, ready metric.Int64Gauge

	modelLoad, warmup metric.Float64Gauge

	queueTime, stage, step, upload, process, operation, request metric.Float64Histogram

	rows, uploadSize metric.Int64Histogram

	models sync.Map // model name to metric.MeasurementOption; as many as are loaded
}

// NewMetrics creates the instruments on a meter.
func NewMetrics(m metric.Meter) (*Metrics, error) {
	var errs []error
	counter := func(name, unit, description string) metric.Int64Counter {
		c, err := m.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(description))
		errs = append(errs, err)
		return c
	}
	seconds := func(name, description string, bounds []float64) metric.Float64Histogram {
		h, err := m.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(description), metric.WithExplicitBucketBoundaries(bounds...))
		errs = append(errs, err)
		return h
	}
	sizes := func(name, unit, description string, bounds []float64) metric.Int64Histogram {
		h, err := m.Int64Histogram(name, metric.WithUnit(unit), metric.WithDescription(description), metric.WithExplicitBucketBoundaries(bounds...))
		errs = append(errs, err)
		return h
	}
	gauge := func(name, unit, description string) metric.Int64Gauge {
		g, err := m.Int64Gauge(name, metric.WithUnit(unit), metric.WithDescription(description))
		errs = append(errs, err)
		return g
	}
	secondsGauge := func(name, description string) metric.Float64Gauge {
		g, err := m.Float64Gauge(name, metric.WithUnit("s"), metric.WithDescription(description))
		errs = append(errs, err)
		return g
	}
	x := &Metrics{
		jobs:          counter("worker.jobs", "{job}", "Attempts at jobs, by outcome."),
		images:        counter("worker.images", "{image}", "Images stored."),
		redeliveries:  counter("worker.redeliveries", "{message}", "Deliveries beyond a message's first."),
		deadLetters:   counter("worker.dead_letters", "{job}", "Jobs given up and published as dead letters."),
		versions:      counter("worker.unknown_versions", "{job}", "Jobs handed back because their version is newer than this worker."),
		uploadRetries: counter("worker.upload.retries", "{retry}", "Requests to the store made again."),
		consumed:      counter("messaging.client.consumed.messages", "{message}", "Messages delivered, redeliveries included."),
		slots:         gauge("worker.slots", "{job}", "Jobs this worker may hold at once."),
		ready:         gauge("worker.ready", "", "1 while the worker is ready, 0 while it is not."),
		modelLoad:     secondsGauge("worker.model.load.duration", "Time the model took to load."),
		warmup:        secondsGauge("worker.warmup.duration", "Time the model took to warm up."),
		queueTime:     seconds("worker.job.queue_time", "Time from publishing to receipt.", secondsQueue),
		stage:         seconds("worker.inference.stage.duration", "Time of one stage of one job.", secondsLong),
		step:          seconds("worker.inference.step.duration", "Time of one UNet call.", secondsShort),
		rows:          sizes("worker.inference.batch.size", "{row}", "Rows in one UNet call, without padding.", rowsBuckets),
		upload:        seconds("worker.upload.duration", "Time of image encoding and upload.", secondsShort),
		uploadSize:    sizes("worker.upload.size", "By", "Size of the stored object.", bytesBuckets),
		process:       seconds("messaging.process.duration", "Time from receipt of a job to its settlement.", secondsLong),
		operation:     seconds("messaging.client.operation.duration", "Time of one exchange with the broker.", secondsShort),
		request:       seconds("gen_ai.server.request.duration", "Time of the inference of one job.", secondsLong),
	}
	var err error
	x.inFlight, err = m.Int64UpDownCounter("worker.jobs.in_flight", metric.WithUnit("{job}"), metric.WithDescription("Jobs held by this worker."))
	if err = errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	return x, nil
}

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
	m.jobs.Add(ctx, 1, with(JobOutcome.String(j.Outcome), optional(ModelName, j.Model), optional(ErrorType, j.ErrorType)))
	m.process.Record(ctx, j.Duration.Seconds(), with(
		MessagingSystem.String(SystemNATS), MessagingOperationName.String(OperationProcess),
		MessagingDestination.String(j.Stream), MessagingConsumerGroup.String(j.Consumer), optional(ErrorType, j.ErrorType)))
}

// Delivered counts a message received; count is its delivery count, from 1.
func (m *Metrics) Delivered(ctx context.Context, stream, consumer string, count uint64) {
	if m == nil {
		return
	}
	attrs := with(MessagingSystem.String(SystemNATS), MessagingOperationName.String(OperationReceive),
		MessagingDestination.String(stream), MessagingConsumerGroup.String(consumer))
	m.consumed.Add(ctx, 1, attrs)
	if count > 1 {
		m.redeliveries.Add(ctx, 1, attrs)
	}
}

// Operation records one exchange with the broker: an Operation constant for its name.
func (m *Metrics) Operation(ctx context.Context, name, errType string, d time.Duration) {
	if m == nil {
		return
	}
	m.operation.Record(ctx, d.Seconds(), with(MessagingSystem.String(SystemNATS), MessagingOperationName.String(name), optional(ErrorType, errType)))
}

// QueueTime records how long a job waited for this worker; clocks that disagree make it 0, not negative.
func (m *Metrics) QueueTime(ctx context.Context, model string, d time.Duration) {
	if m == nil {
		return
	}
	m.queueTime.Record(ctx, max(0, d.Seconds()), m.model(model))
}

// Stage records a stage by its span's name: tokenize, text_encode, denoise, vae_decode.
func (m *Metrics) Stage(ctx context.Context, model, stage string, d time.Duration) {
	if m == nil {
		return
	}
	m.stage.Record(ctx, d.Seconds(), with(stageKey.String(stage), ModelName.String(model)))
}

// Inference records a job's whole time in the engine.
func (m *Metrics) Inference(ctx context.Context, model, errType string, d time.Duration) {
	if m == nil {
		return
	}
	m.request.Record(ctx, d.Seconds(), with(GenAIOperationName.String(GenAIGenerateContent),
		GenAIProviderName.String(ProviderONNXRuntime), GenAIRequestModel.String(model), optional(ErrorType, errType)))
}

// Call records one UNet call: its time and the rows in it, padding not counted.
func (m *Metrics) Call(ctx context.Context, model string, rows int, d time.Duration) {
	if m == nil {
		return
	}
	attrs := m.model(model)
	m.step.Record(ctx, d.Seconds(), attrs)
	m.rows.Record(ctx, int64(rows), attrs)
}

// Upload records the way of an image into the store, and whether it got there (errType ""); retries are the requests beyond the first.
func (m *Metrics) Upload(ctx context.Context, model, errType string, retries int, d time.Duration) {
	if m == nil {
		return
	}
	m.upload.Record(ctx, d.Seconds(), with(ModelName.String(model), optional(ErrorType, errType)))
	m.uploadRetries.Add(ctx, int64(retries), m.model(model))
}

// Stored counts an image that was not in the store before.
func (m *Metrics) Stored(ctx context.Context, model string, size int64) {
	if m == nil {
		return
	}
	m.uploadSize.Record(ctx, size, m.model(model))
	m.images.Add(ctx, 1, m.model(model))
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

// Ready sets worker.ready.
func (m *Metrics) Ready(ctx context.Context, ready bool) {
	if m == nil {
		return
	}
	var n int64
	if ready {
		n = 1
	}
	m.ready.Record(ctx, n)
}

// DeadLetter counts a job given up.
func (m *Metrics) DeadLetter(ctx context.Context, model, errType string) {
	if m != nil {
		m.deadLetters.Add(ctx, 1, with(optional(ModelName, model), optional(ErrorType, errType)))
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
		m.modelLoad.Record(ctx, d.Seconds(), m.model(model))
	}
}

// WarmedUp sets how long the warm-up of a model took.
func (m *Metrics) WarmedUp(ctx context.Context, model string, d time.Duration) {
	if m != nil {
		m.warmup.Record(ctx, d.Seconds(), m.model(model))
	}
}

// model is the one attribute of most measurements, made once: a UNet call is
// measured many times a second.
func (m *Metrics) model(name string) metric.MeasurementOption {
	if attrs, ok := m.models.Load(name); ok {
		return attrs.(metric.MeasurementOption)
	}
	attrs := with(ModelName.String(name))
	m.models.Store(name, attrs)
	return attrs
}

// optional is an attribute that is left out when its value is empty.
func optional(key attribute.Key, value string) attribute.KeyValue {
	if value == "" {
		return attribute.KeyValue{}
	}
	return key.String(value)
}

// with makes an option of the attributes that are there. Adding and recording take the same.
func with(attrs ...attribute.KeyValue) metric.MeasurementOption {
	valid := attrs[:0]
	for _, a := range attrs {
		if a.Valid() {
			valid = append(valid, a)
		}
	}
	return metric.WithAttributeSet(attribute.NewSet(valid...))
}
