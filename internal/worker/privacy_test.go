package worker

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stipple-ai/stipple/internal/local/otlpd"
	"github.com/stipple-ai/stipple/internal/queue"
)

// TestNoPromptLeaves the job's message and the picture: not for logs, telemetry, results or the headers of dead letters, whatever is wrong with the job, and where in
// it the prompt stands.
func TestNoPromptLeaves(t *testing.T) {
	const secret = "purple unicorn"
	sink, err := otlpd.Start(otlpd.Options{KeepBodies: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sink.Stop(); err != nil {
			t.Error(err)
		}
	})
	w := startWorker(t, func(c *Config) {
		c.Getenv = func(name string) string {
			return map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": sink.Endpoint(), "OTEL_BSP_SCHEDULE_DELAY": "10", "OTEL_METRIC_EXPORT_INTERVAL": "100"}[name]
		}
	})
	field := func(name, value string) string {
		return fmt.Sprintf(`{"model": "sd15", "num_inference_steps": 2, "prompt": "a %s", %q: %s}`, secret, name, value)
	}
	text := fmt.Sprintf(`"two of a %s"`, secret)
	bodies := []string{
		field("negative_prompt", text), // a good one
		field("width", "60"),           // the engine's to refuse
		field("scheduler", `"eular"`),
		field("negative_prompt", "["+text+"]"),
		field("prompt", text),
		field("promt", text),
		field(fmt.Sprintf("a %s", secret), "1"),
		field("trace_context", `{"traceparent": `+text+`, "prompt": `+text+`}`),
		"a " + secret,
		text,
		`["a ` + secret + `"]`,
		`{"model": "sd15", "prompt": "a ` + secret,
		`{"model": "sd15", "prompt": "a ` + secret + `",}`,
		`{"model": "sd15", "prompt": {"text": "a ` + secret + `"}}`,
	}
	for _, name := range []string{"version", "model", "batch_id", "index", "retry", "num_inference_steps", "guidance_scale", "seed", "width", "scheduler", "format", "quality", "deadline"} {
		bodies = append(bodies, field(name, text), field(name, `{"prompt": `+text+`}`), field(name, `[`+text+`]`))
	}
	for i, body := range bodies {
		w.publishRaw(w.client.Names().JobSubject(queue.Normal, "sd15", "b"), fmt.Sprintf("b/%d", i), []byte(body))
	}
	for i := range bodies {
		res := w.result("b", int64(i))
		if res.Error != nil && strings.Contains(res.Error.Message, secret) {
			t.Errorf("%s: the result says %q", bodies[i], res.Error.Message)
		}
		if res.Status != queue.Failed {
			continue
		}
		for name, values := range w.deadLetter("b", int64(i)).Header {
			if strings.Contains(strings.Join(values, " "), secret) {
				t.Errorf("%s: the dead letter's header %s is %q", bodies[i], name, values)
			}
		}
	}
	if err := w.stop(); err != nil {
		t.Error(err)
	}
	if strings.Contains(w.log.String(), secret) {
		t.Errorf("a prompt is in the log:\n%s", w.log)
	}
	spans := 0
	for _, request := range sink.Requests() {
		spans++
		if at := bytes.Index(request.Body, []byte(secret)); at >= 0 {
			t.Errorf("a prompt is in the telemetry: %q", request.Body[max(0, at-100):at+len(secret)])
		}
	}
	if len(sink.Spans()) < len(bodies) {
		t.Errorf("%d spans in %d requests arrived of %d jobs", len(sink.Spans()), spans, len(bodies))
	}
}
