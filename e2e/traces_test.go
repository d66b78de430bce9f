package e2e_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/stipple-ai/stipple/internal/local/otlpd"
)

const jobTree = "text-to-image(inference(tokenize, text_encode, denoise, vae_decode), upload(S3.PutObject))"

// TestTraceContextOfAnyPublisher: a program without this project's code says in headers, in any spelling, or in the body
// which trace a job belongs to; what makes no sense is no context, and costs no job.
func TestTraceContextOfAnyPublisher(t *testing.T) {
	w := newWorld(t)
	sink, env := collector(t)
	w.worker("painter", env...)
	const (
		first, firstSpan   = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
		second, secondSpan = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
		context            = "00-" + first + "-" + firstSpan + "-01"
	)
	body := map[string]any{"traceparent": "00-" + second + "-" + secondSpan + "-01", "tracestate": "vendor=2"}
	for _, tt := range []struct {
		batch         string
		headers       []string
		body          any
		trace, parent string // that the job must join; "" for a root of its own
		state         string
	}{
		{"lower", []string{"traceparent", context, "tracestate", "vendor=1"}, nil, first, firstSpan, "vendor=1"},
		{"title", []string{"Traceparent", context, "Tracestate", "vendor=1"}, nil, first, firstSpan, "vendor=1"},
		{"mixed", []string{"TraceParent", context}, nil, first, firstSpan, ""},
		{"upper", []string{"TRACEPARENT", context}, nil, first, firstSpan, ""},
		{"body", nil, body, second, secondSpan, "vendor=2"},
		{"both", []string{"traceparent", context}, body, first, firstSpan, ""},
		{"none", nil, nil, "", "", ""},
		{"empty", nil, map[string]any{}, "", "", ""},
		{"nonsense", []string{"traceparent", "00-xyz-1-01"}, nil, "", "", ""},
		{"zero", []string{"traceparent", "00-00000000000000000000000000000000-b7ad6b7169203331-01"}, nil, "", "", ""},
		{"nonsense-header", []string{"traceparent", "yes"}, body, second, secondSpan, "vendor=2"},
	} {
		j := quick(1).with("trace_context", tt.body)
		w.publishRaw("normal", tt.batch, encode(t, j), header(append(tt.headers, "Nats-Msg-Id", tt.batch+"/0")...))
		r := w.done(tt.batch, 1, 20*time.Second)[0]
		if tt.trace != "" && r.TraceID != tt.trace {
			t.Errorf("%s: trace_id is %s, want %s", tt.batch, r.TraceID, tt.trace)
		}
		eventually(t, 10*time.Second, func() string {
			if len(spansOf(sink).with("job.id", tt.batch+"/0")) == 0 {
				return tt.batch + ": no span of the job has arrived"
			}
			return ""
		})
		attempt := spansOf(sink).with("job.id", tt.batch+"/0")[0]
		if attempt.Name != "text-to-image" || attempt.Kind != "CONSUMER" || attempt.TraceID != r.TraceID || attempt.ParentID != tt.parent || attempt.TraceState != tt.state {
			t.Errorf("%s: the span of the attempt is %+v, want a CONSUMER under %q in %s with state %q", tt.batch, attempt, tt.parent, r.TraceID, tt.state)
		}
		var links [][2]string
		for _, l := range attempt.Links {
			links = append(links, [2]string{l.TraceID, l.SpanID})
		}
		var want [][2]string
		if tt.trace != "" {
			want = [][2]string{{tt.trace, tt.parent}}
		}
		if diff := cmp.Diff(want, links); diff != "" {
			t.Errorf("%s: links of the attempt (-want +got):\n%s", tt.batch, diff)
		}
	}
}

// TestOneTraceFromCommandToPicture follows one job through both programs: what its spans are called, how they hang
// together, and what they say.
func TestOneTraceFromCommandToPicture(t *testing.T) {
	w := newWorld(t)
	sink, env := collector(t)
	k := w.worker("painter", append(env, "MAX_ROWS=1")...)
	const prompt = "ein Zyxomma über dem Käfer 🐞" // words that stand nowhere else
	said := w.enqueueWith(env, prompt, "--negative-prompt", "Qwertzuiop", "--steps", "3", "--guidance-scale", "4", "--width", "96", "--batch", "bugs", "--wait")
	r := w.done("bugs", 1, time.Second)[0]
	await(t, sink, 1, "enqueue")
	all := await(t, sink, 1, "text-to-image")

	of := all.trace(r.TraceID)
	if want := "publish jobs.normal.sd15(" + jobTree + ")"; of.tree("") != strings.ReplaceAll(want, "jobs.", w.subject("jobs")+".") {
		t.Errorf("the trace of the job is\n%s\nwant\n%s", of.tree(""), want)
	}
	if jobs := ofType(said, "job"); len(jobs) != 1 || jobs[0].TraceID != r.TraceID {
		t.Errorf("enqueue printed %+v, the trace is %s", jobs, r.TraceID)
	}
	command := all.named("enqueue")[0]
	publish := of.with("messaging.operation.name", "publish")[0]
	if publish.Kind != "PRODUCER" || publish.ParentID != "" || len(publish.Links) != 1 || publish.Links[0].SpanID != command.SpanID || said[0].TraceID != command.TraceID {
		t.Errorf("the span of the publishing is %+v, want a PRODUCER, a root, linked to %s", publish, command.SpanID)
	}
	attempt := of.named("text-to-image")[0]
	if attempt.ParentID != publish.SpanID || len(attempt.Links) != 1 || attempt.Links[0].SpanID != publish.SpanID {
		t.Errorf("the attempt hangs under %s with links %v, want both to lead to %s", attempt.ParentID, attempt.Links, publish.SpanID)
	}
	fixed := map[string]any{"model.name": "sd15", "prompt.length": int64(utf8.RuneCountInString(prompt)), "num_inference_steps": int64(3), "guidance_scale": float64(4)}
	checkAttributes(t, attempt, fixed)
	checkAttributes(t, of.named("inference")[0], fixed)
	checkAttributes(t, attempt, map[string]any{
		"messaging.system": "nats", "messaging.operation.name": "process", "messaging.operation.type": "process", "messaging.message.id": "bugs/0",
		"messaging.destination.name": w.subject("jobs", "normal", "sd15", "bugs"), "messaging.consumer.group.name": "w-normal-sd15",
		"messaging.nats.stream": w.stream("JOBS"), "messaging.nats.delivery_count": int64(1), "job.id": "bugs/0", "job.outcome": "completed",
		"image.width": int64(96), "image.height": int64(128), "image.count": int64(1),
	})
	checkAttributes(t, of.named("inference")[0], map[string]any{"inference.device": "cpu", "inference.execution_provider": "cpu", "gen_ai.provider.name": "onnxruntime"})
	// PNDM calls the model once more than it has steps, and a guided picture has two rows.
	checkAttributes(t, of.named("denoise")[0], map[string]any{"inference.calls": int64(8), "inference.rows.mean": float64(1)})
	checkAttributes(t, of.named("upload")[0], map[string]any{"aws.s3.bucket": w.bucket, "aws.s3.key": r.Image.Key, "upload.size": r.Image.Size, "upload.attempts": int64(1)})
	checkAttributes(t, of.named("S3.PutObject")[0], map[string]any{"aws.s3.bucket": w.bucket, "aws.s3.key": r.Image.Key, "http.response.status_code": int64(200), "rpc.system.name": "aws-api"})
	if put := of.named("S3.PutObject")[0]; put.Kind != "CLIENT" {
		t.Errorf("S3.PutObject is of kind %s, want CLIENT", put.Kind)
	}
	checkNesting(t, of)

	k.terminate(10 * time.Second)
	checkStartup(t, sink, r.TraceID)
	checkSent(t, sink, "bugs/0", "guidance_scale")
	checkNowhere(t, sink, "Zyxomma", "Käfer", "Qwertzuiop", given.secretKey)
}

// checkNesting holds that a span lies within its parent's time, that none is marked as failed, and that all say which
// service they are of.
func checkNesting(t *testing.T, all spans) {
	t.Helper()
	byID := map[string]span{}
	for _, span := range all {
		byID[span.SpanID] = span
	}
	for _, span := range all {
		if span.Status.Code != "UNSET" || len(span.Events) > 0 {
			t.Errorf("%s of a good job has status %+v and events %v", span.Name, span.Status, span.Events)
		}
		if span.Resource["service.name"] == "" || span.Resource["service.instance.id"] == "" {
			t.Errorf("%s is of no service: %v", span.Name, span.Resource)
		}
		up, ok := byID[span.ParentID]
		if !ok || up.Kind == "PRODUCER" { // the publishing is over when the job begins
			continue
		}
		if span.Start.Before(up.Start) || span.End.After(up.End) || span.End.Before(span.Start) {
			t.Errorf("%s (%v to %v) does not lie in %s (%v to %v)", span.Name, span.Start, span.End, up.Name, up.Start, up.End)
		}
	}
}

// checkStartup holds that loading and warming up is a trace of its own, no part of any job's.
func checkStartup(t *testing.T, sink *otlpd.Server, jobTrace string) {
	t.Helper()
	all := spansOf(sink)
	startup := all.named("startup")
	if len(startup) != 1 || startup[0].ParentID != "" || startup[0].TraceID == jobTrace {
		t.Fatalf("startup: %+v, want one root", startup)
	}
	if got := all.trace(startup[0].TraceID).tree(""); got != "startup(load_model, warmup)" {
		t.Errorf("the trace of the start is %s", got)
	}
	checkAttributes(t, all.named("warmup")[0], map[string]any{"model.name": "sd15", "num_inference_steps": int64(1), "inference.device": "cpu"})
	drain := all.named("drain")
	if len(drain) != 1 || drain[0].ParentID != "" || drain[0].TraceID == jobTrace {
		t.Fatalf("drain: %+v, want one root", drain)
	}
	checkAttributes(t, drain[0], map[string]any{"drain.finished": int64(0), "drain.handed_back": int64(0)})
}

// TestTheSpanOfAFailure says what went wrong: an exception, an error.type of the closed list, and a status.
func TestTheSpanOfAFailure(t *testing.T) {
	w := newWorld(t)
	sink, env := collector(t)
	w.worker("painter", env...)
	w.publish("bad", 0, quick(1).with("scheduler", "warp"))
	r := w.awaitResults("bad", 1, 20*time.Second)[0]
	attempt := await(t, sink, 1, "text-to-image").named("text-to-image")[0]
	if attempt.TraceID != r.TraceID || attempt.Status.Code != "ERROR" || !strings.Contains(attempt.Status.Message, "warp") {
		t.Errorf("the span of a job that failed has trace %s and status %+v", attempt.TraceID, attempt.Status)
	}
	checkAttributes(t, attempt, map[string]any{"error.type": "invalid_job", "job.outcome": "invalid", "job.id": "bad/0"})
	if len(attempt.Events) != 1 || attempt.Events[0].Name != "exception" || attempt.Events[0].Attributes["exception.message"] == "" {
		t.Errorf("the span of a job that failed has the events %v, want one exception", attempt.Events)
	}
}
