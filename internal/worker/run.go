package worker

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/stipple-ai/stipple/internal/infer"
	"github.com/stipple-ai/stipple/internal/infer/ort"
	"github.com/stipple-ai/stipple/internal/otel"
	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/upload"
)

// ConfigError is a setting or a model folder that cannot work; it is found before anything connects.
type ConfigError struct{ Err error }

func (e *ConfigError) Error() string { return e.Err.Error() }
func (e *ConfigError) Unwrap() error { return e.Err }

// Run is a worker's whole life: it starts, works until ctx ends, and leaves within DrainTimeout and FlushTimeout. It returns nil after a clean leave, a [*ConfigError]
// for what it was told and cannot do, or what broke.
func Run(ctx context.Context, cfg Config) (err error) {
	cfg, err = cfg.Normalize()
	if err != nil {
		return &ConfigError{err}
	}
	t, err := otel.Setup(ctx, otel.Options{Getenv: cfg.Getenv, Logger: cfg.Logger, ServiceVersion: cfg.Version})
	if err != nil {
		return err
	}
	local := cfg.Logger
	cfg.Logger = t.Logger()
	if cfg.Runtime.Logger == nil {
		cfg.Runtime.Logger = cfg.Logger
	}
	defer func() {
		flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.FlushTimeout)
		defer cancel()
		if err := t.Shutdown(flush); err != nil {
			local.Warn("telemetry was lost", slog.Any("error", err))
		}
	}()
	w := &Worker{cfg: cfg, log: cfg.Logger, telemetry: t, slots: newSlots(cfg.Slots), jobs: map[*job]struct{}{}, state: queue.WorkerStarting, started: time.Now(), drain: drain{begun: make(chan struct{})}}
	if err := t.ObserveReady(func() bool { return len(w.reasons()) == 0 }); err != nil {
		w.log.Warn("there is no metric of whether the worker is ready", slog.Any("error", err))
	}
	return w.run(ctx)
}

// run starts in the order of the data flow and, by its defers, stops in the reverse.
func (w *Worker) run(ctx context.Context) (err error) {
	started := time.Now()
	startCtx, startup := w.telemetry.Tracer().Start(ctx, otel.SpanStartup, trace.WithNewRoot())
	endStartup := sync.OnceFunc(func() { startup.End() })
	defer endStartup()

	if w.runtime, err = ort.Open(w.cfg.Runtime); err != nil {
		return &ConfigError{err}
	}
	lanes := infer.NewLanes(w.cfg.Lanes)
	var models []*model
	closeNative := func() error { // what a call to the model uses; when none is under way any more
		lanes.Close()
		return errors.Join(closeModels(models), w.runtime.Close())
	}
	defer func() {
		if !w.stuck {
			err = errors.Join(err, closeNative())
			return
		}
		go func() { // ends with the call that hangs, if it ever returns, or with the process
			<-w.ended
			w.log.Warn("the call to the model has returned after all", slog.Any("error", closeNative()))
		}()
	}()
	models, err = loadModels(startCtx, w.cfg, w.runtime, lanes, w.telemetry, w.breakDown)
	if err != nil {
		otel.Fail(startup, err, queue.TypeModelError)
		if ctx.Err() != nil {
			return nil
		}
		return &ConfigError{err}
	}
	w.models = make(map[string]*model, len(models))
	for _, m := range models {
		w.models[m.name] = m
	}

	s, err := upload.Open(ctx, w.cfg.Store, w.telemetry.Tracer())
	if err != nil {
		return &ConfigError{err}
	}
	defer s.Close()
	w.store = &store{Store: s, keyPrefix: w.cfg.Store.Prefix}

	if w.cfg.HTTPAddr != "" {
		h := &health{ready: w.reasons, metrics: w.telemetry.MetricsHandler()}
		bound, stop, err := h.serve(w.cfg.HTTPAddr, w.log)
		switch {
		case err == nil:
			defer stop()
			w.log.Info("serving /healthz, /readyz and /metrics", slog.String("addr", bound))
		case w.cfg.HTTPOptional:
			w.log.Warn("not serving /healthz, /readyz and /metrics", slog.Any("error", err))
		default:
			return &ConfigError{err}
		}
	}

	client, source, err := w.connect(ctx, models)
	if client != nil {
		defer w.disconnect(client)
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil // told to leave while it waited for the broker
		}
		return err
	}
	endStartup()
	return w.work(ctx, models, source, started)
}

// connect waits for the broker, makes what is missing there, and registers the models. The client is not nil when there is one to close.
func (w *Worker) connect(ctx context.Context, models []*model) (*queue.Client, *queue.Source, error) {
	cfg := w.cfg.Queue
	cfg.Name, cfg.Logger = "stipple worker "+w.cfg.Name, w.log
	client, err := queue.Connect(ctx, cfg)
	if err != nil {
		var config *queue.ConfigError
		if errors.As(err, &config) || errors.Is(err, queue.ErrOldServer) {
			err = &ConfigError{err}
		}
		return nil, nil, err
	}
	w.mu.Lock()
	w.queue = client
	w.mu.Unlock()
	layout := w.layout()
	differences, err := client.Ensure(ctx, layout)
	for _, d := range differences {
		w.log.Warn("the queue is not laid out as expected; it is used as it is", slog.String("difference", d.String()))
	}
	if err != nil {
		return client, nil, err
	}
	for _, m := range models {
		if err := client.RegisterModel(ctx, m.entry(w.cfg), w.cfg.ModelReplace); err != nil {
			if errors.Is(err, queue.ErrModelConflict) {
				err = &ConfigError{err}
			}
			return client, nil, err
		}
	}
	if w.cancellations, err = watchCancelled(ctx, client); err != nil {
		return client, nil, err
	}
	source, err := client.NewSource(queue.SourceConfig{Layout: layout, JobTimeout: w.cfg.JobTimeout, HandBackBy: w.lastWord})
	return client, source, err
}

// layout is what the worker needs of the queue.
func (w *Worker) layout() queue.Layout {
	l := queue.Layout{AckWait: w.cfg.AckWait}
	for _, m := range w.cfg.Models {
		l.Models = append(l.Models, m.Name)
	}
	return l
}

// watchCancelled begins to watch what is cancelled: its beginning ends with ctx, the watch itself with the connection, for jobs are cancelled while a worker leaves, too.
func watchCancelled(ctx context.Context, client *queue.Client) (*queue.Cancellations, error) {
	watch, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, cancel)
	defer stop()
	return client.WatchCancelled(watch)
}

// closeTime bounds the closing of one connection: all of them have half a second beside DrainTimeout and FlushTimeout.
const closeTime = 200 * time.Millisecond

// disconnect closes the connection to the broker, after what it still has to say.
func (w *Worker) disconnect(c *queue.Client) {
	if w.cancellations != nil {
		stopped := make(chan struct{})
		go func() { // ends at the latest with the connection
			w.cancellations.Stop()
			close(stopped)
		}()
		within(stopped, closeTime/2)
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	if err := c.Close(ctx); err != nil {
		w.log.Warn("closing the connection to the broker", slog.Any("error", err))
	}
}

func (w *Worker) setState(s string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state = s
	w.telemetry.Metrics.Slots(context.Background(), w.cfg.Slots)
}

func (w *Worker) currentState() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state
}

func (w *Worker) leaving() bool { return w.currentState() == queue.WorkerDraining }

func (w *Worker) modelNames() string {
	names := make([]string, 0, len(w.models))
	for _, p := range w.cfg.Models {
		names = append(names, p.Name)
	}
	return strings.Join(names, ",")
}
