package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSetup(t *testing.T) {
	w := newWorld(t)
	w.env["QUEUE_PREFIX"] = "acme"
	w.run("setup", "--models", "a,b=models/x, models/c.d/", "--ack-wait", "2s").want(t, exitOK,
		"streams    acme_JOBS, acme_RESULTS, acme_DEAD", "buckets    acme_batches, acme_attempts, acme_models",
		"consumers  w-high-a, w-normal-a, w-low-a, w-high-b, w-normal-b, w-low-b, w-high-c_d, w-normal-c_d, w-low-c_d")
	// What is there stays, and is told of.
	w.run("setup", "--models", "a", "--ack-wait", "3s").want(t, exitOK, "left as it is: consumer w-high-a: ack_wait is 2s, not 3s")
	r := w.run("setup", "--models", "a", "--ack-wait", "2s", "--json")
	r.want(t, exitOK)
	want := []map[string]any{{"type": "setup", "streams": []any{"acme_JOBS", "acme_RESULTS", "acme_DEAD"},
		"buckets": []any{"acme_batches", "acme_attempts", "acme_models"}, "consumers": []any{"w-high-a", "w-normal-a", "w-low-a"}, "differences": []any{}}}
	if diff := cmp.Diff(want, lines(t, r.stdout)); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	w.run("setup", "--models", "a b").want(t, exitInput, "MODELS", "a b")
	w.run("setup", "--models", "a.b,a_b").want(t, exitInput, "MODELS", "are the same in subjects")
	// With nobody allowed to make anything, enqueue works on what setup has made.
	w.env["QUEUE_AUTO_CREATE"] = "false"
	w.run("a cat", "--model", "a", "--force").want(t, exitOK)
}
