package queue

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDecodeTakes(t *testing.T) {
	id := Identity{Batch: "b", Index: 3}
	least := Job{Version: 1, ID: "b/3", BatchID: "b", Index: 3, Model: "m"}
	with := func(change func(*Job)) Job { j := least; change(&j); return j }
	tests := []struct {
		name string
		id   Identity
		body string
		want Job
	}{
		{"least", id, `{"model":"m"}`, least},
		{"space", id, " \n{ \"model\" : \"m\" } \n", least},
		{"identity repeated", id, `{"version":1,"id":"b/3","batch_id":"b","index":3,"retry":0,"model":"m"}`, least},
		{"nulls", id, `{"version":null,"id":null,"batch_id":null,"index":null,"retry":null,"model":"m","prompt":null,"negative_prompt":null,` +
			`"num_inference_steps":null,"guidance_scale":null,"seed":null,"width":null,"height":null,"scheduler":null,"format":null,` +
			`"quality":null,"deadline":null,"trace_context":null}`, least},
		{"empty label", id, `{"model":"m","id":""}`, least},
		{"escaped name", id, `{"mod\u0065l":"m"}`, least},
		{"retry from the id", Identity{"b", 3, 2}, `{"model":"m"}`, with(func(j *Job) { j.Retry = 2 })},
		{"seed as string", id, `{"model":"m","seed":"18446744073709551615"}`, with(func(j *Job) { j.Seed = new(Seed(1<<64 - 1)) })},
		{"seed as number", id, `{"model":"m","seed":18446744073709551615}`, with(func(j *Job) { j.Seed = new(Seed(1<<64 - 1)) })},
		{"scale zero", id, `{"model":"m","guidance_scale":-0.0}`, with(func(j *Job) { j.GuidanceScale = new(0.0) })},
		{"scale with exponent", id, `{"model":"m","guidance_scale":75e-1}`, with(func(j *Job) { j.GuidanceScale = new(7.5) })},
		{"empty prompt", id, `{"model":"m","prompt":""}`, with(func(j *Job) { j.Prompt = new("") })},
		{"surrogate pair", id, `{"model":"m","prompt":"\ud83d\ude00\\ud83d"}`, with(func(j *Job) { j.Prompt = new(`😀\ud83d`) })},
		{"offset", id, `{"model":"m","deadline":"2026-01-02T17:04:05+02:00"}`,
			with(func(j *Job) { j.Deadline = new(time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)) })},
		{"half a context", id, `{"model":"m","trace_context":{"tracestate":null,"traceparent":"x"}}`,
			with(func(j *Job) { j.TraceContext = &TraceContext{Traceparent: "x"} })},
		{"longest prompt", id, `{"model":"m","prompt":"` + strings.Repeat("é", MaxPrompt/2) + `"}`,
			with(func(j *Job) { j.Prompt = new(strings.Repeat("é", MaxPrompt/2)) })},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Decode([]byte(tt.body), tt.id)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Decode (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	m := func(rest string) string { return `{"model":"m",` + rest + `}` }
	tests := []struct{ body, field, reason string }{
		{"", "body", "ends too early"},
		{`{"model":"m"`, "body", "ends too early"},
		{`{"model":"m",}`, "body", "not JSON"},
		{`{model:"m"}`, "body", "not JSON"},
		{`{"model":"m"} {}`, "body", "more behind it"},
		{`{"model":"m"}]`, "body", "more behind it"},
		{`[1]`, "body", "must be a JSON object"},
		{`null`, "body", "must be a JSON object"},
		{"{\"model\":\"m\",\"prompt\":\"\xff\"}", "body", "UTF-8"},
		{strings.Repeat(" ", maxBody+1), "body", "at most"},
		{m(`"prompt":"` + strings.Repeat("x", maxBody) + `"`), "body", "at most"},
		{m(`"steps":3`), "steps", "not a field of a job of version 1"},
		{m(`"steps":null`), "steps", "not a field"},
		{m(`"Prompt":"x"`), "Prompt", "not a field"},
		{m(`"":1`), `""`, "not a field"},
		{m(`"a b\u0007":1`), `text of 4 bytes`, "not a field"},
		{m(`"` + strings.Repeat("x", 1000) + `":1`), `"` + strings.Repeat("x", 80) + `"…`, "not a field"},
		{m(`"prompt":"a","prompt":"a"`), "prompt", "more than once"},
		{m(`"prompt":null,"pr\u006fmpt":"a"`), "prompt", "more than once"},
		{m(`"version":1,"version":1`), "version", "more than once"},
		{m(`"version":0`), "version", "must be 1, is 0"},
		{m(`"version":-99999999999999999999`), "version", "too large"},
		{m(`"version":"1"`), "version", "must be an integer"},
		{m(`"version":1.0`), "version", "must be an integer"},
		{m(`"id":7`), "id", "must be a string"},
		{m(`"id":"a\tb"`), "id", "control"},
		{m(`"batch_id":"B"`), "batch_id", `subject, which says "b", is "B"`},
		{m(`"index":4`), "index", `Nats-Msg-Id, which says "3", is "4"`},
		{m(`"index":"3"`), "index", "must be an integer"},
		{m(`"retry":1`), "retry", `which says "0", is "1"`},
		{`{}`, "model", "is missing"},
		{`{"model":""}`, "model", "is missing"},
		{`{"model":"a/b"}`, "model", `is "a/b"`},
		{`{"model":"` + strings.Repeat("m", 65) + `"}`, "model", "63"},
		{m(`"prompt":7`), "prompt", "must be a string"},
		{m(`"prompt":["a"]`), "prompt", "must be a string"},
		{m(`"prompt":"\ud83d"`), "prompt", "surrogate"},
		{m(`"prompt":"\ude00\ud83d"`), "prompt", "surrogate"},
		{m(`"prompt":"\ud83d\n\ude00"`), "prompt", "surrogate"},
		{m(`"prompt":"\ud83dx"`), "prompt", "surrogate"},
		{m(`"prompt":"` + strings.Repeat("é", MaxPrompt/2) + `x"`), "prompt", "at most 16384 bytes, is 16385"},
		{m(`"negative_prompt":"` + strings.Repeat("x", MaxPrompt+1) + `"`), "negative_prompt", "at most"},
		{m(`"num_inference_steps":0`), "num_inference_steps", "from 1 to 1000, is 0"},
		{m(`"num_inference_steps":1001`), "num_inference_steps", "is 1001"},
		{m(`"num_inference_steps":20.0`), "num_inference_steps", "must be an integer, is 20.0"},
		{m(`"num_inference_steps":99999999999999999999`), "num_inference_steps", "too large"},
		{m(`"guidance_scale":-0.1`), "guidance_scale", "from 0 to 50, is -0.1"},
		{m(`"guidance_scale":50.5`), "guidance_scale", "is 50.5"},
		{m(`"guidance_scale":1e999`), "guidance_scale", "too large"},
		{m(`"guidance_scale":"7.5"`), "guidance_scale", "must be a number"},
		{m(`"guidance_scale":true`), "guidance_scale", "must be a number"},
		{m(`"seed":-1`), "seed", "2^64-1"},
		{m(`"seed":18446744073709551616`), "seed", "2^64-1"},
		{m(`"seed":1.5`), "seed", "2^64-1"},
		{m(`"seed":"0x10"`), "seed", "2^64-1"},
		{m(`"width":7`), "width", "from 8 to 16384, is 7"},
		{m(`"height":16385`), "height", "is 16385"},
		{m(`"height":"512"`), "height", "must be an integer"},
		{m(`"scheduler":""`), "scheduler", "1 to 64"},
		{m(`"scheduler":"euler a"`), "scheduler", "1 to 64"},
		{m(`"format":"gif"`), "format", `must be one of png, jpeg, webp, is "gif"`},
		{m(`"quality":0`), "quality", "from 1 to 100"},
		{m(`"deadline":"tomorrow"`), "deadline", "RFC 3339"},
		{m(`"deadline":"2026-01-02 15:04:05Z"`), "deadline", "RFC 3339"},
		{m(`"deadline":"2026-01-02T15:04:05,5Z"`), "deadline", "RFC 3339"},
		{m(`"deadline":"2026-01-02T5:04:05Z"`), "deadline", "RFC 3339"},
		{m(`"deadline":"2026-01-02T15:04:05+24:00"`), "deadline", "RFC 3339"},
		{m(`"deadline":"2026-02-30T15:04:05Z"`), "deadline", "RFC 3339"},
		{m(`"deadline":1767366245`), "deadline", "must be a string"},
		{m(`"deadline":"9999-12-31T23:59:59-01:00"`), "deadline", "9999"},
		{m(`"trace_context":"x"`), "trace_context", "must be a JSON object"},
		{m(`"trace_context":{"baggage":"x"}`), "trace_context.baggage", "not a field"},
		{m(`"trace_context":{"traceparent":"x","traceparent":"x"}`), "trace_context.traceparent", "more than once"},
		{m(`"trace_context":{"traceparent":1}`), "trace_context.traceparent", "must be a string"},
		{m(`"trace_context":{"traceparent":"a\nb"}`), "trace_context.traceparent", "ASCII"},
		{m(`"trace_context":{"tracestate":"` + strings.Repeat("x", maxContext+1) + `"}`), "trace_context.tracestate", "at most"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%.60s", tt.body), func(t *testing.T) {
			_, err := Decode([]byte(tt.body), Identity{Batch: "b", Index: 3})
			wantInvalid(t, err, tt.field, tt.reason)
		})
	}
}

func TestDecodeLooksAtTheVersionFirst(t *testing.T) {
	for _, body := range []string{
		`{"version":2,"model":"m"}`,
		`{"model":7,"new_field":{"a":[1]},"version":2}`,
		`{"version":3,"prompt":"a","prompt":"b"}`,
		`{"version":99999999999999999999}`,
	} {
		_, err := Decode([]byte(body), Identity{Batch: "b"})
		if !errors.Is(err, ErrNewerVersion) || ErrorType(err) != TypeVersion {
			t.Errorf("%s: error %v of type %q, want ErrNewerVersion", body, err, ErrorType(err))
		}
	}
}

func TestIdentity(t *testing.T) {
	for _, tt := range []struct {
		msgID string
		want  Identity
	}{
		{"b_-1/0", Identity{"b_-1", 0, 0}},
		{"b_-1/9223372036854775807", Identity{"b_-1", 1<<63 - 1, 0}},
		{"b_-1/12#3", Identity{"b_-1", 12, 3}},
	} {
		got, err := parseIdentity("b_-1", tt.msgID)
		if err != nil || got != tt.want || got.MsgID() != tt.msgID {
			t.Errorf("parseIdentity(%q) = %+v, %v (id %q); want %+v", tt.msgID, got, err, got.MsgID(), tt.want)
		}
	}
	for _, msgID := range []string{"", "b", "b/", "b/x", "b/-1", "b/+1", "b/01", "b/1#", "b/1#0", "b/1#01", "b/1#x", "b/1#2147483648",
		"b/1#1#2", "c/1", "b/1/2", "b/9223372036854775808", " b/1", "b/1 "} {
		_, err := parseIdentity("b", msgID)
		wantInvalid(t, err, "Nats-Msg-Id", "")
	}
	for _, batch := range []string{"", "a b", "a*", "é", strings.Repeat("b", 65)} {
		_, err := parseIdentity(batch, batch+"/1")
		wantInvalid(t, err, "batch_id", "")
	}
}

// FuzzDecode checks that no body panics, that every error has its class, and that a job that was taken is
// written back to a body that means the same.
func FuzzDecode(f *testing.F) {
	all, err := testJob().Encode()
	if err != nil {
		f.Fatal(err)
	}
	for _, body := range []string{
		string(all), `{"model":"m"}`, `{"version":2}`, `{"model":"m","prompt":"\ud83d"}`, `{"model":"m","seed":"7","seed":8}`,
		`{"model":"m","deadline":"0001-01-01T00:00:00+23:59","guidance_scale":-0}`, `{"model":"m","trace_context":{}}`, `{"a":[[[`, "\x00",
	} {
		f.Add([]byte(body), "demo", "demo/7#2")
	}
	f.Fuzz(func(t *testing.T, data []byte, batch, msgID string) {
		id, err := parseIdentity(batch, msgID)
		if err != nil {
			if ErrorType(err) != TypeInvalidJob {
				t.Fatalf("error %v of type %q", err, ErrorType(err))
			}
			id = Identity{Batch: "demo", Index: 7, Retry: 2}
		}
		job, err := Decode(data, id)
		if err != nil {
			if typ := ErrorType(err); typ != TypeInvalidJob && typ != TypeVersion {
				t.Fatalf("error %v of type %q", err, typ)
			}
			return
		}
		again, err := job.Encode()
		if err != nil {
			t.Fatalf("a decoded job cannot be encoded: %v", err)
		}
		back, err := Decode(again, id)
		if err != nil {
			t.Fatalf("%s cannot be decoded: %v", again, err)
		}
		if diff := cmp.Diff(job, back); diff != "" {
			t.Fatalf("changed by writing and reading (-before +after):\n%s", diff)
		}
		if _, err := job.Spec16(); err != nil {
			t.Fatalf("Spec16: %v", err)
		}
	})
}
