package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// job is the body of a job, as any program may write it.
type job map[string]any

// quick is a job that the golden pipeline draws in a moment; each seed is another picture.
func quick(seed int) job {
	return job{"version": 1, "model": "sd15", "prompt": "a photo of a red fox in the snow", "num_inference_steps": 2, "guidance_scale": 1, "seed": seed}
}

// with returns a copy of j with another value of a field; nil takes the field away.
func (j job) with(field string, value any) job {
	changed := maps.Clone(j)
	if changed[field] = value; value == nil {
		delete(changed, field)
	}
	return changed
}

// publish puts a job into the queue as a program without this project's code does, and returns its sequence.
func (w *world) publish(batch string, index int, j job) uint64 {
	w.t.Helper()
	return w.publishTo("normal", batch, index, j)
}

func (w *world) publishTo(priority, batch string, index int, j job) uint64 {
	w.t.Helper()
	return w.publishRaw(priority, batch, encode(w.t, j), header("Nats-Msg-Id", fmt.Sprintf("%s/%d", batch, index)))
}

// encode is a job as JSON.
func encode(t *testing.T, j job) []byte {
	t.Helper()
	body, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// header is a message's header of names and values; the names stay as they are written.
func header(pairs ...string) nats.Header {
	h := nats.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h[pairs[i]] = append(h[pairs[i]], pairs[i+1])
	}
	return h
}

// publishRaw publishes any body with any header to the jobs of the golden pipeline.
func (w *world) publishRaw(priority, batch string, body []byte, h nats.Header) uint64 {
	w.t.Helper()
	return w.publishModel(priority, "sd15", batch, body, h)
}

func (w *world) publishModel(priority, model, batch string, body []byte, h nats.Header) uint64 {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	subject := w.subject("jobs", priority, model, batch)
	ack, err := w.js.PublishMsg(ctx, &nats.Msg{Subject: subject, Header: h, Data: body}, jetstream.WithRetryAttempts(20))
	if err != nil {
		w.t.Fatalf("publishing to %s: %v", subject, err)
	}
	if ack.Duplicate {
		w.t.Fatalf("publishing to %s: the broker knows %v already", subject, h["Nats-Msg-Id"])
	}
	return ack.Sequence
}

// publishMany publishes jobs 0 to n-1 of a batch, each with its index as seed.
func (w *world) publishMany(batch string, n int, j job) {
	w.t.Helper()
	for i := range n {
		w.publish(batch, i, j.with("seed", i))
	}
}
