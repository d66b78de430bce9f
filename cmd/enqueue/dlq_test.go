package main

import (
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stipple-ai/stipple/internal/queue"
)

// deadWorld has three dead letters: b/0, b/1 and c/0, whose jobs succeed from now on.
func deadWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, "m")
	var well atomic.Bool
	w.work([]string{"m"}, func(queue.Job) string {
		if well.Load() {
			return queue.Succeeded
		}
		return queue.Failed
	})
	w.run("a cat", "--seeds", "1..2", "--batch", "b", "--wait").want(t, exitInput)
	w.run("a dog", "--batch", "c", "--wait").want(t, exitInput)
	well.Store(true)
	return w
}

// timeless is output without what changes from run to run: times, and the width of their columns.
func timeless(out string) string {
	out = regexp.MustCompile(`\d{4}-\d\d-\d\d[ T][0-9:.]+Z?|\b\w+ ago\b|\bnow\b`).ReplaceAllString(out, "<time>")
	return regexp.MustCompile(` {2,}`).ReplaceAllString(out, "  ")
}

func TestDLQList(t *testing.T) {
	t.Parallel()
	w := deadWorld(t)
	r := w.run("dlq", "list")
	r.want(t, exitOK)
	golden(t, "dlq-list.txt", timeless(r.stdout))
	count := func(want int, args ...string) {
		t.Helper()
		r := w.run(append([]string{"dlq", "list", "--json"}, args...)...)
		r.want(t, exitOK)
		if got := len(typed(lines(t, r.stdout), "dead_letter")); got != want {
			t.Errorf("%v lists %d letters, want %d", args, got, want)
		}
	}
	count(3)
	count(2, "b")
	count(2, "b/1", "c")
	count(1, "b/1", "b/7")
	count(0, "d")
	count(3, "--type", "model_error", "--since", "1h")
	count(0, "--type", "timeout")
	w.run("dlq", "list", "--limit", "1").want(t, exitOK, "b/0", "… and 2 that died later")
	w.run("dlq", "list", "d").want(t, exitOK, "no dead letters")
	w.run("dlq", "list", "--type", "bad", "--since", "-1h", "--limit", "-1", "b/x").want(t, exitInput, `--type is "bad"`, "--since is -1h", "--limit is -1", `"b/x" is no job`)
	w.run("dlq", "lost").want(t, exitInput, `enqueue dlq has no command "lost"`)
	w.run("dlq").want(t, exitOK, "enqueue dlq requeue monday", "purge")
	l := lines(t, w.run("dlq", "list", "c", "--json").stdout)[0]
	for _, field := range []string{"published", "died"} {
		if _, err := time.Parse(time.RFC3339Nano, l[field].(string)); err != nil {
			t.Error(err)
		}
		delete(l, field)
	}
	want := map[string]any{"type": "dead_letter", "id": "c/0", "batch_id": "c", "index": 0.0, "retry": 0.0, "attempts": 5.0, "sequence": 3.0, "subject": "jobs.normal.m.c",
		"trace_id": strings.Repeat("7", 32), "error": map[string]any{"type": "model_error", "message": "it broke"}}
	if diff := cmp.Diff(want, l); diff != "" {
		t.Errorf("line (-want +got):\n%s", diff)
	}
}

func TestDLQShow(t *testing.T) {
	t.Parallel()
	w := deadWorld(t)
	r := w.run("dlq", "show", "b/1")
	r.want(t, exitOK)
	text := timeless(r.stdout)
	golden(t, "dlq-show.txt", regexp.MustCompile(`[0-9a-f]{32}-[0-9a-f]{16}`).ReplaceAllString(text, "<context>"))
	l := one(t, w.run("dlq", "show", "c/0", "--json"), exitOK)
	if job := l["job"].(map[string]any); job["prompt"] != "a dog" || l["header"].(map[string]any)["traceparent"] == nil {
		t.Errorf("letter %v", l)
	}
	w.run("dlq", "show", "b/7").want(t, exitInput, "there is no such dead letter")
	w.run("dlq", "show").want(t, exitInput, "takes the jobs or batches whose dead letters to show")
	if n := strings.Count(w.run("dlq", "show", "b").stdout, "error      model_error"); n != 2 {
		t.Errorf("%d letters shown, want 2", n)
	}
}

// TestDLQShowBodies shows messages that no job can be read from.
func TestDLQShowBodies(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	now := time.Date(2030, 1, 2, 15, 4, 5, 0, time.UTC)
	for _, body := range []any{"not JSON\x1b[2J", []byte{0xff, 0xfe}} {
		shownLetter{deadLine: deadLine{BatchID: "b", Error: &queue.ResultError{Type: queue.TypeInvalidJob, Message: "body must be a JSON object"}, Died: now.Add(-time.Minute)}, Body: body}.write(&out, "b, letter 9", now)
	}
	golden(t, "dlq-show-bodies.txt", out.String())
}

func TestDLQRequeue(t *testing.T) {
	t.Parallel()
	w := deadWorld(t)
	w.run("dlq", "requeue").want(t, exitInput, "name the batches or jobs that are meant, or say --all")
	w.run("dlq", "requeue", "b", "--all").want(t, exitInput, "or say --all")
	w.run("dlq", "requeue", "b/1").want(t, exitOK, "1 job was put back into the queue")
	w.run("wait", "b").want(t, exitInput, "b: 1 succeeded, 1 failed of 2")
	w.run("cancel", "c/0").want(t, exitOK)
	r := w.run("dlq", "requeue", "--all", "--json")
	r.want(t, exitInput, "1 job could not be put back: see above: jobs failed")
	got := map[string]int{}
	for _, l := range lines(t, r.stdout) {
		got[l["type"].(string)]++
	}
	if diff := cmp.Diff(map[string]int{"requeued": 1, "kept": 1, "summary": 1}, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s%s", diff, r.stdout)
	}
	w.run("wait", "b").want(t, exitOK, "b: 2 succeeded of 2")
	w.run("dlq", "requeue", "c").want(t, exitInput, "putting job c/0 back: the job is cancelled")
	w.run("dlq", "list").want(t, exitOK, "c/0")
}

func TestDLQPurge(t *testing.T) {
	t.Parallel()
	w := deadWorld(t)
	ask := func(answer string, args ...string) ran {
		return w.runWith(t.Context(), strings.NewReader(answer), nil, append([]string{"dlq", "purge"}, args...)...)
	}
	ask("n\n", "b").want(t, exitFailed, "Delete the dead letters of b for good? [y/N]", "nothing was done")
	ask("", "--all").want(t, exitFailed, "Delete the dead letters of all batches for good? [y/N]", "nothing was done")
	w.run("dlq", "purge").want(t, exitInput, "name the batches")
	ask("y\n", "--all", "--type", "timeout").want(t, exitOK, "of all batches of type timeout for good?", "deleted 0 dead letters")
	ask("Yes\n", "c").want(t, exitOK, "deleted 1 dead letter")
	if diff := cmp.Diff(map[string]any{"type": "purged", "deleted": 2.0}, one(t, ask("", "--all", "--yes", "--json"), exitOK)); diff != "" {
		t.Errorf("line (-want +got):\n%s", diff)
	}
	w.run("dlq", "list").want(t, exitOK, "no dead letters")
}
