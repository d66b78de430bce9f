package worker

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stipple-ai/stipple/internal/queue"
)

// TestConfigErrors: what cannot work is said before anything connects.
func TestConfigErrors(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"no folder", func(c *Config) { c.Models[0].Dir = "/nonexistent" }, "/nonexistent is not there"},
		{"no library", func(c *Config) { c.Runtime.Library = "/nonexistent.so" }, "make ort"},
		{"no bucket", func(c *Config) { c.Store.Bucket = "" }, "S3_BUCKET"},
		{"no rows", func(c *Config) { c.MaxRows = -1 }, "MAX_ROWS"},
		{"taken address", func(c *Config) { c.HTTPAddr = strings.TrimPrefix(shared.store.Endpoint(), "http://") }, "HTTP_ADDR"},
		{"bad broker", func(c *Config) { c.Queue.URL = "http://x" }, "NATS_URL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := startWorker(t, c.change)
			err := r.wait()
			var config *ConfigError
			if !errors.As(err, &config) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want a ConfigError with %q", err, c.want)
			}
		})
	}
}

// TestModelConflict: another model under a name that the queue knows is refused, unless it is to be replaced.
func TestModelConflict(t *testing.T) {
	r := connect(t)
	if err := r.client.RegisterModel(context.Background(), queue.Model{Name: "sd15", Digest: "another"}, false); err != nil {
		t.Fatal(err)
	}
	w := startWorker(t, nil)
	err := w.wait()
	var config *ConfigError
	if !errors.As(err, &config) || !strings.Contains(err.Error(), "MODEL_REPLACE") {
		t.Errorf("got %v", err)
	}
	again := startWorker(t, func(c *Config) { c.ModelReplace = true })
	again.publish(quick("b", 0))
	again.result("b", 0)
}
