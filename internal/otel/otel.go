// Package otel sets up OpenTelemetry for a process: tracer, meter and logger providers
// from the standard OTEL_* variables, trace context in message headers, and a
// shutdown that no collector can hold up. It follows one rule: telemetry never
// costs a job. What is misconfigured is said once and worked around; what
// cannot be delivered is counted and dropped.
//
// It alone imports the OpenTelemetry SDK and its exporters; other packages use
// the API and are handed a tracer.
package otel

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"

	"github.com/go-logr/logr"
	"github.com/google/uuid"
	otelapi "go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

// scope names this program's instrumentation.
const scope = "github.com/stipple-ai/stipple"

// Options are what a command knows. The zero value works: no variables, no log.
type Options struct {
	// Getenv reads the OTEL_* variables; nil reads none. Commands pass os.Getenv.
	Getenv func(string) string
	// Logger writes what [Telemetry.Logger] is told, and telemetry's own problems and
	// losses; it must not lead back to OpenTelemetry. nil: nobody is told.
	Logger *slog.Logger
	// ServiceName is service.name where the environment has none; "" means text-to-image.
	ServiceName string
	// ServiceVersion is service.version; "" leaves it out.
	ServiceVersion string
	// InstanceID is service.instance.id; "" draws a UUID.
	InstanceID string
	// Console is where OTEL_*_EXPORTER=console writes, all signals side
	// by side. Commands pass standard output, as the standard says; nil throws it away.
	Console io.Writer
	// Transport carries the requests to the collector; nil means the network,
	// with the certificates and proxies that the environment names.
	Transport http.RoundTripper
}

// Telemetry is a process's providers. Set it up once, shut it down once.
// All methods are safe for concurrent use.
type Telemetry struct {
	// Metrics are the instruments; nil when the SDK is disabled, which they allow.
	Metrics *Metrics
	// Propagator carries trace context, also when the SDK is disabled.
	Propagator Propagator

	config  Config
	tracer  trace.Tracer
	meter   metric.Meter
	logger  *slog.Logger
	handler http.Handler
	losses  *losses
	stops   []func(context.Context) error // one for each provider, run side by side
	senders []*sender
	queues  []*queueStats
	idle    []*http.Transport
	stop    sync.Once
	lost    error // what Shutdown returned; written by stop
}

// Setup reads the environment and builds the providers. Problems of
// configuration are logged, one line each, and are no errors; an error means
// that the providers themselves could not be built. It points OpenTelemetry's
// process-wide diagnostics at the logger, and leaves its global providers alone.
func Setup(ctx context.Context, o Options) (*Telemetry, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.ServiceName == "" {
		o.ServiceName = "text-to-image"
	}
	if o.InstanceID == "" {
		o.InstanceID = uuid.NewString()
	}
	if o.Console == nil {
		o.Console = io.Discard
	}
	config, problems := ParseConfig(o.Getenv)
	for _, p := range problems {
		o.Logger.LogAttrs(ctx, slog.LevelWarn, "telemetry configuration", slog.String("variable", p.Variable), slog.String("problem", p.Reason))
	}
	t := &Telemetry{
		Propagator: newPropagator(config),
		config:     config,
		tracer:     tracenoop.NewTracerProvider().Tracer(scope),
		meter:      metricnoop.NewMeterProvider().Meter(scope),
		logger:     o.Logger,
		handler:    http.NotFoundHandler(),
		losses:     newLosses(o.Logger, secrets(config)),
	}
	if config.Disabled {
		o.Logger.LogAttrs(ctx, slog.LevelInfo, "telemetry is off: OTEL_SDK_DISABLED is true")
		return t, nil
	}

	// The SDK reads the environment too, whatever it is handed, and prints what
	// it cannot parse, keys included. All of that has been read and said above.
	t.losses.mute(true)
	defer t.losses.mute(false)
	otelapi.SetErrorHandler(otelapi.ErrorHandlerFunc(t.losses.internal))
	otelapi.SetLogger(logr.New(diagnostics{t.losses}))

	if err := t.build(ctx, o); err != nil {
		// Unwind what was built; the first error is the one to tell.
		_ = t.Shutdown(ctx)
		return nil, err
	}
	o.Logger.LogAttrs(ctx, slog.LevelInfo, "telemetry", slog.String("traces", destination(config.Traces)),
		slog.String("metrics", destination(config.Metrics)), slog.String("logs", destination(config.Logs)), slog.String("sampler", config.Sampler))
	return t, nil
}

// Tracer makes the process's spans.
func (t *Telemetry) Tracer() trace.Tracer { return t.tracer }

// Logger writes to Options.Logger and, where logs are exported, to the collector
// beside it, each record with the span of its context (InfoContext and its like).
func (t *Telemetry) Logger() *slog.Logger { return t.logger }

// Meter makes further instruments than Metrics has.
func (t *Telemetry) Meter() metric.Meter { return t.meter }

// MetricsHandler serves /metrics for Prometheus, with exemplars to scrapers
// that ask for OpenMetrics; 404 when the SDK is disabled.
func (t *Telemetry) MetricsHandler() http.Handler { return t.handler }

// Config is what was made of the environment.
func (t *Telemetry) Config() Config { return t.config }

// destination describes where a signal goes, without secrets.
func destination(s Signal) string {
	switch {
	case s.URL != nil && s.Console:
		return printableURL(s.URL) + ", console"
	case s.URL != nil:
		return printableURL(s.URL)
	case s.Console:
		return "console"
	}
	return "not exported"
}

// secrets are the values that no log line may hold.
func secrets(c Config) []string {
	var out []string
	for _, s := range []Signal{c.Traces, c.Metrics, c.Logs} {
		for _, v := range s.Headers {
			out = append(out, v)
		}
		if s.URL != nil && s.URL.RawQuery != "" {
			out = append(out, s.URL.RawQuery)
		}
	}
	return out
}

// diagnostics is a logr sink for what the SDK says of itself. The values
// beside its messages are left out: a header it cannot parse is among them.
type diagnostics struct{ losses *losses }

var _ logr.LogSink = diagnostics{}

func (diagnostics) Init(logr.RuntimeInfo) {}

// Enabled keeps errors and warnings: the SDK logs warnings at 1, information at 4.
func (diagnostics) Enabled(level int) bool { return level <= 1 }

func (d diagnostics) Info(_ int, msg string, _ ...any) {
	d.losses.internal(errors.New("opentelemetry: " + msg))
}

func (d diagnostics) Error(_ error, msg string, _ ...any) {
	d.losses.internal(errors.New("opentelemetry: " + msg))
}

func (d diagnostics) WithValues(...any) logr.LogSink { return d }

func (d diagnostics) WithName(string) logr.LogSink { return d }
