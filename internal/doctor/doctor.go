// Package doctor looks at everything that a worker needs before it works: its queue, its store, the runtime with its
// models, and the collectors of its telemetry. It says what is wrong and how to mend it, and leaves nothing behind: what
// it puts into the bucket it deletes, and the queue refuses what it sends.
package doctor

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/stipple-ai/stipple/internal/infer/ort"
	"github.com/stipple-ai/stipple/internal/otel"
	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/upload"
)

// Status is how a check ended.
type Status string

// How a check ends.
const (
	OK      Status = "ok"
	Warning Status = "warning" // it costs something; jobs are done all the same
	Failed  Status = "failed"
	Skipped Status = "skipped" // because of what failed before, or since nobody asked for it
)

// Areas of checks, in the order of the report.
const (
	AreaSettings  = "settings"
	AreaQueue     = "queue"
	AreaStore     = "store"
	AreaModels    = "models"
	AreaTelemetry = "telemetry"
)

// Check is one thing that was looked at.
type Check struct {
	Area   string `json:"area"`
	Name   string `json:"name"`
	Status Status `json:"status"`
	Detail string `json:"detail,omitempty"` // what was found
	Mend   string `json:"mend,omitempty"`   // what to do about it
}

// Model is a pipeline to look at. Absent says why there is nothing to load: it was not downloaded yet, which a worker would do, or cannot be.
type Model struct {
	Name, Dir string
	Source    string // the URL it comes from; "" for a folder
	Absent    error
	Later     bool // a worker would download it: no failure
}

// Config is what a worker would be told. The zero value looks at a broker on this machine and finds the rest missing.
type Config struct {
	Settings     []error // that cannot work, and were found before
	Queue        queue.Config
	Store        upload.Config
	Runtime      ort.Options
	Models       []Model
	FellBack     error               // why the CPU takes the provider's place, which PROVIDER_FALLBACK asked for
	ModelReplace bool                // MODEL_REPLACE
	Getenv       func(string) string // for the OTEL_* variables
	Transport    http.RoundTripper   // carries the requests to collectors; nil is the network
}

// Bounds of an area; loading a model takes as long as it takes.
const (
	queueTime     = 2 * time.Minute // far above what a broker that answers needs, and one that does not ends sooner
	storeTime     = time.Minute
	telemetryTime = time.Minute
)

// Run looks at all areas at once and returns what it found, in their order. It ends with ctx, and what was not looked at is then missing or failed.
func Run(ctx context.Context, c Config) Report {
	if c.Queue.Logger == nil {
		c.Queue.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Runtime.Logger == nil {
		c.Runtime.Logger = slog.New(slog.DiscardHandler)
	}
	var broker, store, models, telemetry []Check
	digests := map[string]string{}
	var areas sync.WaitGroup // of the four below, which end with their contexts
	within := func(limit time.Duration, look func(context.Context)) {
		areas.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			look(ctx)
		})
	}
	within(queueTime, func(ctx context.Context) { broker = c.lookAtQueue(ctx) })
	within(storeTime, func(ctx context.Context) { store = c.lookAtStore(ctx) })
	within(telemetryTime, func(ctx context.Context) { telemetry = c.lookAtTelemetry(ctx) })
	areas.Go(func() { models, digests = c.lookAtModels(ctx) })
	areas.Wait()
	if only(broker, OK, Warning) {
		broker = append(broker, c.lookAtRegistry(ctx, digests)...)
	}
	var r Report
	for _, err := range c.Settings {
		r.Checks = append(r.Checks, failed(AreaSettings, "flags", err.Error(), "correct the setting; worker -h has them all"))
	}
	for _, area := range [][]Check{broker, store, models, telemetry} {
		r.Checks = append(r.Checks, area...)
	}
	r.OK = only(r.Checks, OK, Warning, Skipped)
	return r
}

func failed(area, name, detail, mend string) Check { return Check{area, name, Failed, detail, mend} }

// only reports whether every check ended as one of s.
func only(checks []Check, s ...Status) bool {
	return !slices.ContainsFunc(checks, func(c Check) bool { return !slices.Contains(s, c.Status) })
}

// lookAtTelemetry asks each signal's collector.
func (c Config) lookAtTelemetry(ctx context.Context) []Check {
	problems, answers := otel.Probe(ctx, otel.Options{Getenv: c.Getenv, Transport: c.Transport})
	var checks []Check
	for _, p := range problems {
		checks = append(checks, Check{AreaTelemetry, p.Variable, Warning, p.Reason, "correct the variable"})
	}
	for _, a := range answers {
		check := Check{AreaTelemetry, a.Signal, OK, a.Detail, a.Mend}
		if a.URL != "" {
			check.Detail = a.URL + " " + a.Detail
		}
		if a.Err != nil {
			check.Detail += ": " + a.Err.Error()
			check.Status = Failed
			if a.Warning {
				check.Status = Warning
			}
		}
		checks = append(checks, check)
	}
	return checks
}
