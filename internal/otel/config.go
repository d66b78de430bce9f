package otel

import (
	"crypto/tls"
	"net/url"
	"slices"
	"strings"
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
	// Batch is OTEL_BSP_*.
	Batch Batch
	// Traces and Metrics say where each signal goes.
	Traces, Metrics Signal
	// MetricInterval and MetricTimeout are OTEL_METRIC_EXPORT_INTERVAL and _TIMEOUT.
	MetricInterval, MetricTimeout time.Duration
	// Temporality is cumulative, delta or lowmemory; ExponentialHistograms asks for base-2 buckets.
	Temporality           string
	ExponentialHistograms bool
}

// Batch is how spans wait for their export.
type Batch struct {
	Delay   time.Duration // longest wait of a finished span for company
	Timeout time.Duration // longest time spent on one batch, retries included
	Queue   int           // most finished spans held; further ones are dropped and counted
	Size    int           // most spans in one request
}

// Signal is where one signal goes. Nothing is exported where URL is nil and Console is false.
type Signal struct {
	Console bool              // to the writer of Options.Console
	URL     *url.URL          // final address, path included, without credentials; nil: no OTLP
	Headers map[string]string // secret
	Gzip    bool
	Timeout time.Duration // of one attempt
	TLS     *tls.Config   // nil: the system's roots, no client certificate
}

// Exported says whether the signal leaves the process.
func (s Signal) Exported() bool { return s.Console || s.URL != nil }

// Problem is a variable that could not be taken as it stands. Its text never
// holds a header's name or value, nor credentials.
type Problem struct {
	Variable string
	Reason   string // what is wrong, and what is done instead
}

func (p Problem) String() string { return p.Variable + ": " + p.Reason }

// Names of samplers, as OTEL_TRACES_SAMPLER has them.
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
		Disabled:       e.flag("OTEL_SDK_DISABLED", false),
		NoTracing:      e.get("OTEL_SDK_DISABLED") == "" && !e.flag("ENABLE_TRACING", true),
		Resource:       e.resource(),
		Propagators:    e.propagators(),
		Mode:           Mode(e.oneOf("TRACE_PROPAGATION", string(ModeParent), string(ModeLink), string(ModeIgnore))),
		KeepErrors:     e.flag("TRACE_KEEP_ERRORS", false),
		Limits:         e.limits(),
		Batch:          e.batch(),
		Traces:         e.signal("TRACES", "v1/traces"),
		Metrics:        e.signal("METRICS", "v1/metrics"),
		MetricInterval: e.millis("OTEL_METRIC_EXPORT_INTERVAL", 60*time.Second, 100*time.Millisecond, time.Hour),
		MetricTimeout:  e.millis("OTEL_METRIC_EXPORT_TIMEOUT", 30*time.Second, 100*time.Millisecond, 10*time.Minute),
		Temporality: e.oneOf("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
			temporalityCumulative, temporalityDelta, temporalityLowMemory),
		ExponentialHistograms: e.oneOf("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
			histogramExplicitBuckets, histogramExponential) == histogramExponential,
	}
	c.Sampler, c.Ratio = e.sampler()
	return c, e.problems
}

// signal reads what concerns one signal: its own variables where set, else the general ones.
func (e *env) signal(name, path string) Signal {
	var s Signal
	otlp := true
	exporters := "OTEL_" + name + "_EXPORTER"
	if list := e.list(exporters); len(list) > 0 {
		known := []string{"otlp", "console", "none"}
		if name == "METRICS" {
			known = append(known, "prometheus") // always there, at /metrics
		}
		if slices.ContainsFunc(list, func(x string) bool { return !slices.Contains(known, x) }) {
			e.problemf(exporters, "has an unknown exporter; known are %s; left out, otlp where nothing is left", strings.Join(known, ", "))
			list = slices.DeleteFunc(list, func(x string) bool { return !slices.Contains(known, x) })
			if len(list) == 0 {
				list = []string{"otlp"}
			}
		}
		none := slices.Contains(list, "none")
		s.Console = !none && slices.Contains(list, "console")
		otlp = !none && slices.Contains(list, "otlp")
	}
	s.Gzip, s.Timeout = true, 10*time.Second
	if !otlp {
		return s
	}
	const general = "OTEL_EXPORTER_OTLP_"
	own := general + name + "_"
	// of names the variable that rules: the signal's own, else the general one.
	of := func(suffix string) string {
		if e.get(own+suffix) != "" {
			return own + suffix
		}
		return general + suffix
	}
	endpoint := of("ENDPOINT")
	if e.get(endpoint) == "" {
		return s // the design's deviation from the standard's localhost:4318: no endpoint, no export, no complaint
	}
	var credentials string
	s.URL, credentials = e.endpoint(endpoint, of("INSECURE"), path, endpoint == own+"ENDPOINT")
	if s.URL == nil {
		return s
	}
	s.Headers = e.headers(of("HEADERS"))
	if _, set := s.Headers["Authorization"]; credentials != "" && !set {
		s.Headers["Authorization"] = credentials
	}
	s.Gzip = e.oneOf(of("COMPRESSION"), "gzip", "none") == "gzip"
	s.Timeout = e.millis(of("TIMEOUT"), s.Timeout, time.Millisecond, 10*time.Minute)
	e.oneOf(of("PROTOCOL"), "http/protobuf") // anything else is a problem, and http/protobuf is sent
	s.TLS = e.tls(s.URL.Scheme, of("CERTIFICATE"), of("CLIENT_CERTIFICATE"), of("CLIENT_KEY"))
	return s
}

// sampler reads OTEL_TRACES_SAMPLER and its argument; where neither is set, OTEL_SAMPLE_RATE.
func (e *env) sampler() (name string, ratio float64) {
	const nameVar, argVar, rateVar = "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG", "OTEL_SAMPLE_RATE"
	if e.get(nameVar) == "" && e.get(argVar) == "" && e.get(rateVar) != "" {
		return samplerParentBasedRatio, e.ratio(rateVar)
	}
	name = e.oneOf(nameVar, samplerParentBasedOn, samplerAlwaysOn, samplerAlwaysOff, samplerRatio,
		samplerParentBasedOff, samplerParentBasedRatio)
	if name != samplerRatio && name != samplerParentBasedRatio {
		return name, 1
	}
	return name, e.ratio(argVar)
}

// propagators reads OTEL_PROPAGATORS; what is not spoken here is a problem and left out.
func (e *env) propagators() []string {
	const name = "OTEL_PROPAGATORS"
	list := e.list(name)
	if len(list) == 0 {
		return []string{"tracecontext", "baggage"}
	}
	var out []string
	for _, p := range list {
		switch p {
		case "tracecontext", "baggage":
			if !slices.Contains(out, p) {
				out = append(out, p)
			}
		case "none":
			return nil
		default:
			e.problemf(name, "%q is not spoken; known are tracecontext, baggage, none; left out", printable(p))
		}
	}
	return out
}

// resource reads OTEL_RESOURCE_ATTRIBUTES (key=value, percent-decoded) and OTEL_SERVICE_NAME, which wins.
func (e *env) resource() []attribute.KeyValue {
	const name = "OTEL_RESOURCE_ATTRIBUTES"
	var out []attribute.KeyValue
	for i, pair := range strings.Split(e.get(name), ",") {
		if pair = strings.TrimSpace(pair); pair == "" {
			continue
		}
		k, v, ok := strings.Cut(pair, "=")
		k = strings.TrimSpace(k)
		if !ok || k == "" {
			e.problemf(name, "pair %d is not key=value; left out", i+1)
			continue
		}
		v = strings.TrimSpace(v)
		if decoded, err := url.PathUnescape(v); err == nil {
			v = decoded
		} else {
			e.problemf(name, "the value of pair %d has a bad percent-escape; taken literally (write %% as %%25)", i+1)
		}
		out = append(out, attribute.String(cleanText(k), cleanText(v)))
	}
	if service := e.get("OTEL_SERVICE_NAME"); service != "" {
		out = append(out, attribute.String("service.name", cleanText(service)))
	}
	return out
}

// batch reads OTEL_BSP_*. The SDK takes them unchecked: a negative size
// panics, a delay of zero spins a core, a queue of zero drops nearly everything.
func (e *env) batch() Batch {
	const sizeVar = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"
	b := Batch{
		Delay: e.millis("OTEL_BSP_SCHEDULE_DELAY", 2*time.Second, 100*time.Millisecond, 5*time.Minute),
		// While a batch is retried the next ones wait in the queue, so patience costs nothing until it is full.
		Timeout: e.millis("OTEL_BSP_EXPORT_TIMEOUT", 30*time.Second, 100*time.Millisecond, 10*time.Minute),
		Queue:   e.size("OTEL_BSP_MAX_QUEUE_SIZE", 4096, 1, 1<<20),
		Size:    e.size(sizeVar, 512, 1, 1<<16),
	}
	if b.Size > b.Queue {
		if e.get(sizeVar) != "" {
			e.problemf(sizeVar, "is larger than the queue; using %d", b.Queue)
		}
		b.Size = b.Queue
	}
	return b
}

// limits reads the limits of spans. Values are cut at 4,095 characters by
// default, the most that New Relic takes.
func (e *env) limits() sdktrace.SpanLimits {
	const most = 1 << 20
	length := e.size("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", 4095, 0, most)
	count := e.size("OTEL_ATTRIBUTE_COUNT_LIMIT", 128, 0, most)
	return sdktrace.SpanLimits{
		AttributeValueLengthLimit:   e.size("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", length, 0, most),
		AttributeValueDepthLimit:    sdktrace.DefaultAttributeValueDepthLimit,
		AttributeCountLimit:         e.size("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", count, 0, most),
		EventCountLimit:             e.size("OTEL_SPAN_EVENT_COUNT_LIMIT", 128, 0, most),
		LinkCountLimit:              e.size("OTEL_SPAN_LINK_COUNT_LIMIT", 128, 0, most),
		AttributePerEventCountLimit: e.size("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", 128, 0, most),
		AttributePerLinkCountLimit:  e.size("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", 128, 0, most),
	}
}

// printable is a value that is no secret, short enough for a log line.
func printable(s string) string {
	const most = 40
	if r := []rune(cleanText(s)); len(r) > most {
		return string(r[:most]) + "…"
	}
	return cleanText(s)
}
