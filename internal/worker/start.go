package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/stipple-ai/stipple/internal/infer"
	"github.com/stipple-ai/stipple/internal/infer/ort"
	"github.com/stipple-ai/stipple/internal/otel"
	"github.com/stipple-ai/stipple/internal/queue"
)

// model is a pipeline, loaded and warm, with the engine that draws with it.
type model struct {
	name     string
	pipeline *ort.Pipeline
	engine   *infer.Engine
	digest   string
	defaults ort.Defaults
	shapes   []int // the row counts that its calls are padded to
}

// loadModels loads and warms every model. What it loaded before an error is closed again.
// broken is told of a device that is taken for broken, by an engine's Run.
func loadModels(ctx context.Context, c Config, rt *ort.Runtime, lanes *infer.Lanes, t *otel.Telemetry, broken func(model string, err error)) (models []*model, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, closeModels(models))
			models = nil
		}
	}()
	for _, path := range c.Models {
		m, err := loadModel(ctx, c, rt, lanes, t, broken, path)
		if err != nil {
			return models, fmt.Errorf("model %s: %w", path.Name, err)
		}
		models = append(models, m)
	}
	return models, nil
}

func loadModel(ctx context.Context, c Config, rt *ort.Runtime, lanes *infer.Lanes, t *otel.Telemetry, broken func(string, error), path ModelPath) (*model, error) {
	begin := time.Now()
	loadCtx, span := t.Tracer().Start(ctx, otel.SpanLoadModel, trace.WithAttributes(otel.ModelName.String(path.Name)))
	p, err := rt.Load(loadCtx, path.Dir)
	if err != nil {
		otel.Fail(span, err, queue.TypeModelError)
	}
	span.End()
	if err != nil {
		return nil, err
	}
	measured := withoutSpan(ctx)
	t.Metrics.ModelLoaded(measured, path.Name, time.Since(begin))
	m := &model{name: path.Name, pipeline: p, digest: p.Digest(), defaults: p.Defaults()}
	beside := 0 // text encoders and decoders take lanes on a CPU, where every core has one; on a GPU they run beside the one lane
	if c.gpu() {
		beside = 1
	}
	maxRows, shapes := c.rows(m, p.Info())
	m.shapes = shapes
	var drawn infer.Model = p
	if c.wrap != nil {
		drawn = c.wrap(p)
	}
	m.engine, err = infer.New(drawn, lanes, infer.Config{
		Encoders: beside, Decoders: beside,
		MaxRows: maxRows, RowShapes: shapes, Limits: infer.Limits{MaxPixels: c.MaxPixels}, Logger: c.Logger,
		CallTimeout: c.CallTimeout, OnBroken: func(err error) { broken(path.Name, err) },
		OnCall: func(rows, _ int, d time.Duration) { t.Metrics.Call(measured, path.Name, rows, d) },
	})
	if err == nil {
		err = m.warm(ctx, t, rt.Device())
	}
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return m, nil
}

// withoutSpan is ctx for measurements that are no job's: their exemplars must not lead into the trace of the start.
func withoutSpan(ctx context.Context) context.Context {
	return trace.ContextWithSpanContext(ctx, trace.SpanContext{})
}

// warm draws nothing: it runs every part once, in a span of its own that is never part of a job's trace.
func (m *model) warm(ctx context.Context, t *otel.Telemetry, device string) error {
	begin := time.Now()
	ctx, span := t.Tracer().Start(ctx, otel.SpanWarmup, trace.WithAttributes(otel.ModelName.String(m.name), otel.NumInferenceSteps.Int(1), otel.InferenceDevice.String(device)))
	defer span.End()
	if err := m.engine.Warm(ctx); err != nil {
		otel.Fail(span, err, queue.TypeModelError)
		return fmt.Errorf("warming up: %w", err)
	}
	t.Metrics.WarmedUp(withoutSpan(ctx), m.name, time.Since(begin))
	return nil
}

func closeModels(models []*model) error {
	var errs []error
	for _, m := range models {
		errs = append(errs, m.pipeline.Close())
	}
	return errors.Join(errs...)
}

// steps and guidance are what jobs of the model get that say nothing: its own defaults, else the contract's.
func (m *model) steps() int {
	if m.defaults.Steps > 0 {
		return m.defaults.Steps
	}
	return DefaultSteps
}

func (m *model) guidance() float64 {
	if m.defaults.Guidance != nil {
		return *m.defaults.Guidance
	}
	return DefaultGuidance
}

// entry is the model's line in the queue's registry, by which enqueue knows names, defaults and limits.
func (m *model) entry(c Config) queue.Model {
	info := m.engine.Info()
	side := info.Width * info.Height * 4
	if c.MaxPixels > 0 {
		side = c.MaxPixels
	}
	side = side / info.SizeMultiple * info.SizeMultiple
	d := queue.ModelDefaults{NumInferenceSteps: m.steps(), GuidanceScale: m.guidance(), Width: info.Width, Height: info.Height, Scheduler: info.Schedule.Class()}
	return queue.Model{Name: m.name, Digest: m.digest, Defaults: d,
		Limits: queue.ModelLimits{SizeMultiple: info.SizeMultiple, MaxWidth: min(side, queue.MaxSize), MaxHeight: min(side, queue.MaxSize)}}
}
