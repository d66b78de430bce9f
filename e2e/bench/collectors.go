package main

import (
	"errors"

	"github.com/stipple-ai/stipple/internal/local/otlpd"
)

// collector is where a worker's telemetry goes.
type collector struct {
	name string
	*otlpd.Server
}

type collectors []collector

func (all collectors) stop() error {
	var errs []error
	for _, c := range all {
		errs = append(errs, c.Stop())
	}
	return errors.Join(errs...)
}

// startCollectors starts one that takes all three signals, and one that accepts them and never answers.
func startCollectors() (all collectors, err error) {
	for _, c := range []struct {
		name string
		mode otlpd.Mode
	}{{"with a collector", otlpd.Accept}, {"with one that hangs", otlpd.Hang}} {
		// Little is kept: the collector runs on the same cores.
		s, err := otlpd.Start(otlpd.Options{MaxSpans: 1, MaxRequests: 1})
		if err != nil {
			return nil, errors.Join(err, all.stop())
		}
		s.SetMode(c.mode)
		all = append(all, collector{c.name, s})
	}
	return all, nil
}

// env are the settings of a worker that exports to it.
func (c collector) env() []string {
	return []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + c.Endpoint()}
}
