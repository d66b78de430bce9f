package e2e_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
)

// badJobs are messages that no retry will mend, and the field that is to blame.
var badJobs = []struct{ field, body string }{
	{"body", `{"version":1,"model":"sd15",`},
	{"body", `malformed`},
	{"body", ``},
	{"body", `["model","sd15"]`},
	{"body", `{"model":"sd15"} {"model":"sd15"}`},
	{"body", "{\"model\":\"sd15\",\"prompt\":\"\xff\"}"},

	{"version", `{"version":0,"model":"sd15"}`},
	{"version", `{"version":-1,"model":"sd15"}`},
	{"version", `{"version":"1","model":"sd15"}`},
	{"version", `{"version":1.5,"model":"sd15"}`},
	{"id", `{"id":7,"model":"sd15"}`},
	{"id", `{"id":"two\nlines","model":"sd15"}`},
	{"id", `{"id":"` + strings.Repeat("x", 257) + `","model":"sd15"}`},
	{"batch_id", `{"batch_id":"other","model":"sd15"}`},
	{"batch_id", `{"batch_id":1,"model":"sd15"}`},
	{"index", `{"index":-1,"model":"sd15"}`},
	{"index", `{"index":4000000,"model":"sd15"}`},
	{"index", `{"index":"0","model":"sd15"}`},
	{"retry", `{"retry":1,"model":"sd15"}`},
	{"retry", `{"retry":-1,"model":"sd15"}`},
	{"model", `{"prompt":"a fox"}`},
	{"model", `{"model":""}`},
	{"model", `{"model":"other"}`},
	{"model", `{"model":"../sd15"}`},
	{"model", `{"model":15}`},
	{"prompt", `{"model":"sd15","prompt":["a fox"]}`},
	{"prompt", `{"model":"sd15","prompt":"\ud83d"}`},
	{"prompt", `{"model":"sd15","prompt":"` + strings.Repeat("x", 16<<10+1) + `"}`},
	{"negative_prompt", `{"model":"sd15","negative_prompt":1}`},
	{"negative_prompt", `{"model":"sd15","negative_prompt":"` + strings.Repeat("ä", 8<<10) + `x"}`},
	{"num_inference_steps", `{"model":"sd15","num_inference_steps":0}`},
	{"num_inference_steps", `{"model":"sd15","num_inference_steps":1001}`},
	{"num_inference_steps", `{"model":"sd15","num_inference_steps":2.5}`},
	{"num_inference_steps", `{"model":"sd15","num_inference_steps":"20"}`},
	{"num_inference_steps", `{"model":"sd15","num_inference_steps":1e99}`},
	{"guidance_scale", `{"model":"sd15","guidance_scale":-0.5}`},
	{"guidance_scale", `{"model":"sd15","guidance_scale":50.5}`},
	{"guidance_scale", `{"model":"sd15","guidance_scale":"7.5"}`},
	{"guidance_scale", `{"model":"sd15","guidance_scale":1e999}`},
	{"seed", `{"model":"sd15","seed":-1}`},
	{"seed", `{"model":"sd15","seed":1.5}`},
	{"seed", `{"model":"sd15","seed":18446744073709551616}`},
	{"seed", `{"model":"sd15","seed":"0x10"}`},
	{"width", `{"model":"sd15","width":0}`},
	{"width", `{"model":"sd15","width":100}`}, // no multiple of 8
	{"width", `{"model":"sd15","width":16384}`},
	{"width", `{"model":"sd15","width":"128"}`},
	{"height", `{"model":"sd15","height":-128}`},
	{"height", `{"model":"sd15","height":129}`},
	{"height", `{"model":"sd15","height":999999999999}`},
	{"height", `{"model":"sd15","width":1024,"height":1024}`}, // more than the worker draws
	{"scheduler", `{"model":"sd15","scheduler":"warp"}`},
	{"scheduler", `{"model":"sd15","scheduler":"pndm_karras"}`}, // a class without it
	{"scheduler", `{"model":"sd15","scheduler":""}`},
	{"scheduler", `{"model":"sd15","scheduler":"a; rm -rf"}`},
	{"scheduler", `{"model":"sd15","scheduler":5}`},
	{"format", `{"model":"sd15","format":"gif"}`},
	{"format", `{"model":"sd15","format":"PNG"}`},
	{"format", `{"model":"sd15","format":1}`},
	{"quality", `{"model":"sd15","quality":0}`},
	{"quality", `{"model":"sd15","quality":101}`},
	{"quality", `{"model":"sd15","quality":"90"}`},
	{"deadline", `{"model":"sd15","deadline":"tomorrow"}`},
	{"deadline", `{"model":"sd15","deadline":"2026-13-01T00:00:00Z"}`},
	{"deadline", `{"model":"sd15","deadline":1767225600}`},
	{"trace_context", `{"model":"sd15","trace_context":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}`},
	{"trace_context.baggage", `{"model":"sd15","trace_context":{"baggage":"a=1"}}`},
	{"trace_context.traceparent", `{"model":"sd15","trace_context":{"traceparent":1}}`},
	{"trace_context.tracestate", `{"model":"sd15","trace_context":{"tracestate":"` + strings.Repeat("x", 9000) + `"}}`},
	{"promt", `{"model":"sd15","promt":"a fox"}`}, // unknown, by name
	{"Prompt", `{"model":"sd15","Prompt":"a fox"}`},
	{"prompt", `{"model":"sd15","prompt":"a fox","prompt":"a castle"}`},
}

// TestInvalidJobs: each is a dead letter that holds the message as it was and what is wrong with it, and has a result;
// its neighbours in the queue are drawn as ever.
func TestInvalidJobs(t *testing.T) {
	w := newWorld(t)
	w.worker("painter")
	const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for i, bad := range badJobs {
		if i%10 == 0 {
			w.publish("good", i/10, quick(i))
		}
		w.publishRaw("normal", "bad", []byte(bad.body), header("Nats-Msg-Id", fmt.Sprintf("bad/%d", i), "traceparent", traceparent, "X-Mine", "kept"))
	}
	results := w.awaitResults("bad", len(badJobs), 60*time.Second)
	w.done("good", (len(badJobs)+9)/10, 20*time.Second)
	letters := w.deadLetters("bad")
	if len(letters) != len(badJobs) {
		t.Errorf("%d dead letters, want %d", len(letters), len(badJobs))
	}
	for i, bad := range badJobs {
		name := fmt.Sprintf("job %d (%.60s)", i, bad.body)
		letter, ok := letters[w.subject("dead", "bad", fmt.Sprint(i))]
		if !ok {
			t.Errorf("%s: no dead letter", name)
			continue
		}
		if string(letter.Data) != bad.body {
			t.Errorf("%s: the dead letter holds %.60q", name, letter.Data)
		}
		for h, want := range map[string]string{
			"Stipple-Msg-Id": fmt.Sprintf("bad/%d", i), "traceparent": traceparent, "X-Mine": "kept", "Stipple-Error-Type": "invalid_job",
			"Stipple-Subject": w.subject("jobs", "normal", "sd15", "bad"),
		} {
			if got := letter.Header[h]; !slices.Equal(got, []string{want}) {
				t.Errorf("%s: the dead letter's header %s is %q, want %q", name, h, got, want)
			}
		}
		if reason := letter.Header.Get("Stipple-Error"); !blames(reason, bad.field) || len(reason) > 1024 {
			t.Errorf("%s: the dead letter's reason does not blame %s: %q", name, bad.field, reason)
		}
		r := results[i]
		if r.Status != "failed" || r.Image != nil || r.Error == nil || r.Error.Type != "invalid_job" || !blames(r.Error.Message, bad.field) {
			t.Errorf("%s: the result does not blame %s: %.300s", name, bad.field, r.raw)
		}
		if r.TraceID != "0af7651916cd43dd8448eb211c80319c" {
			t.Errorf("%s: trace_id is %s", name, r.TraceID)
		}
	}
	if state := w.state("DEAD"); state.LastSeq != uint64(len(badJobs)) {
		t.Errorf("%d dead letters were written for %d jobs: some were tried again", state.LastSeq, len(badJobs))
	}
	if keys := w.keys("bad"); len(keys) > 0 {
		t.Errorf("jobs that cannot be drawn have the objects %q", keys)
	}
}

// blames reports whether a reason names the field as a word of its own.
func blames(reason, field string) bool {
	return slices.Contains(strings.FieldsFunc(reason, func(r rune) bool { return strings.ContainsRune(` :,"×`, r) }), field)
}

// deadLetters returns the dead letters of a batch by subject.
func (w *world) deadLetters(batch string) map[string]*nats.Msg {
	w.t.Helper()
	letters := map[string]*nats.Msg{}
	for subject, msg := range w.last(w.stream("DEAD"), w.subject("dead", batch, "*")) {
		letters[subject] = &nats.Msg{Header: msg.Header, Data: msg.Data}
	}
	return letters
}

// TestMessagesWithoutAnIndex cannot have a result: they are dead letters under their sequence.
func TestMessagesWithoutAnIndex(t *testing.T) {
	w := newWorld(t)
	w.worker("painter")
	var want []string
	for _, tt := range []struct {
		body  string
		msgID []string
	}{
		{`unreadable`, nil},
		{`{"model":"sd15","index":0}`, nil},
		{`{"model":"sd15"}`, []string{"Nats-Msg-Id", "lost"}},
		{`{"model":"sd15"}`, []string{"Nats-Msg-Id", "other/0"}},
		{`{"model":"sd15"}`, []string{"Nats-Msg-Id", "lost/-1"}},
		{`{"model":"sd15"}`, []string{"Nats-Msg-Id", "lost/007"}},
		{`{"model":"sd15"}`, []string{"Nats-Msg-Id", "lost/1#0"}},
	} {
		seq := w.publishRaw("normal", "lost", []byte(tt.body), header(tt.msgID...))
		want = append(want, w.subject("dead", "lost", fmt.Sprintf("s%d", seq)))
	}
	w.publish("good", 0, quick(1))
	w.awaitResults("good", 1, 20*time.Second)
	w.settled()
	letters := w.deadLetters("lost")
	if diff := cmp.Diff(slices.Sorted(slices.Values(want)), slices.Sorted(maps.Keys(letters))); diff != "" {
		t.Errorf("dead letters (-want +got):\n%s", diff)
	}
	for subject, letter := range letters {
		if !blames(letter.Header.Get("Stipple-Error"), "Nats-Msg-Id") {
			t.Errorf("%s does not blame Nats-Msg-Id: %q", subject, letter.Header.Get("Stipple-Error"))
		}
	}
	if results := w.results("lost"); len(results) > 0 {
		t.Errorf("messages without an index have results: %v", results)
	}
}

// TestAJobOfANewerVersion is none of an old worker's business: it waits for a newer one, and nothing is counted.
func TestAJobOfANewerVersion(t *testing.T) {
	w := newWorld(t)
	k := w.worker("old")
	w.publishRaw("normal", "future", []byte(`{"version":2,"model":"sd15","prompts":["new","in","2"]}`), header("Nats-Msg-Id", "future/0"))
	w.publishMany("good", 3, quick(0))
	w.awaitResults("good", 3, 20*time.Second)
	eventually(t, 10*time.Second, func() string {
		if len(k.logged("newer worker")) == 0 {
			return "the worker does not say that it hands a job back"
		}
		return ""
	})
	if state := w.state("JOBS"); state.Msgs != 1 {
		t.Errorf("%d messages are in the queue, want the one of the newer version", state.Msgs)
	}
	if dead, results := w.deadLetters("future"), w.results("future"); len(dead)+len(results) > 0 {
		t.Errorf("a job of a newer version has dead letters %v and results %v", dead, results)
	}
	kv, err := w.js.KeyValue(t.Context(), w.stream("attempts"))
	if err != nil {
		t.Fatal(err)
	}
	if entry, err := kv.Get(t.Context(), "future.0"); err == nil && !strings.Contains(string(entry.Value()), `"attempts":0`) {
		t.Errorf("an attempt was counted: %s", entry.Value())
	}
	mentions(t, "/metrics", k.metrics(), "\nworker_unknown_versions_total 1\n")
	if n := len(k.logged("newer worker")); n != 1 {
		t.Errorf("the job was handed back %d times, want once in 30 s", n)
	}
}
