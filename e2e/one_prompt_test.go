package e2e_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestOnePrompt tells of one job that says everything: what becomes of each of its fields, in the record, in the
// object's metadata and in the file.
func TestOnePrompt(t *testing.T) {
	w := newWorld(t)
	w.worker("painter", "MODELS="+model("tiny-emoji"), "MAX_ROWS=1")
	spec := job{
		"model": "tiny-emoji", "prompt": "ein rotes Äpfelchen, 1 \"red\" apple <b>&c", "negative_prompt": "blurry", "num_inference_steps": 3,
		"guidance_scale": 4.5, "seed": "18446744073709551615", "width": 128, "height": 96, "scheduler": "euler_a", "format": "png", "quality": 80,
	}
	body := encode(t, spec.with("version", 1).with("id", "my label").with("batch_id", "Say_1-ce").with("index", 7).with("retry", 0))
	w.publishModel("normal", "tiny-emoji", "Say_1-ce", body, header("Nats-Msg-Id", "Say_1-ce/7"))
	r := w.awaitResults("Say_1-ce", 1, 20*time.Second)[7]

	key := fmt.Sprintf("%sSay_1-ce/00000007-%s.png", w.keyPrefix(), spec16(t, spec))
	want := result{
		Version: 1, ID: "my label", BatchID: "Say_1-ce", Index: 7, Status: "succeeded", TraceID: r.TraceID,
		Seed: json.RawMessage(`"18446744073709551615"`), Model: "tiny-emoji", ModelDigest: r.ModelDigest, Attempt: 1, Worker: "painter",
		Timings: r.Timings, RowsMean: 1, raw: r.raw,
	}
	if r.Image == nil {
		t.Fatalf("the result has no image: %s", r.raw)
	}
	want.Image = &picture{
		Bucket: w.bucket, Key: key, ContentType: "image/png", Width: 128, Height: 96,
		Size: r.Image.Size, SHA256: r.Image.SHA256, PixelsSHA256: r.Image.PixelsSHA256,
	}
	if diff := cmp.Diff(want, r, cmp.AllowUnexported(result{})); diff != "" {
		t.Errorf("the record (-want +got):\n%s", diff)
	}
	if hexadecimal := regexp.MustCompile(`^[0-9a-f]{32}$`); !hexadecimal.MatchString(r.TraceID) {
		t.Errorf("trace_id is %q, want 32 hexadecimal digits", r.TraceID)
	}
	if len(r.ModelDigest) < 16 {
		t.Errorf("model_digest is %q", r.ModelDigest)
	}
	checkFields(t, r)
	checkTimings(t, r)

	o := w.checkPicture(r)
	if keys := w.keys("Say_1-ce"); !slices.Equal(keys, []string{key}) {
		t.Errorf("the batch has the objects %q, want %q", keys, key)
	}
	checkMetadata(t, o, r, spec)
	checkText(t, o, r, spec)
	w.settled()
}

// checkFields holds that a record has the fields of the contract and no other.
func checkFields(t *testing.T, r result) {
	t.Helper()
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(r.raw, &raw); err != nil {
		t.Fatal(err)
	}
	object := func(name string) map[string]any {
		var o map[string]any
		if err := json.Unmarshal(raw[name], &o); err != nil {
			t.Errorf("%s is no object: %v", name, err)
		}
		return o
	}
	for _, o := range []struct {
		name      string
		got, want []string
	}{
		{"the record", slices.Sorted(maps.Keys(raw)), []string{
			"attempt", "batch_id", "id", "image", "index", "model", "model_digest", "prompt_truncated", "retry", "rows_mean",
			"seed", "status", "timings", "trace_id", "version", "worker",
		}},
		{"image", slices.Sorted(maps.Keys(object("image"))), []string{"bucket", "content_type", "height", "key", "pixels_sha256", "sha256", "size", "width"}},
		{"timings", slices.Sorted(maps.Keys(object("timings"))), []string{
			"decode_ms", "denoise_ms", "image_encode_ms", "queue_ms", "text_encode_ms", "total_ms", "upload_ms", "wait_ms",
		}},
	} {
		if diff := cmp.Diff(o.want, o.got); diff != "" {
			t.Errorf("fields of %s (-want +got):\n%s", o.name, diff)
		}
	}
}

// checkTimings holds that the parts of a job's time are all of it: the time in the queue before is none of them.
func checkTimings(t *testing.T, r result) {
	t.Helper()
	sum := 0.0
	for part, ms := range r.Timings {
		if ms < 0 {
			t.Errorf("%s is %v", part, ms)
		}
		if part != "total_ms" && part != "queue_ms" {
			sum += ms
		}
	}
	if total := r.Timings["total_ms"]; total <= 0 || math.Abs(sum-total) > 0.02*total {
		t.Errorf("the parts of the timings sum to %.3f ms of %.3f: %v", sum, total, r.Timings)
	}
	for _, part := range []string{"text_encode_ms", "denoise_ms", "decode_ms", "image_encode_ms", "upload_ms"} {
		if r.Timings[part] <= 0 {
			t.Errorf("%s is %v of a job that was drawn", part, r.Timings[part])
		}
	}
}

// checkMetadata holds that an object says enough for a record, in headers that every store takes, and no prompt.
func checkMetadata(t *testing.T, o object, r result, spec job) {
	t.Helper()
	want := map[string]string{
		"spec16": spec16(t, spec), "sha256": r.Image.SHA256, "pixels-sha256": r.Image.PixelsSHA256, "model": r.Model, "model-digest": r.ModelDigest,
		"seed": strings.Trim(string(r.Seed), `"`), "trace-id": r.TraceID, "width": fmt.Sprint(r.Image.Width), "height": fmt.Sprint(r.Image.Height),
		"attempt": "1", "worker": r.Worker, "rows-mean": "1", "timings-ms": o.metadata["timings-ms"],
	}
	if diff := cmp.Diff(want, o.metadata); diff != "" {
		t.Errorf("the object's metadata (-want +got):\n%s", diff)
	}
	mentions(t, "timings-ms", o.metadata["timings-ms"], "denoise=", "decode=")
	size := 0
	for name, value := range o.metadata {
		size += len(name) + len(value)
		if strings.ContainsFunc(name+value, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("the object's metadata is not ASCII: %q", value)
		}
		if strings.Contains(value, "apple") || strings.Contains(value, "blurry") {
			t.Errorf("the object's metadata holds the prompt: %q", value)
		}
	}
	if size >= 2048 {
		t.Errorf("the object's metadata has %d bytes, S3 takes 2048", size)
	}
}

// checkText holds that the file tells how it was made, and nothing that differs between two runs but the trace.
func checkText(t *testing.T, o object, r result, spec job) {
	t.Helper()
	text := pngText(t, o.body)
	if want := string(canonical(t, spec)); text["job"] != want {
		t.Errorf("the file's job is\n%s\nwant\n%s", text["job"], want)
	}
	for keyword, want := range map[string]string{"trace_id": r.TraceID, "model_digest": r.ModelDigest} {
		if text[keyword] != want {
			t.Errorf("the file's %s is %q, want %q", keyword, text[keyword], want)
		}
	}
	parameters := fmt.Sprintf("%s\nNegative prompt: blurry\nSteps: 3, Sampler: Euler a, CFG scale: 4.5, Seed: 18446744073709551615, Size: 128x96, Model hash: ", spec["prompt"])
	if !strings.HasPrefix(text["parameters"], parameters) {
		t.Errorf("the file's parameters are\n%s\nwant\n%s…", text["parameters"], parameters)
	}
	mentions(t, "the XMP packet", text["XML:com.adobe.xmp"], "trainedAlgorithmicMedia", r.TraceID)
	if bytes.Contains(o.body, []byte(r.Worker)) {
		t.Errorf("the file names the worker %q", r.Worker)
	}
}

// TestAJobThatLeavesEverythingOut gets the model's defaults, and a seed that is always the same for the job.
func TestAJobThatLeavesEverythingOut(t *testing.T) {
	w := newWorld(t)
	w.worker("painter")
	w.publish("spare", 3, job{"model": "sd15"})
	r := w.awaitResults("spare", 1, 20*time.Second)[3]
	sum := sha256.Sum256([]byte("spare/3"))
	seed := fmt.Sprint(uint32(sum[0])<<24 | uint32(sum[1])<<16 | uint32(sum[2])<<8 | uint32(sum[3]))
	if r.Image == nil || string(r.Seed) != seed || r.Image.Width != 128 || r.Image.Height != 128 || r.ID != "spare/3" {
		t.Fatalf("want seed %s and 128×128: %s", seed, r.raw)
	}
	want := fmt.Sprintf("spare/00000003-%s.png", spec16(t, job{"model": "sd15", "seed": seed}))
	if r.Image.Key != w.keyPrefix()+want {
		t.Errorf("the key is %s, want %s", r.Image.Key, want)
	}
	mentions(t, "the file", pngText(t, w.checkPicture(r).body)["parameters"], "Steps: 20, ", "CFG scale: 7.5, ", "Seed: "+seed)
}

// TestPicturesAreThoseOfDiffusers draws the cases of the golden pipeline from its files to the bucket: a seed means what
// it means in diffusers.
func TestPicturesAreThoseOfDiffusers(t *testing.T) {
	w := newWorld(t)
	w.worker("painter")
	dir := filepath.Join(given.repository, "testdata/pipelines/sd15")
	var cases []map[string]any
	if err := json.Unmarshal([]byte(read(t, filepath.Join(dir, "cases.json"))), &cases); err != nil {
		t.Fatal(err)
	}
	for i, c := range cases {
		j := job{"version": 1, "model": "sd15"}
		for _, field := range []string{"prompt", "negative_prompt", "seed", "num_inference_steps", "guidance_scale", "width", "height", "scheduler"} {
			if value, ok := c[field]; ok {
				j[field] = value
			}
		}
		if config, ok := c["scheduler_config"].(map[string]any); ok && config["use_karras_sigmas"] == true {
			j["scheduler"] = "dpmpp_2m_karras"
		}
		w.publish("golden", i, j)
	}
	for i, r := range w.done("golden", len(cases), 60*time.Second) {
		data, err := os.ReadFile(filepath.Join(dir, fmt.Sprint(cases[i]["image"])))
		if err != nil {
			t.Fatal(err)
		}
		want, _, _, err := decode(object{body: data, contentType: "image/png"})
		if err != nil {
			t.Fatal(err)
		}
		got, _, _, err := decode(w.object(r.Image.Key))
		if err != nil || len(got) != len(want) {
			t.Fatalf("case %d: %d values (%v), diffusers has %d", i, len(got), err, len(want))
		}
		far, worst := 0, 0
		for k := range want {
			difference := max(int(got[k])-int(want[k]), int(want[k])-int(got[k]))
			worst = max(worst, difference)
			if difference > 1 {
				far++
			}
		}
		if worst > 2 || far*1000 > len(want) {
			t.Errorf("case %d (%v): %d of %d values are more than 1/255 off, the worst %d/255", i, cases[i]["prompt"], far, len(want), worst)
		}
	}
}

// spec16 works out the name of a picture from the job as it stands.
func spec16(t *testing.T, spec job) string {
	t.Helper()
	sum := sha256.Sum256(canonical(t, spec))
	return hex.EncodeToString(sum[:8])
}

// canonical is a job as RFC 8785 writes it: sorted names, no space, nothing escaped that need not be. What it holds
// for numbers and text outside ASCII is enough for the jobs of the stories.
func canonical(t *testing.T, spec job) []byte {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(spec); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSpace(b.Bytes())
}
