package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stipple-ai/stipple/internal/ledger"
	"github.com/stipple-ai/stipple/internal/ops"
	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/upload"
)

func TestExplainText(t *testing.T) {
	now := time.Date(2030, 1, 2, 15, 4, 5, 0, time.UTC)
	p := painter{rows: 8, times: paintTimes()}
	job := queue.Job{BatchID: "monday", Index: 7, Model: "sd15", Prompt: new("a cat\x1b[31m,\non canvas\u202e"), NegativePrompt: new("blurry"), Seed: new(queue.Seed(42)),
		NumInferenceSteps: new(30), Format: new(upload.JPEG)}
	file, pic, err := p.file(job)
	if err != nil {
		t.Fatal(err)
	}
	meta, err := upload.ReadMeta(file)
	if err != nil {
		t.Fatal(err)
	}
	image := &queue.Image{Bucket: "images", Key: "monday/00000007-954ff402820dd465.jpg", ContentType: "image/jpeg", Width: 16, Height: 8, Size: 999, SHA256: "aa", PixelsSHA256: pic.SHA256()}
	times := p.times
	base := func() ops.Explanation { return ops.Explanation{Type: "explanation", Notes: []string{}} }

	whole := base()
	whole.ID, whole.File = "monday/7", "pictures/00000007.jpg"
	whole.TakeFile(meta)
	whole.TakeResult(queue.Result{BatchID: "monday", Index: 7, Status: queue.Succeeded, Image: image, Model: "sd15", ModelDigest: "sha256:dd", TraceID: paintTrace,
		Seed: new(queue.Seed(42)), Attempt: 1, Worker: "rembrandt", Timings: &times, RowsMean: 8, PromptTruncated: true})
	whole.Account()
	b := &ops.BatchTime{}
	b.Time.Add(now, 0)
	b.Time.Add(now.Add(-10*time.Second), 2*time.Second)
	b.Jobs, b.Wall, b.Share = b.Time.Jobs, queue.Millis(b.Time.Wall()), queue.Mean(b.Time.Share(whole.Accounted))
	whole.Batch = b

	alone := base()
	alone.File, alone.Status = "x.jpg", queue.Succeeded
	alone.TakeFile(meta)
	alone.Account()
	alone.Notes = append(alone.Notes, "the queue was not asked: it is\naway")

	object := base()
	object.ID, object.Status = "monday/7", queue.Succeeded
	object.TakeObject("images", upload.Object{Key: image.Key, Size: 999, Metadata: upload.Metadata{Spec16: "954ff402820dd465", Seed: 42, Width: 16, Height: 8, Worker: "rembrandt",
		Attempt: 1, Model: "sd15", Timings: upload.Timings{Wait: time.Second, Denoise: 3 * time.Second}}})
	object.Account()

	waits := base()
	waits.ID, waits.Status, waits.Why = "monday/9", ops.StatusWaiting, "it waits in the queue"
	waits.TakeJob(job)
	waits.Queue = &ops.QueuePlace{State: ops.StatusWaiting, Priority: queue.Low, Published: now.Add(-90 * time.Second), Ahead: 12, Consumer: true,
		LastError: &queue.ResultError{Type: queue.TypePanic, Message: "no"}, Starts: 1}

	failed := base()
	failed.ID = "monday/3"
	failed.TakeResult(queue.Result{Status: queue.Failed, Error: &queue.ResultError{Type: queue.TypeModelError, Message: "it\nbroke"}, Model: "sd15", Attempt: 5, Worker: "w"})
	failed.Account()

	var text strings.Builder
	for _, e := range []ops.Explanation{whole, alone, object, waits, failed} {
		explanationText{&e}.write(&text, 0, now)
		text.WriteString("\n")
	}
	golden(t, "explain.txt", text.String())
	golden(t, "explain.json", indented(t, whole)+indented(t, waits))
	if strings.ContainsAny(text.String(), "\x1b\u202e\r") {
		t.Error("what stands in a prompt reaches the terminal")
	}
}

// TestRowsOfTheLedger holds that a guided picture counts with two rows, wherever its guidance is found.
func TestRowsOfTheLedger(t *testing.T) {
	for _, tt := range []struct {
		e    ops.Explanation
		want int
	}{
		{ops.Explanation{}, 1},
		{ops.Explanation{Settings: map[string]string{"CFG scale": "7.5"}}, 2},
		{ops.Explanation{Settings: map[string]string{"CFG scale": "1"}}, 1},
		{ops.Explanation{Settings: map[string]string{"CFG scale": "7.5"}, Decoded: &queue.Job{GuidanceScale: new(0.5)}}, 1},
		{ops.Explanation{Decoded: &queue.Job{GuidanceScale: new(2.0)}}, 2},
	} {
		if got := tt.e.Rows(); got != tt.want {
			t.Errorf("%+v has %d rows, want %d", tt.e, got, tt.want)
		}
	}
}

// TestExplainPicture asks for one picture as a file, a key and a job.
func TestExplainPicture(t *testing.T) {
	w := newWorld(t, "m").withStore()
	w.paint("m", painter{rows: 8, times: paintTimes()})
	dir := filepath.Join(t.TempDir(), "pictures")
	w.run("a cat", "a dog", "--batch", "b", "--seeds", "1..2", "--guidance-scale", "7.5", "--out", dir).want(t, exitOK)
	file := filepath.Join(dir, "00000001.png")
	key := w.keys("b/")[1]
	all := map[string][]string{
		"job": {"b/1"}, "key": {key, "--s3-bucket", bucket}, "url": {"s3://" + bucket + "/" + key}, "file": {file},
	}
	want := one(t, w.run("explain", "b/1", "--json"), exitOK)
	if l := want["ledger"].(map[string]any); l["source"] != "result" || l["total_ms"] != 1000.0 || l["rest_ms"] != 10.0 || l["balanced"] != true || l["own_ms"] != 440.0 || l["rows_mean"] != 8.0 {
		t.Errorf("ledger %v", l)
	}
	if b := want["batch"].(map[string]any); b["jobs"] != 4.0 || b["wall_ms"].(float64) < 1000 || b["own_share"].(float64) > 0.44 || b["own_share"].(float64) <= 0 {
		t.Errorf("batch %v", b)
	}
	if len(want["notes"].([]any)) != 0 {
		t.Errorf("notes %v", want["notes"])
	}
	for name, args := range all {
		w.run(append([]string{"explain"}, args...)...).want(t, exitOK, "job         b/1  succeeded", "prompt      a cat", "seed        2", "model       m", "trace       "+paintTrace,
			"worker      rembrandt, attempt 2", "guidance_scale 7.5, width 16 (the model's)", "denoise        600.0 ms    60.0 %  150.0 ms", "total         1000.0 ms   100.0 %  440.0 ms",
			"rows_mean 8: of each call of the denoising about 25.0 % was its own", "its own 440.0 ms are", "all 4 results of its batch took")
		got := one(t, w.run(append([]string{"explain", "--json"}, args...)...), exitOK)
		delete(got, "file")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-job +%s):\n%s", name, name, diff)
		}
	}

	// Without the queue: what file, manifest and object tell.
	offline := w.without("NATS_")
	offline.run("explain", file).want(t, exitOK, "b/1  succeeded", "prompt      a cat", "total         1000.0 ms", "the queue was not asked")
	offline.run("explain", "s3://"+bucket+"/"+key).want(t, exitOK, "b/1  succeeded", "prompt      a cat", "by the object, which does not know of the upload", "total          900.0 ms")
	alone := fileOf(t, "x.png", []byte(files(t, dir)["00000001.png"]))
	offline = w.without("NATS_", "AWS_")
	offline.run("explain", alone).want(t, exitOK, "a picture of a job that is not known  succeeded", "prompt      a cat", "trace       "+paintTrace, "the queue was not asked")
	offline.run("explain", "s3://"+bucket+"/"+key).want(t, exitInput, "nothing is known of "+key, "the queue was not asked")

	// A file that nothing beside it explains is found among the results; one that was changed, by job and trace.
	w.run("explain", alone).want(t, exitOK, "b/1  succeeded", "total         1000.0 ms")
	w.run("explain", tamper(t, file, 9)).want(t, exitOK, "b/1  succeeded", "the file is not the one that was stored")
	w.purge("RESULTS", "results.>")
	w.run("explain", alone).want(t, exitOK, "a cat", "no result is of this file")
	w.run("explain", "b/1", "--s3-bucket", bucket).want(t, exitOK, "b/1  succeeded", "by the object", "rembrandt")
	w.run("explain", "b/1").want(t, exitOK, "b/1  gone", "its result is gone", "set --s3-bucket")
}

func TestExplainFormats(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "m").without("NATS_", "AWS_")
	for _, format := range []string{upload.PNG, upload.JPEG, upload.WebP} {
		name := fileOf(t, "x."+format, mustFile(t, format))
		w.run("explain", name).want(t, exitOK, `prompt      a cat\x1b[31m\nin two lines`, "seed        7", "format "+format, "num_inference_steps 20 (the model's)", "digest      d", "trace       "+paintTrace)
		w.run("explain", bare(t, "bare."+format)).want(t, exitOK, "succeeded", "does not hold its job (METADATA)")
	}
}

func TestExplainRefuses(t *testing.T) {
	w := newWorld(t, "m").withStore()
	for _, tt := range []struct {
		says string
		args []string
	}{
		{"no file that is there, no key", []string{"explain", "nothing"}},
		{"nothing is known", []string{"explain", "b/00000000-0123456789abcdef.png", "--s3-bucket", bucket}},
		{"no such batch", []string{"explain", "b/0"}},
		{"neither PNG, JPEG nor WebP", []string{"explain", file(t, "x.png", "no picture")}},
		{"is no file", []string{"explain", t.TempDir()}},
		{"--timeout is 0s", []string{"explain", "b/0", "--timeout", "0"}},
		{"s3://<bucket>/<key>", []string{"explain", "s3://b"}},
		{"takes the file, the key or the job", []string{"explain"}},
	} {
		w.run(tt.args...).want(t, exitInput, tt.says)
	}
}

func TestBatchShareOfALedger(t *testing.T) {
	l := ledger.New(ledger.Times{Denoise: time.Second, Total: 2 * time.Second})
	var b ops.BatchTime
	b.Time.Add(time.Unix(100, 0), 4*time.Second)
	if got := b.Time.Share(l); got != 0.25 {
		t.Errorf("%v", got)
	}
}
