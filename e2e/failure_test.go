package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// failed holds that a job has failed for that reason after so many starts, and is a dead letter; it returns the result.
func (w *world) failed(batch string, index int, errorType string, attempts int, within time.Duration) result {
	w.t.Helper()
	var r result
	eventually(w.t, within, func() string {
		var ok bool
		if r, ok = w.results(batch)[index]; !ok {
			return fmt.Sprintf("%s/%d has no result", batch, index)
		}
		return ""
	})
	if r.Status != "failed" || r.Error == nil || r.Error.Type != errorType || r.Error.Message == "" || r.Image != nil {
		w.t.Errorf("%s/%d: want failed by %s: %s", batch, index, errorType, r.raw)
	}
	w.settled()
	letter := w.deadLetters(batch)[w.subject("dead", batch, fmt.Sprint(index))]
	if letter == nil {
		w.t.Fatalf("%s/%d has no dead letter", batch, index)
	}
	if got := letter.Header["Stipple-Error-Type"]; len(got) != 1 || got[0] != errorType {
		w.t.Errorf("the dead letter of %s/%d says %q, want %s", batch, index, got, errorType)
	}
	if got, want := letter.Header["Stipple-Attempts"], fmt.Sprint(attempts); len(got) != 1 || got[0] != want {
		w.t.Errorf("the dead letter of %s/%d counts %q starts, want %s", batch, index, got, want)
	}
	return r
}

// TestAJobThatTakesTooLong is tried again, and given up after MAX_ATTEMPTS; others go on meanwhile.
func TestAJobThatTakesTooLong(t *testing.T) {
	w := newWorld(t)
	sink, env := collector(t)
	w.worker("painter", append(env, "JOB_TIMEOUT=1s", "MAX_ATTEMPTS=2", "LANES=2")...)
	w.publish("long", 0, steps(999).with("guidance_scale", 7.5).with("scheduler", "euler"))
	w.publishMany("short", 5, quick(0))
	w.failed("long", 0, "timeout", 2, 30*time.Second)
	w.done("short", 5, 10*time.Second)
	outcomes := []any{}
	for _, attempt := range await(t, sink, 7, "text-to-image").with("job.id", "long/0").named("text-to-image") {
		checkAttributes(t, attempt, map[string]any{"error.type": "timeout"})
		outcomes = append(outcomes, attempt.Attributes["job.outcome"])
	}
	if fmt.Sprint(outcomes) != "[retry dead_letter]" {
		t.Errorf("the attempts had the outcomes %v", outcomes)
	}
}

// TestAJobThatKillsItsWorkers is given up after MAX_ATTEMPTS, although no worker could say that it failed.
func TestAJobThatKillsItsWorkers(t *testing.T) {
	w := newWorld(t)
	heard := w.listen("poison")
	const most = 2
	for round := range most {
		victim := w.worker(fmt.Sprintf("victim-%d", round), lease, fmt.Sprintf("MAX_ATTEMPTS=%d", most))
		if round == 0 {
			w.publish("poison", 0, steps(900).with("guidance_scale", 7.5))
		}
		heard.await(victim.name, 0, 10*time.Second)
		victim.kill()
	}
	w.worker("survivor", lease, fmt.Sprintf("MAX_ATTEMPTS=%d", most))
	r := w.failed("poison", 0, "panic", most, 20*time.Second)
	mentions(t, "the reason", r.Error.Message, "kills its worker")
	w.publish("good", 0, quick(1))
	w.awaitResults("good", 1, 10*time.Second)
	w.settled()
}

// TestAnObjectOfSomebodyElse under a job's key is not replaced, and not taken for the picture.
func TestAnObjectOfSomebodyElse(t *testing.T) {
	w := newWorld(t)
	w.worker("painter")
	spec := job{"model": "sd15", "prompt": "a fox", "num_inference_steps": 2, "seed": "1"}
	key := fmt.Sprintf("%staken/00000000-%s.png", w.keyPrefix(), spec16(t, spec))
	if _, err := w.s3.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String(w.bucket), Key: aws.String(key), Body: bytes.NewReader([]byte("mine")), Metadata: map[string]string{"spec16": "0000000000000000"},
	}); err != nil {
		t.Fatal(err)
	}
	w.publish("taken", 0, spec)
	r := w.failed("taken", 0, "object_conflict", 1, 20*time.Second)
	mentions(t, "the reason", r.Error.Message, key)
	if body := w.object(key).body; string(body) != "mine" {
		t.Errorf("the object is %.20q now", body)
	}
}

// TestAJobAskedForAgain under a higher retry is the same picture: the object stays, the record says which retry it is.
func TestAJobAskedForAgain(t *testing.T) {
	w := newWorld(t)
	w.worker("painter")
	w.publish("b", 0, quick(1))
	first := w.done("b", 1, 20*time.Second)[0]
	before := w.object(first.Image.Key)
	w.publishRaw("normal", "b", encode(t, quick(1).with("retry", 1)), header("Nats-Msg-Id", "b/0#1"))
	eventually(t, 20*time.Second, func() string {
		if r := w.results("b")[0]; r.Retry != 1 {
			return "the record is still that of the first time"
		}
		return ""
	})
	second := w.results("b")[0]
	after := w.object(second.Image.Key)
	if second.Image.Key != first.Image.Key || second.Image.PixelsSHA256 != first.Image.PixelsSHA256 || !after.modified.Equal(before.modified) {
		t.Errorf("the picture was\n%s\nand is\n%s", first.raw, second.raw)
	}
	w.settled()
	if keys := w.keys("b"); len(keys) != 1 {
		t.Errorf("the job has the objects %q", keys)
	}
}

// TestOtherFormatsAndLongPrompts: a JPEG is one, and a prompt longer than the model reads is cut and says so.
func TestOtherFormatsAndLongPrompts(t *testing.T) {
	w := newWorld(t)
	w.worker("painter")
	w.publish("b", 0, quick(1).with("format", "jpeg").with("quality", 70))
	w.publish("b", 1, quick(2).with("prompt", strings.Repeat("fox ", 200)))
	w.publish("b", 2, quick(3).with("prompt", ""))
	w.publish("b", 3, quick(4).with("width", 64).with("height", json.Number("160")))
	results := w.done("b", 4, 20*time.Second)
	if r := results[0]; r.Image.ContentType != "image/jpeg" || !strings.HasSuffix(r.Image.Key, ".jpg") || r.PromptTruncated {
		t.Errorf("want a JPEG: %s", r.raw)
	}
	if r := results[1]; !r.PromptTruncated {
		t.Errorf("want prompt_truncated: %s", r.raw)
	}
	if r := results[3]; r.Image.Width != 64 || r.Image.Height != 160 {
		t.Errorf("want 64×160: %s", r.raw)
	}
}
