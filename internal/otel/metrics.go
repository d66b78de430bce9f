package otel

import (
	"errors"

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
	jobs, images, redeliveries, deadLetters, versions, uploadRetries, consumed, sent metric.Int64Counter

	inFlight        metric.Int64UpDownCounter
	slots, stranded metric.Int64Gauge

	modelLoad, warmup metric.Float64Gauge

	queueTime, stage, step, upload, process, operation, request metric.Float64Histogram

	rows, uploadSize metric.Int64Histogram

	labels labelCache
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
		sent:          counter("messaging.client.sent.messages", "{message}", "Messages that the broker has confirmed."),
		slots:         gauge("worker.slots", "{job}", "Jobs this worker may hold at once."),
		stranded:      gauge("worker.queue.stranded", "{message}", "Jobs in the queue that their consumer does not deliver: see enqueue repair."),
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
