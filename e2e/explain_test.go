package e2e_test

import (
	"bytes"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestExplain tells of one picture, asked for as a file, a key and a job: the same is said each time, its ledger adds
// up, and the file speaks for itself when broker and store are away.
func TestExplain(t *testing.T) {
	w := newWorld(t)
	w.worker("painter")
	dir := filepath.Join(w.dir, "pictures")
	w.enqueue("a quiet harbour\x07", "--seeds", "1..6", "--steps", "5", "--negative-prompt", "fog", "--batch", "monday", "--out", dir)
	r := w.done("monday", 6, 30*time.Second)[4]
	file := filepath.Join(dir, "00000004.png")

	for name, arg := range map[string]string{"file": file, "key": r.Image.Key, "url": "s3://" + w.bucket + "/" + r.Image.Key, "job": "monday/4"} {
		e := w.told(0, "explain", arg)
		for field, want := range map[string]any{
			"id": "monday/4", "status": "succeeded", "trace_id": r.TraceID, "worker": "painter", "attempt": 1.0, "model": r.Model, "model_digest": r.ModelDigest, "seed": 5.0,
		} {
			if e[field] != want {
				t.Errorf("%s: %s is %v, want %v", name, field, e[field], want)
			}
		}
		if job, ok := e["job"].(map[string]any); !ok || job["prompt"] != "a quiet harbour\x07" || job["negative_prompt"] != "fog" || job["num_inference_steps"] != 5.0 {
			t.Errorf("%s: the job is %v", name, e["job"])
		}
		if notes := e["notes"].([]any); len(notes) != 0 {
			t.Errorf("%s: %v", name, notes)
		}
		checkLedger(t, name, e)
		text := w.says(0, "explain", arg)
		mentions(t, "explain "+arg, text, "monday/4  succeeded", `a quiet harbour\a`, "denoise", "rows_mean ", "all 6 results of its batch")
		if strings.Contains(text, "\a") {
			t.Errorf("%s: the prompt rings the bell", name)
		}
	}

	w.publishRaw("normal", "monday", []byte("{"), header("Nats-Msg-Id", "monday/99"))
	w.awaitResults("monday", 7, 20*time.Second)
	if e := w.told(0, "explain", "monday/99"); e["status"] != "failed" || !strings.Contains(fmt.Sprint(e["why"]), "dead letter") || e["error"].(map[string]any)["type"] != "invalid_job" {
		t.Errorf("a job that is none: %v", e)
	}
	w.refuses(2, nil, []string{"explain", "tuesday/0"}, "no such batch")

	away := []string{"NATS_URL=nats://127.0.0.1:1", "AWS_ENDPOINT_URL=http://127.0.0.1:1", "ENQUEUE_TIMEOUT=1s"}
	alone := filepath.Join(w.dir, "alone.png")
	data, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(alone, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	p := w.launchEnqueue(away, "explain", alone)
	if code := p.exit(20 * time.Second); code != 0 {
		t.Fatalf("with everything away explain ended with %d:\n%s", code, p.errs())
	}
	mentions(t, "explain with everything away", p.out(), "a quiet harbour", r.TraceID, r.ModelDigest, "the queue was not asked")
}

// checkLedger checks that the parts sum to the total within 2 %, and that of the denoising that much is the picture's own
// as it has rows in its calls: two, because it is guided.
func checkLedger(t *testing.T, name string, e map[string]any) {
	t.Helper()
	l, ok := e["ledger"].(map[string]any)
	if !ok {
		t.Fatalf("%s: no ledger: %v", name, e)
	}
	sum, own := 0.0, 0.0
	rows := l["rows_mean"].(float64)
	for _, p := range l["parts"].([]any) {
		p := p.(map[string]any)
		sum += p["ms"].(float64)
		own += p["own_ms"].(float64)
		if want := p["ms"].(float64) * min(1, 2/rows); p["name"] == "denoise" && (want == 0 || math.Abs(p["own_ms"].(float64)-want) > 0.01*want) {
			t.Errorf("%s: a guided picture in calls of %v rows: %v", name, rows, p)
		}
	}
	total := l["total_ms"].(float64)
	if math.Abs(sum-total) > 0.02*total || l["balanced"] != true || math.Abs(sum+l["rest_ms"].(float64)-total) > 0.01 {
		t.Errorf("%s: the parts sum to %.3f ms, the total is %.3f ms, the rest %v", name, sum, total, l["rest_ms"])
	}
	b, ok := e["batch"].(map[string]any)
	if !ok || b["jobs"] != 6.0 {
		t.Fatalf("%s: the batch is %v", name, e["batch"])
	}
	if share, want := b["own_share"].(float64), own/b["wall_ms"].(float64); math.Abs(share-want) > 0.002 || share <= 0 {
		t.Errorf("%s: its own share of the batch is %v, want %v", name, share, want)
	}
}

// TestVerify tells of pictures that are drawn again: in every format the pixels are the same, and one that somebody has
// touched is found out.
func TestVerify(t *testing.T) {
	w := newWorld(t)
	w.worker("painter")
	dir := filepath.Join(w.dir, "pictures")
	w.enqueue("a red barn", "--seeds", "18446744073709551615", "--steps", "4", "--scheduler", "euler_a", "--format", "png,jpeg,webp", "--batch", "monday", "--out", dir)
	w.done("monday", 3, 30*time.Second)
	for _, arg := range append(w.keys("monday"), filepath.Join(dir, "00000000.png"), filepath.Join(dir, "00000001.jpg"), filepath.Join(dir, "00000002.webp")) {
		v := w.told(0, "verify", arg)
		if v["same"] != true || v["compared"] != "pixels_sha256" || v["pixels_sha256"] == "" || v["pixels_sha256"] != v["drawn_pixels_sha256"] {
			t.Errorf("verify %s: %v", arg, v)
		}
		if keys := w.keys(fmt.Sprint(v["batch_id"])); len(keys) != 0 {
			t.Errorf("%v was left behind", keys)
		}
	}

	forged := w.forge(filepath.Join(dir, "00000000.png"), 7)
	v := w.told(2, "verify", forged)
	if v["same"] != false || v["largest_difference"] != 7.0 || v["differing"] != 1.0 {
		t.Errorf("verify of a forged picture: %v", v)
	}
	if v := w.told(0, "verify", w.keys("monday")[0], "--keep"); len(w.keys(fmt.Sprint(v["batch_id"]))) != 1 {
		t.Errorf("--keep kept nothing: %v", v)
	}
}

// forge changes one channel of one pixel of a PNG by n and puts the texts of the file back.
func (w *world) forge(name string, n uint8) string {
	w.t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		w.t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		w.t.Fatal(err)
	}
	forged := image.NewRGBA(img.Bounds())
	draw.Draw(forged, forged.Bounds(), img, image.Point{}, draw.Src)
	if forged.Pix[40] > 255-n {
		n = -n
	}
	forged.Pix[40] += n
	var b bytes.Buffer
	if err := png.Encode(&b, forged); err != nil {
		w.t.Fatal(err)
	}
	const head = 8 + 12 + 13 // signature and IHDR, behind which ours has its texts
	pixels := bytes.Index(data, []byte("IDAT")) - 4
	whole := append(append(append([]byte{}, b.Bytes()[:head]...), data[head:pixels]...), b.Bytes()[head:]...)
	out := filepath.Join(w.dir, "forged.png")
	if err := os.WriteFile(out, whole, 0o600); err != nil {
		w.t.Fatal(err)
	}
	return out
}
