package infer

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// spanOf draws a picture with m and returns the span of that name and its attributes.
func spanOf(t *testing.T, m *fakeModel, name string) (sdktrace.ReadOnlySpan, map[attribute.Key]any) {
	t.Helper()
	seen := tracetest.NewSpanRecorder()
	ctx, root := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(seen)).Tracer("test").Start(context.Background(), "job")
	e, _ := start(t, m, 1, Config{})
	_, err := e.Generate(ctx, request(1))
	root.End()
	for _, s := range seen.Ended() {
		if s.Name() == name {
			attributes := map[attribute.Key]any{}
			for _, kv := range s.Attributes() {
				attributes[kv.Key] = kv.Value.AsInterface()
			}
			return s, attributes
		}
	}
	t.Fatalf("no span %s; %v", name, err)
	return nil, nil
}

func TestSpanOfDenoising(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newFakeModel(t)
		m.delay = time.Second
		span, attributes := spanOf(t, m, "denoise")
		// Both rows of a step ride one after the other, each for a second.
		if got := attributes["denoise.step.duration.mean"]; got != 2.0 || span.Status().Code != codes.Unset || len(span.Events()) != 0 {
			t.Errorf("a step of %v s, status %v, events %v", got, span.Status(), span.Events())
		}
	})
}

// A stage that fails says so as every failed span does: an exception, a type of the closed list and a status.
func TestSpanOfAFailedStage(t *testing.T) {
	for fault, want := range map[error]string{errors.New("no kernel"): "model_error", &Error{Type: "out_of_memory", Err: errors.New("full")}: "out_of_memory"} {
		synctest.Test(t, func(t *testing.T) {
			m := newFakeModel(t)
			m.fault = func(*Call) error { return fault }
			span, attributes := spanOf(t, m, "denoise")
			if attributes["error.type"] != want || span.Status().Code != codes.Error || len(span.Events()) != 1 {
				t.Fatalf("attributes %v, status %v, events %v", attributes, span.Status(), span.Events())
			}
			told := map[attribute.Key]string{}
			for _, kv := range span.Events()[0].Attributes {
				told[kv.Key] = kv.Value.AsString()
			}
			if span.Events()[0].Name != "exception" || told["exception.type"] != "*infer.Error" || told["exception.message"] == "" {
				t.Errorf("event %s: %v", span.Events()[0].Name, told)
			}
			if attributes["denoise.step.duration.mean"] != nil {
				t.Errorf("no step was taken, and each took %v s", attributes["denoise.step.duration.mean"])
			}
		})
	}
}
