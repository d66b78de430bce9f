package e2e_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stipple-ai/stipple/internal/local/otlpd"
)

// TestNothingIsGivenAway: after a run with good and bad jobs, a bucket that goes away and a collector that repeats the
// keys it is sent, neither prompts nor keys nor signed links stand in any log, on /metrics, or in anything that was
// exported: traces, metrics and logs.
func TestNothingIsGivenAway(t *testing.T) {
	w := newWorld(t)
	sink, env := collector(t)
	const (
		prompt, negative = "Quixelmarzipan", "Zwirbelkram" // words that stand nowhere else
		telemetryKey     = "t3lemetrykey"
		password         = "br0kerpassword"
	)
	env = append(env, "OTEL_EXPORTER_OTLP_HEADERS=api-key="+telemetryKey, "OTEL_BLRP_SCHEDULE_DELAY=200", "OTEL_METRIC_EXPORT_INTERVAL=500",
		"NATS_URL="+strings.Replace(w.natsURL, "://", "://worker:"+password+"@", 1)) // the broker asks nobody for one
	k := w.worker("painter", append(env, "MAX_ATTEMPTS=2")...)

	secret := quick(1).with("prompt", "a "+prompt+" in the snow").with("negative_prompt", negative)
	w.publish("good", 0, secret)
	for i, body := range [][]byte{
		encode(t, secret.with("scheduler", "warp")),
		encode(t, secret.with("width", 7)),
		encode(t, secret.with("promt", prompt)),
		encode(t, secret.with("prompt", map[string]any{"text": prompt})),
		encode(t, secret.with("prompt", []string{prompt, negative})),
		encode(t, secret.with("prompt", strings.Repeat(prompt+" ", 2000))),
		encode(t, secret.with("negative_prompt", strings.Repeat(negative+" ", 2000))),
		encode(t, secret.with("num_inference_steps", 2000)),
		[]byte(`{"model": "sd15", "prompt": "` + prompt),
		[]byte(`{"model": "sd15", "prompt": "` + prompt + "\xff" + `"}`),
		[]byte(`"` + prompt + `"`),
		[]byte(prompt),
	} {
		w.publishRaw("normal", "bad", body, header("Nats-Msg-Id", fmt.Sprint("bad/", i)))
	}
	w.done("good", 1, 20*time.Second)
	if got := w.awaitResults("bad", 12, 20*time.Second); got[0].Status != "failed" {
		t.Errorf("a bad job has the result %s", got[0].raw)
	}
	said := w.launchEnqueue(env, "a "+prompt, "--seeds", "1..2", "--negative-prompt", negative, "--steps", "2", "--batch", "command", "--wait", "--out", filepath.Join(w.dir, "pictures"))
	if code := said.exit(30 * time.Second); code != 0 {
		t.Errorf("enqueue ended with %d: %s", code, said.errs())
	}

	w.store.stop() // a picture waits for it, and the log says why
	w.publish("away", 0, secret.with("seed", 2))
	eventually(t, 20*time.Second, func() string {
		if len(k.logged("away")) == 0 && len(k.logged("cannot take pictures")) == 0 {
			return "the worker says nothing of the store"
		}
		return ""
	})
	w.store.start()
	w.done("away", 1, 40*time.Second)
	metrics := k.metrics()

	sink.SetMode(otlpd.Echo(401, "Api-Key"))
	w.publish("echo", 0, secret.with("seed", 3))
	w.done("echo", 1, 20*time.Second)
	eventually(t, 10*time.Second, func() string {
		if len(k.logged("telemetry lost")) < 3 {
			return "the worker does not tell of what each signal lost"
		}
		return ""
	})
	k.terminate(10 * time.Second)

	checkSent(t, sink, "prompt.length", "worker.jobs", "good/0", "the job failed for good")
	for _, path := range []string{"/v1/traces", "/v1/metrics", "/v1/logs"} {
		if !slices.ContainsFunc(sink.Requests(), func(r otlpd.Request) bool { return r.Path == path }) {
			t.Errorf("nothing was sent to %s", path)
		}
	}
	secrets := []string{prompt, negative, telemetryKey, password, given.secretKey, "X-Amz-Signature", "X-Amz-Credential", "AWS4-HMAC-SHA256"}
	checkNowhere(t, sink, secrets...)
	texts := map[string]string{"/metrics": metrics}
	logs, err := filepath.Glob(filepath.Join(w.dir, "*.log"))
	if err != nil || len(logs) < 2 {
		t.Fatalf("%d logs, %v", len(logs), err)
	}
	for _, file := range logs {
		if name := filepath.Base(file); strings.HasPrefix(name, "painter") || strings.HasPrefix(name, "enqueue") {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			texts[name] = string(data)
		}
	}
	if len(texts) < 3 {
		t.Errorf("read only %d texts of %v", len(texts), logs)
	}
	for name, text := range texts {
		for _, secret := range secrets {
			if i := strings.Index(text, secret); i >= 0 {
				t.Errorf("%s gives %q away: %s", name, secret, around(text, i))
			}
		}
	}
}

// around is the line that i stands in.
func around(text string, i int) string {
	begin := strings.LastIndexByte(text[:i], '\n') + 1
	line, _, _ := bytes.Cut([]byte(text[begin:]), []byte("\n"))
	return string(line)
}
