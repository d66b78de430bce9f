package otel

import (
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// labelKind says which attributes labels are the values of.
type labelKind uint8

const (
	kindModel     labelKind = iota // b model, c error.type
	kindOutcome                    // a outcome, b model, c error.type
	kindProcess                    // a stream, b consumer, c error.type
	kindReceive                    // a stream, b consumer
	kindPublish                    // a stream
	kindOperation                  // a name, c error.type
	kindStage                      // a stage, b model
	kindInference                  // b model, c error.type
)

// labels are the values of a measurement's attributes; an empty optional one is left out.
type labels struct {
	kind    labelKind
	a, b, c string
}

// options are labels as instruments take them.
type options struct {
	add    []metric.AddOption
	record []metric.RecordOption
}

// labelCache makes options once: a job is measured dozens of times, and sorting
// and hashing its attributes costs more than counting them. The zero value is ready.
type labelCache struct {
	mu    sync.RWMutex
	known map[labels]options
}

// mostLabels bounds the cache. Values are few, but names in bad jobs are anybody's.
const mostLabels = 4096

func (c *labelCache) get(l labels) options {
	c.mu.RLock()
	o, ok := c.known[l]
	c.mu.RUnlock()
	if ok {
		return o
	}
	set := with(l.attributes()...)
	o = options{[]metric.AddOption{set}, []metric.RecordOption{set}}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil {
		c.known = map[labels]options{}
	}
	if len(c.known) < mostLabels {
		c.known[l] = o
	}
	return o
}

// optional is an attribute that is left out when its value is empty.
func optional(key attribute.Key, value string) attribute.KeyValue {
	if value == "" {
		return attribute.KeyValue{}
	}
	return key.String(cleanText(value))
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
