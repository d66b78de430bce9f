package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"time"
)

// worker is a worker's process and what it says at its HTTP address.
type worker struct {
	*process
	w    *world
	addr string // of /healthz, /readyz and /metrics; "" until the log tells
}

// worker starts a worker for the golden sd15 pipeline, which draws in a fraction of a second, and waits until it is
// ready. env changes its environment.
func (w *world) worker(name string, env ...string) *worker {
	w.t.Helper()
	k := w.launch(name, env...)
	k.awaitReady()
	return k
}

// launch starts a worker and waits for nothing.
func (w *world) launch(name string, env ...string) *worker {
	w.t.Helper()
	env = append([]string{
		"MODELS=" + model("sd15"), "ONNXRUNTIME_LIB=" + given.library, "HTTP_ADDR=127.0.0.1:0", "WORKER_NAME=" + name, "LOG_LEVEL=debug",
	}, env...)
	return &worker{process: start(w.t, w.dir, name, w.environment(env...), given.worker), w: w}
}

// record is one line of a worker's log.
type record map[string]any

// says reports whether the record's message holds text.
func (r record) says(text string) bool { return strings.Contains(fmt.Sprint(r["msg"]), text) }

// log is what the worker has logged until now.
func (k *worker) log() []record {
	k.t.Helper()
	var all []record
	for _, line := range lines(k.errs()) {
		var r record
		if json.Unmarshal([]byte(line), &r) == nil { // the line being written, and the last words of a process, are none
			all = append(all, r)
		}
	}
	return all
}

// logged returns the records whose message holds text.
func (k *worker) logged(text string) []record {
	k.t.Helper()
	var found []record
	for _, r := range k.log() {
		if r.says(text) {
			found = append(found, r)
		}
	}
	return found
}

// url returns the address of a path, as soon as the worker listens.
func (k *worker) url(path string) string {
	k.t.Helper()
	eventually(k.t, startTime, func() string {
		if k.addr != "" {
			return ""
		}
		if !k.running() {
			k.t.Fatalf("%s ended instead of starting:\n%s", k.name, tail(k.errs(), 20))
		}
		for _, r := range k.logged("serving /healthz") {
			k.addr, _ = r["addr"].(string)
		}
		return k.name + " does not say where it serves /healthz"
	})
	return "http://" + k.addr + path
}

// health is the answer of /healthz or /readyz.
type health struct {
	Code    int      `json:"-"`
	Status  string   `json:"status"`
	Reasons []string `json:"reasons"`
}

func (k *worker) health(path string) health {
	k.t.Helper()
	response, err := http.Get(k.url(path))
	if err != nil {
		return health{Status: err.Error()}
	}
	defer response.Body.Close()
	h := health{Code: response.StatusCode}
	if err := json.NewDecoder(response.Body).Decode(&h); err != nil {
		k.t.Errorf("%s of %s is no JSON: %v", path, k.name, err)
	}
	return h
}

// metrics is what /metrics says.
func (k *worker) metrics() string {
	k.t.Helper()
	response, err := http.Get(k.url("/metrics"))
	if err != nil {
		k.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		k.t.Fatal(err)
	}
	return string(text)
}

func (k *worker) awaitReady() {
	k.t.Helper()
	eventually(k.t, startTime, func() string {
		if h := k.health("/readyz"); h.Code != http.StatusOK {
			return fmt.Sprintf("%s is not ready: %+v", k.name, h)
		}
		return ""
	})
}

// awaitUnready waits until the worker is not ready for a reason that holds every one of words.
func (k *worker) awaitUnready(words ...string) {
	k.t.Helper()
	eventually(k.t, startTime, func() string {
		h := k.health("/readyz")
		reasons := strings.Join(h.Reasons, "\n")
		for _, word := range words {
			if h.Code != http.StatusServiceUnavailable || !strings.Contains(reasons, word) {
				return fmt.Sprintf("%s should not be ready for a reason with %q: %+v", k.name, word, h)
			}
		}
		return ""
	})
}

// terminate sends SIGTERM and returns how long the worker took to end with exit code 0.
func (k *worker) terminate(within time.Duration) time.Duration {
	k.t.Helper()
	begin := time.Now()
	k.signal(syscall.SIGTERM)
	if code := k.exit(within); code != 0 {
		k.t.Errorf("%s ended with exit code %d after SIGTERM, want 0", k.name, code)
	}
	return k.ended.Sub(begin)
}
