package queue

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stipple-ai/stipple/internal/local/natsd"
)

func TestRegisterModel(t *testing.T) {
	t.Parallel()
	c := connect(t, startBroker(t, natsd.Options{}), Config{})
	setup(t, c, Layout{})
	if models, err := c.ListModels(t.Context()); err != nil || models != nil {
		t.Fatalf("an empty registry: %v, %v", models, err)
	}
	first := Model{
		Name: "sd-1.5", Digest: "sha256:aa",
		Defaults: ModelDefaults{NumInferenceSteps: 20, GuidanceScale: 7.5, Width: 512, Height: 512, Scheduler: "PNDMScheduler"},
		Limits:   ModelLimits{SizeMultiple: 8, MaxWidth: 1024, MaxHeight: 1024},
	}
	register := func(m Model, replace bool) error { return c.RegisterModel(t.Context(), m, replace) }
	if err := register(first, false); err != nil {
		t.Fatal(err)
	}
	if err := register(Model{Name: "a", Digest: "sha256:aa"}, false); err != nil {
		t.Fatal(err)
	}
	again := first
	again.Limits.MaxWidth = 768 // a smaller worker with the same model
	if err := register(again, false); err != nil {
		t.Errorf("the same digest again: %v", err)
	}
	other := first
	other.Digest = "sha256:bb"
	err := register(other, false)
	if !errors.Is(err, ErrModelConflict) || !strings.Contains(err.Error(), "sha256:aa") || !strings.Contains(err.Error(), "sha256:bb") || !strings.Contains(err.Error(), "MODEL_REPLACE") {
		t.Errorf("another digest: %v", err)
	}
	if diff := cmp.Diff([]Model{{Name: "a", Digest: "sha256:aa"}, first}, list(t, c)); diff != "" {
		t.Errorf("ListModels (-want +got):\n%s", diff)
	}
	if err := register(other, true); err != nil {
		t.Errorf("replacing: %v", err)
	}
	if diff := cmp.Diff([]Model{{Name: "a", Digest: "sha256:aa"}, other}, list(t, c)); diff != "" {
		t.Errorf("ListModels after replacing (-want +got):\n%s", diff)
	}
	if err := register(Model{Name: "sd-1_5", Digest: "sha256:aa"}, true); !errors.Is(err, ErrModelConflict) || !strings.Contains(err.Error(), "sd-1.5") {
		t.Errorf("the same token: %v", err)
	}
	for _, bad := range []Model{{Name: "m"}, {Name: "../m", Digest: "x"}, {Name: "m.", Digest: "x"}, {Name: "m..n", Digest: "x"}} {
		if err := register(bad, false); err == nil {
			t.Errorf("%+v was registered", bad)
		}
	}
}

func list(t *testing.T, c *Client) []Model {
	t.Helper()
	models, err := c.ListModels(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return models
}

func TestOneOfManyRegisters(t *testing.T) {
	t.Parallel()
	s := startBroker(t, natsd.Options{})
	setup(t, connect(t, s, Config{}), Layout{})
	var all sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		c := connect(t, s, Config{})
		all.Go(func() {
			errs[i] = c.RegisterModel(t.Context(), Model{Name: "m", Digest: string(rune('a' + i))}, false)
		})
	}
	all.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else if !errors.Is(err, ErrModelConflict) {
			t.Errorf("error %v, want ErrModelConflict", err)
		}
	}
	if won != 1 {
		t.Errorf("%d models were registered under one name, want 1", won)
	}
}

func TestDamagedRegistry(t *testing.T) {
	t.Parallel()
	c := connect(t, startBroker(t, natsd.Options{}), Config{})
	setup(t, c, Layout{})
	kv, err := c.js.KeyValue(t.Context(), "models")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.PutString(t.Context(), "m", "{"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ListModels(t.Context()); err == nil || !strings.Contains(err.Error(), "model m") || !strings.Contains(err.Error(), "MODEL_REPLACE") {
		t.Errorf("ListModels: %v", err)
	}
	m := Model{Name: "m", Digest: "x"}
	if err := c.RegisterModel(t.Context(), m, false); err == nil {
		t.Error("registering over a damaged entry succeeded without MODEL_REPLACE")
	}
	if err := c.RegisterModel(t.Context(), m, true); err != nil {
		t.Errorf("replacing a damaged entry: %v", err)
	}
	if diff := cmp.Diff([]Model{m}, list(t, c)); diff != "" {
		t.Error(diff)
	}
	if err := kv.Delete(t.Context(), "m"); err != nil {
		t.Fatal(err)
	}
	if models := list(t, c); models != nil {
		t.Errorf("a deleted model is listed: %v", models)
	}
}
