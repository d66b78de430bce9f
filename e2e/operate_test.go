package e2e_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// says runs a command of enqueue, which must end with that code within a while, and returns what it printed.
func (w *world) says(code int, args ...string) string {
	w.t.Helper()
	p := w.launchEnqueue(nil, args...)
	if got := p.exit(60 * time.Second); got != code {
		w.t.Fatalf("enqueue %v ended with exit code %d, want %d:\n%s%s", args, got, code, p.out(), p.errs())
	}
	return p.out()
}

// told is the one line of JSON that a command of enqueue prints.
func (w *world) told(code int, args ...string) map[string]any {
	w.t.Helper()
	var line map[string]any
	if err := json.Unmarshal([]byte(w.says(code, append(args, "--json")...)), &line); err != nil {
		w.t.Fatal(err)
	}
	return line
}

// TestABatchIsCancelledWhileItIsDrawn: what runs stops, what waits is gone, and another batch is drawn to its end.
func TestABatchIsCancelledWhileItIsDrawn(t *testing.T) {
	w := newWorld(t)
	w.worker("painter", "SLOTS=4")
	const n = 40
	w.enqueue("a fox", "--seeds", "1..40", "--steps", "900", "--batch", "long")
	w.awaitHeld("normal", 4)
	w.enqueue("a hen", "--seeds", "1..3", "--steps", "2", "--batch", "short")
	// Those that run are taken out, too, unless their worker heard of it and was quicker.
	if line := w.told(0, "cancel", "long"); line["purged"].(float64) < n-4 || line["purged"].(float64) > n {
		t.Errorf("cancel printed %v, want the %d jobs taken out, or all but the 4 that ran", line, n)
	}
	w.says(0, "wait", "short")
	mentions(t, "what wait prints", w.says(3, "wait", "long"), "long: 0 succeeded, 40 cancelled of 40")
	for i, r := range w.results("long") {
		if r.Status != "cancelled" {
			t.Errorf("job %d of the cancelled batch is %s: %s", i, r.Status, r.raw)
		}
	}
	if line := w.told(3, "status", "long"); line["state"] != "cancelled" || line["cancelled"] != float64(n) || line["waiting"] != 0.0 {
		t.Errorf("status of the cancelled batch: %v", line)
	}
	if keys := w.keys("long"); len(keys) != 0 {
		t.Errorf("the cancelled batch has pictures: %v", keys)
	}
	if letters := w.deadLetters("long"); len(letters) != 0 {
		t.Errorf("%d dead letters of a cancelled batch", len(letters))
	}
	w.done("short", 3, time.Second)
}

// TestPicturesThatAreGoneAreDrawnAgain: the bucket loses two pictures of a batch, and retry brings back the same.
func TestPicturesThatAreGoneAreDrawnAgain(t *testing.T) {
	w := newWorld(t)
	w.worker("painter")
	rows := []string{"a fox", "a hen", "--seeds", "1..2", "--steps", "2"}
	w.enqueue(append(rows, "--batch", "farm", "--wait")...)
	before := w.done("farm", 4, time.Second)
	for _, i := range []int{1, 2} {
		if _, err := w.s3.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(w.bucket), Key: aws.String(before[i].Image.Key)}); err != nil {
			t.Fatal(err)
		}
	}
	w.refuses(2, nil, []string{"retry", "farm", "--missing"}, "2 jobs", "--file")
	w.refuses(2, nil, []string{"retry", "farm", "--missing", "a fox", "a cow", "--seeds", "1..2", "--steps", "2"}, "not those that this batch was begun with")
	retry := append([]string{"retry", "farm"}, rows...)
	mentions(t, "what retry prints", w.says(0, append(retry, "--missing", "--wait")...), "2 pictures are missing", "2 jobs were put back", "farm: 4 succeeded of 4")
	after := w.results("farm")
	for i, r := range after {
		w.checkPicture(r)
		wantRetry := 0
		if i == 1 || i == 2 {
			wantRetry = 1
		}
		if r.Retry != wantRetry || r.Image.Key != before[i].Image.Key || r.Image.PixelsSHA256 != before[i].Image.PixelsSHA256 {
			t.Errorf("job %d: retry %d with the key %s and the pixels %s; want retry %d, %s, %s", i, r.Retry, r.Image.Key, r.Image.PixelsSHA256, wantRetry, before[i].Image.Key, before[i].Image.PixelsSHA256)
		}
	}
	w.settled()
}

// TestADeadJobIsPutBack: a job that failed for a reason that is gone by now, a worker that draws small pictures alone, is
// drawn from its dead letter.
func TestADeadJobIsPutBack(t *testing.T) {
	w := newWorld(t)
	k := w.worker("small", "MAX_PIXELS=4096")
	p := w.launchEnqueue(nil, "a fox", "--size", "128x128", "--steps", "2", "--batch", "large", "--wait")
	if code := p.exit(60 * time.Second); code != 2 {
		t.Fatalf("enqueue ended with exit code %d, want 2:\n%s", code, p.errs())
	}
	mentions(t, "what dlq list prints", w.says(0, "dlq", "list"), "large/0", "invalid_job")
	mentions(t, "what dlq show prints", w.says(0, "dlq", "show", "large/0"), `"width": 128`, "invalid_job")
	mentions(t, "what status prints", w.says(2, "status", "large"), "large/0", "invalid_job")
	k.terminate(30 * time.Second)
	w.worker("large")
	mentions(t, "what retry prints", w.says(0, "retry", "large", "--failed", "--wait"), "1 job failed", "1 from dead letters", "large: 1 succeeded of 1")
	r := w.results("large")[0]
	w.checkPicture(r)
	if r.Retry != 1 || r.Status != "succeeded" {
		t.Errorf("the result is %s", r.raw)
	}
	if letters := w.deadLetters("large"); len(letters) != 0 {
		t.Errorf("%d dead letters are left", len(letters))
	}
	w.settled()
}

// TestPausedJobsWait: nothing of a priority that is paused is fetched, and all of it once it is resumed.
func TestPausedJobsWait(t *testing.T) {
	w := newWorld(t)
	w.worker("painter")
	w.told(0, "pause", "--priority", "low")
	w.enqueue("a fox", "--seeds", "1..3", "--steps", "2", "--priority", "low", "--batch", "later")
	w.enqueue("a hen", "--seeds", "1..3", "--steps", "2", "--batch", "now", "--wait")
	if got := w.results("later"); len(got) != 0 {
		t.Errorf("%d results of jobs that are paused", len(got))
	}
	status := w.told(0, "status")
	waiting := map[string]float64{}
	for _, d := range status["queue"].([]any) {
		d := d.(map[string]any)
		waiting[fmt.Sprint(d["priority"])] = d["waiting"].(float64)
		if paused := d["paused_until"] != nil; paused != (d["priority"] == "low") {
			t.Errorf("the queue says %v", d)
		}
	}
	if waiting["low"] != 3 || waiting["normal"] != 0 {
		t.Errorf("waiting by priority: %v", waiting)
	}
	if workers := status["workers"].([]any); len(workers) != 1 || workers[0].(map[string]any)["worker"] != "painter" {
		t.Errorf("workers %v", workers)
	}
	w.told(0, "resume")
	w.says(0, "wait", "later")
	w.done("now", 3, time.Second)
	if got := len(w.results("later")); got != 3 {
		t.Errorf("%d results, want 3", got)
	}
}
