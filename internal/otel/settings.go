package otel

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

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

// batch reads OTEL_BSP_* or OTEL_BLRP_*. The SDK takes the former unchecked: a
// negative size panics, a delay of zero spins a core, a queue of zero drops nearly everything.
func (e *env) batch(prefix string, delay time.Duration) Batch {
	sizeVar := prefix + "MAX_EXPORT_BATCH_SIZE"
	b := Batch{
		Delay:   e.millis(prefix+"SCHEDULE_DELAY", delay, 100*time.Millisecond, 5*time.Minute),
		Timeout: e.timeout(prefix+"EXPORT_TIMEOUT", 30*time.Second, 100*time.Millisecond, 10*time.Minute),
		Queue:   e.size(prefix+"MAX_QUEUE_SIZE", 4096, 1, 1<<20),
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
	length, count := e.attributeLimits()
	return sdktrace.SpanLimits{
		AttributeValueLengthLimit:   e.size("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", length, 0, mostOfAny),
		AttributeValueDepthLimit:    sdktrace.DefaultAttributeValueDepthLimit,
		AttributeCountLimit:         e.size("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", count, 0, mostOfAny),
		EventCountLimit:             e.size("OTEL_SPAN_EVENT_COUNT_LIMIT", 128, 0, mostOfAny),
		LinkCountLimit:              e.size("OTEL_SPAN_LINK_COUNT_LIMIT", 128, 0, mostOfAny),
		AttributePerEventCountLimit: e.size("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", 128, 0, mostOfAny),
		AttributePerLinkCountLimit:  e.size("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", 128, 0, mostOfAny),
	}
}

// mostOfAny is the largest limit that is believed.
const mostOfAny = 1 << 20

// attributeLimits reads the limits that hold for spans and log records alike.
func (e *env) attributeLimits() (length, count int) {
	return e.size("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", 4095, 0, mostOfAny), e.size("OTEL_ATTRIBUTE_COUNT_LIMIT", 128, 0, mostOfAny)
}

func (e *env) logLimits() LogLimits {
	length, count := e.attributeLimits()
	return LogLimits{
		AttributeValueLength: e.size("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", length, 0, mostOfAny),
		AttributeCount:       e.size("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", count, 0, mostOfAny),
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
