package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "m", "n")
	w.run("pause", "--priority", "low,high", "--model", "n").want(t, exitOK, "paused w-high-n, w-low-n until: enqueue resume\n")
	w.run("status").want(t, exitOK, "low       n            0        0  paused\n", "normal    n            0        0\n")
	l := one(t, w.run("pause", "--for", "2h", "--json"), exitOK)
	until, err := time.Parse(time.RFC3339, l["until"].(string))
	if d := time.Until(until); err != nil || d < 118*time.Minute || d > 121*time.Minute {
		t.Errorf("paused until %v, %v", l["until"], err)
	}
	if n := len(l["consumers"].([]any)); n != 6 {
		t.Errorf("%d consumers are paused, want 6", n)
	}
	w.run("pause", "--for", "2h", "--model", "m").want(t, exitOK, "paused w-high-m, w-low-m, w-normal-m until 20")
	w.work([]string{"m", "n"}, nil)
	w.run("a", "--model", "m", "--batch", "b").want(t, exitOK)
	time.Sleep(300 * time.Millisecond) // in which a worker would have taken it
	if n, err := w.client.CountResults(t.Context(), "*"); err != nil || n != 0 {
		t.Errorf("%d results of a queue that is paused, %v", n, err)
	}
	l = one(t, w.run("resume", "--json", "--model", "m"), exitOK)
	if diff := cmp.Diff(map[string]any{"type": "resumed", "consumers": []any{"w-high-m", "w-low-m", "w-normal-m"}}, l); diff != "" {
		t.Errorf("line (-want +got):\n%s", diff)
	}
	w.run("wait", "b").want(t, exitOK)
	w.run("resume").want(t, exitOK, "resumed w-high-m, w-high-n, w-low-m, w-low-n, w-normal-m, w-normal-n\n")

	w.run("pause", "--model", "x").want(t, exitInput, "there is no consumer of these models and priorities")
	w.run("pause", "--priority", "urgent", "--for", "-1s").want(t, exitInput, `--priority is "urgent": must be some of high, normal, low`, "--for is -1s")
}
