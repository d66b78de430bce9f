package otel

import (
	"context"
	"errors"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
)

// unreadable is a detector that may not read what it looks at.
type unreadable struct{}

func (unreadable) Detect(context.Context) (*resource.Resource, error) {
	return nil, errors.New("open /proc/self/cgroup: permission denied")
}

// What the process cannot learn of itself costs a line in the log, and no telemetry.
func TestResourceInPart(t *testing.T) {
	log := &logbook{}
	o := Options{Logger: log.logger(), ServiceName: "ours", InstanceID: "i"}
	got := newResource(t.Context(), o, []attribute.KeyValue{attribute.String("service.name", "theirs")}, unreadable{})
	for key, want := range map[attribute.Key]string{"service.name": "theirs", "service.instance.id": "i", "telemetry.sdk.language": "go"} {
		if v, _ := got.Set().Value(key); v.AsString() != want {
			t.Errorf("%s is %q, want %q", key, v.AsString(), want)
		}
	}
	if lines := log.lines(t, "telemetry describes the process in part"); len(lines) != 1 {
		t.Errorf("log %s", log)
	}
}
