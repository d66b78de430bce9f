package e2e_test

import (
	"encoding/json"
	"strings"
	"time"
)

// printed is a line of `enqueue --json`.
type printed struct {
	Type    string `json:"type"` // batch, job, enqueued, result or summary
	BatchID string `json:"batch_id"`
	Index   int    `json:"index"`
	Total   int    `json:"total"`
	Before  int    `json:"before"`
	TraceID string `json:"trace_id"`
	Key     string `json:"key"`
	Resume  string `json:"resume"`
	Status  string `json:"status"`
	File    string `json:"file"`

	Succeeded int `json:"succeeded"`
	Failed    int `json:"failed"`
}

// launchEnqueue starts enqueue and waits for nothing. env changes its environment.
func (w *world) launchEnqueue(env []string, args ...string) *process {
	w.t.Helper()
	return start(w.t, w.dir, "enqueue", w.environment(env...), given.enqueue, args...)
}

// enqueueFrom starts enqueue with a file of the story's folder as standard input.
func (w *world) enqueueFrom(file string, args ...string) *process {
	w.t.Helper()
	if file == "" {
		return w.launchEnqueue(nil, args...)
	}
	shell := append([]string{"-c", `exec "$0" "$@" < ` + file, given.enqueue}, args...)
	return start(w.t, w.dir, "enqueue", w.environment(), "/bin/sh", shell...)
}

// enqueue runs enqueue until it ends well and returns the lines it printed. It asks for JSON.
func (w *world) enqueue(args ...string) []printed {
	w.t.Helper()
	return w.enqueueWith(nil, args...)
}

func (w *world) enqueueWith(env []string, args ...string) []printed {
	w.t.Helper()
	p := w.launchEnqueue(env, append(args, "--json")...)
	if code := p.exit(startTime); code != 0 {
		w.t.Fatalf("enqueue %s ended with exit code %d:\n%s", strings.Join(args, " "), code, tail(p.errs(), 20))
	}
	return p.printed()
}

// printed are the JSON lines that enqueue has printed until now.
func (p *process) printed() []printed {
	p.t.Helper()
	var all []printed
	for _, line := range lines(p.out()) {
		var l printed
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			p.t.Fatalf("enqueue --json printed %q: %v", line, err)
		}
		all = append(all, l)
	}
	return all
}

// ofType are the lines of a type.
func ofType(all []printed, typ string) []printed {
	var some []printed
	for _, l := range all {
		if l.Type == typ {
			some = append(some, l)
		}
	}
	return some
}

// refuses runs enqueue, which must end with that code within a moment and say each of the words on standard error.
func (w *world) refuses(code int, env, args []string, words ...string) {
	w.t.Helper()
	p := w.launchEnqueue(env, args...)
	if got := p.exit(10 * time.Second); got != code {
		w.t.Errorf("enqueue %s ended with exit code %d, want %d", strings.Join(args, " "), got, code)
	}
	mentions(w.t, "enqueue "+strings.Join(args, " "), p.errs(), words...)
}
