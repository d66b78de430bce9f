package otel

import (
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// Config is what the environment says, read and validated once. The SDK's
// exporters parse the same variables each in their own way, and print what
// they cannot parse; so they are handed explicit options made from this.
type Config struct {
	// Disabled is OTEL_SDK_DISABLED: no spans, no metrics; context still passes through.
	Disabled bool
	// NoTracing is ENABLE_TRACING=false (fal's name), heard where OTEL_SDK_DISABLED is not set: no spans, but metrics.
	NoTracing bool
	// Resource holds OTEL_RESOURCE_ATTRIBUTES, with service.name from OTEL_SERVICE_NAME where that is set.
	Resource []attribute.KeyValue
	// Propagators are the OTEL_PROPAGATORS spoken: tracecontext, baggage; empty for none.
	Propagators []string
	// Mode is TRACE_PROPAGATION.
	Mode Mode
	// Sampler and Ratio are OTEL_TRACES_SAMPLER and _ARG, or OTEL_SAMPLE_RATE where neither is set.
	Sampler string
	Ratio   float64
	// KeepErrors is TRACE_KEEP_ERRORS: a failed job's spans are exported though its trace is not sampled.
	KeepErrors bool
	// Limits are the OTEL_SPAN_* limits; a value is cut at 4,095 characters unless said otherwise.
	Limits sdktrace.SpanLimits
	// Batch is OTEL_BSP_*, LogBatch is OTEL_BLRP_*.
	Batch, LogBatch Batch
	// LogLimits are the OTEL_LOGRECORD_* limits.
	LogLimits LogLimits
	// Traces, Metrics and Logs say where each signal goes.
	Traces, Metrics, Logs Signal
	// MetricInterval and MetricTimeout are OTEL_METRIC_EXPORT_INTERVAL and _TIMEOUT.
	MetricInterval, MetricTimeout time.Duration
	// Temporality is cumulative, delta or lowmemory; ExponentialHistograms asks for base-2 buckets.
	Temporality           string
	ExponentialHistograms bool
	// Exemplars is OTEL_METRICS_EXEMPLAR_FILTER: trace_based, always_on or always_off.
	Exemplars string
}

// Batch is how spans, or log records, wait for their export.
type Batch struct {
	Delay   time.Duration // longest wait of one for company
	Timeout time.Duration // longest time spent on one batch, retries included
	Queue   int           // most held; further ones are dropped and counted
	Size    int           // most in one request
}

// LogLimits bound a log record. A zero count or length is a limit like any other.
type LogLimits struct {
	AttributeCount       int // of one record
	AttributeValueLength int // in characters
}

// Problem is a variable that could not be taken as it stands. Its text never
// holds a header's name or value, nor credentials.
type Problem struct {
	Variable string
	Reason   string // what is wrong, and what is done instead
}

func (p Problem) String() string { return p.Variable + ": " + p.Reason }

// Values as the variables have them.
const (
	samplerAlwaysOn          = "always_on"
	samplerAlwaysOff         = "always_off"
	samplerRatio             = "traceidratio"
	samplerParentBasedOn     = "parentbased_always_on"
	samplerParentBasedOff    = "parentbased_always_off"
	samplerParentBasedRatio  = "parentbased_traceidratio"
	temporalityCumulative    = "cumulative"
	temporalityDelta         = "delta"
	temporalityLowMemory     = "lowmemory"
	histogramExplicitBuckets = "explicit_bucket_histogram"
	histogramExponential     = "base2_exponential_bucket_histogram"
	exemplarsTraceBased      = "trace_based"
	exemplarsAlwaysOn        = "always_on"
	exemplarsAlwaysOff       = "always_off"
)

// ParseConfig reads the variables through getenv (os.Getenv, or a test's map;
// nil is an empty environment) and the certificate files they name. It always
// returns a Config that works: what is bad is replaced by its default, or the
// signal is not exported, and a Problem says so.
func ParseConfig(getenv func(string) string) (Config, []Problem) {
	if getenv == nil {
		getenv = func(string) string { return "" }
	}
	e := &env{getenv: getenv}
	c := Config{
		Disabled:    e.flag("OTEL_SDK_DISABLED", false),
		NoTracing:   e.get("OTEL_SDK_DISABLED") == "" && !e.flag("ENABLE_TRACING", true),
		Resource:    e.resource(),
		Propagators: e.propagators(),
		Mode:        Mode(e.oneOf("TRACE_PROPAGATION", string(ModeParent), string(ModeLink), string(ModeIgnore))),
		KeepErrors:  e.flag("TRACE_KEEP_ERRORS", false),
		Limits:      e.limits(),
		// While a batch is retried the next ones wait in the queue, so patience costs nothing until it is full.
		Batch:          e.batch("OTEL_BSP_", 2*time.Second),
		LogBatch:       e.batch("OTEL_BLRP_", time.Second),
		LogLimits:      e.logLimits(),
		Traces:         e.signal("TRACES", "v1/traces"),
		Metrics:        e.signal("METRICS", "v1/metrics"),
		Logs:           e.signal("LOGS", "v1/logs"),
		MetricInterval: e.millis("OTEL_METRIC_EXPORT_INTERVAL", 60*time.Second, 100*time.Millisecond, time.Hour),
		MetricTimeout:  e.timeout("OTEL_METRIC_EXPORT_TIMEOUT", 30*time.Second, 100*time.Millisecond, 10*time.Minute),
		Temporality: e.oneOf("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
			temporalityCumulative, temporalityDelta, temporalityLowMemory),
		ExponentialHistograms: e.oneOf("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
			histogramExplicitBuckets, histogramExponential) == histogramExponential,
		Exemplars: e.oneOf("OTEL_METRICS_EXEMPLAR_FILTER", exemplarsTraceBased, exemplarsAlwaysOn, exemplarsAlwaysOff),
	}
	c.Sampler, c.Ratio = e.sampler()
	if e.get("OTEL_CONFIG_FILE") != "" {
		e.problemf("OTEL_CONFIG_FILE", "is not read: the other OTEL_* variables say everything")
	}
	return c, e.problems
}
