package otel

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Backlog is what one consumer of the queue has before it.
type Backlog struct {
	Stream, Consumer           string
	Pending, Held, Redelivered int64
}

// ObserveBacklog makes metrics of the queue: worker.queue.pending, .ack_pending
// and .redelivered. read is called for every collection and must not block: it
// returns what was asked for last.
func (t *Telemetry) ObserveBacklog(read func() []Backlog) error {
	i := &instruments{meter: t.meter}
	pending := i.gauge("worker.queue.pending", "{message}", "Jobs that wait in the queue, as the broker said last.")
	held := i.gauge("worker.queue.ack_pending", "{message}", "Jobs that workers hold.")
	redelivered := i.gauge("worker.queue.redelivered", "{message}", "Jobs that workers hold, and not for the first time.")
	return i.observe(func(_ context.Context, o metric.Observer) error {
		for _, b := range read() {
			attrs := with(MessagingSystem.String(SystemNATS), MessagingDestination.String(b.Stream), MessagingConsumerGroup.String(b.Consumer))
			o.ObserveInt64(pending, b.Pending, attrs)
			o.ObserveInt64(held, b.Held, attrs)
			o.ObserveInt64(redelivered, b.Redelivered, attrs)
		}
		return nil
	})
}

// ObserveReady makes the metric worker.ready. read is called for every
// collection and must not block.
func (t *Telemetry) ObserveReady(read func() bool) error {
	i := &instruments{meter: t.meter}
	ready := i.gauge("worker.ready", "", "1 while the worker is ready, 0 while it is not: /readyz says why.")
	return i.observe(func(_ context.Context, o metric.Observer) error {
		var n int64
		if read() {
			n = 1
		}
		o.ObserveInt64(ready, n)
		return nil
	})
}

// Attributes of hardware.
const (
	hwID     = attribute.Key("hw.id")
	hwType   = attribute.Key("hw.type")
	hwModel  = attribute.Key("hw.model")
	hwVendor = attribute.Key("hw.vendor")
	hwDriver = attribute.Key("hw.driver_version")
)

// GPU is one device at one moment; nil is what it does not tell.
type GPU struct {
	ID, Model, Vendor, Driver string
	Utilization               *float64 // 0 to 1
	MemoryUsed, MemoryTotal   *float64 // bytes
	Temperature               *float64 // degrees Celsius
	Power                     *float64 // watts
	Errors                    *float64 // since the driver was loaded
}

// ObserveGPUs makes metrics of the devices under the conventions' names
// (hw.gpu.*, hw.temperature, hw.power, hw.errors). read must not block.
func (t *Telemetry) ObserveGPUs(read func() []GPU) error {
	i := &instruments{meter: t.meter}
	utilization := i.floatGauge("hw.gpu.utilization", "1", "Share of the time in which the GPU was at work.")
	used := i.upDown("hw.gpu.memory.usage", "By", "GPU memory in use.")
	total := i.upDown("hw.gpu.memory.limit", "By", "GPU memory there is.")
	share := i.floatGauge("hw.gpu.memory.utilization", "1", "Share of GPU memory in use.")
	temperature := i.floatGauge("hw.temperature", "Cel", "Temperature.")
	power := i.floatGauge("hw.power", "W", "Power drawn.")
	failures := i.counter("hw.errors", "{error}", "Uncorrected memory errors since the driver was loaded.")
	return i.observe(func(_ context.Context, o metric.Observer) error {
		for _, g := range read() {
			attrs := with(hwID.String(g.ID), hwType.String("gpu"), optional(hwModel, g.Model), optional(hwVendor, g.Vendor), optional(hwDriver, g.Driver))
			for _, f := range []struct {
				instrument metric.Float64Observable
				value      *float64
			}{{utilization, g.Utilization}, {temperature, g.Temperature}, {power, g.Power}} {
				if f.value != nil {
					o.ObserveFloat64(f.instrument, *f.value, attrs)
				}
			}
			for _, n := range []struct {
				instrument metric.Int64Observable
				value      *float64
			}{{used, g.MemoryUsed}, {total, g.MemoryTotal}, {failures, g.Errors}} {
				if n.value != nil {
					o.ObserveInt64(n.instrument, int64(*n.value), attrs)
				}
			}
			if g.MemoryUsed != nil && g.MemoryTotal != nil && *g.MemoryTotal > 0 {
				o.ObserveFloat64(share, *g.MemoryUsed / *g.MemoryTotal, attrs)
			}
		}
		return nil
	})
}
