package otel

import (
	"errors"

	"go.opentelemetry.io/otel/metric"
)

// instruments makes instruments that are read when somebody collects.
type instruments struct {
	meter metric.Meter
	all   []metric.Observable
	err   error
}

func (i *instruments) counter(name, unit, description string) metric.Int64Observable {
	c, err := i.meter.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
	i.all, i.err = append(i.all, c), errors.Join(i.err, err)
	return c
}

func (i *instruments) upDown(name, unit, description string) metric.Int64Observable {
	c, err := i.meter.Int64ObservableUpDownCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
	i.all, i.err = append(i.all, c), errors.Join(i.err, err)
	return c
}

func (i *instruments) gauge(name, unit, description string) metric.Int64Observable {
	g, err := i.meter.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(description))
	i.all, i.err = append(i.all, g), errors.Join(i.err, err)
	return g
}

func (i *instruments) floatGauge(name, unit, description string) metric.Float64Observable {
	g, err := i.meter.Float64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(description))
	i.all, i.err = append(i.all, g), errors.Join(i.err, err)
	return g
}

// observe makes the callback that reads them all when a reader collects.
func (i *instruments) observe(callback metric.Callback) error {
	if i.err != nil {
		return i.err
	}
	_, err := i.meter.RegisterCallback(callback, i.all...)
	return err
}
