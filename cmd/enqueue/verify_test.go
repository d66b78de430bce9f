package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/upload"
)

func TestVerificationText(t *testing.T) {
	same := verification{Type: "verification", Same: true, BatchID: "verify-1", TraceID: paintTrace, File: "x\x1b.png", Model: "sd15", ModelDigest: "sha256:aa", RegisteredDigest: "sha256:aa",
		Compared: compareHash, PixelsSHA256: "cc", DrawnSHA256: "cc", Notes: []string{}}
	differs := verification{Type: "verification", BatchID: "verify-2", Key: "b/00000000-0123456789abcdef.webp", Model: "sd15", ModelDigest: "sha256:aa", RegisteredDigest: "sha256:bb",
		Compared: compareDecoded, DrawnSHA256: "dd", Largest: 9, Values: 384, Differing: 96, Kept: "verify-2/00000000-0123456789abcdef.webp", Notes: []string{"another\nmodel"}}
	var text strings.Builder
	for _, v := range []verification{same, differs} {
		v.write(&text)
		text.WriteString("\n")
	}
	golden(t, "verify.txt", text.String())
	golden(t, "verify.json", indented(t, same)+indented(t, differs))
}

func TestDifference(t *testing.T) {
	for _, tt := range []struct {
		a, b      string
		largest   int
		differing int64
	}{{"", "", 0, 0}, {"abc", "abc", 0, 0}, {"abc", "abd", 1, 1}, {"\x00\xff\x05", "\xff\x00\x05", 255, 2}} {
		if largest, differing := difference([]byte(tt.a), []byte(tt.b)); largest != tt.largest || differing != tt.differing {
			t.Errorf("%q and %q: %d, %d", tt.a, tt.b, largest, differing)
		}
	}
}

// TestVerify draws pictures of every format again: as they were, changed, and by a painter with another hand.
func TestVerify(t *testing.T) {
	w := newWorld(t, "m").withStore()
	stop := w.paint("m", painter{rows: 8, times: paintTimes()})
	dir := filepath.Join(t.TempDir(), "pictures")
	w.run("a cat", "--batch", "b", "--format", "png,jpeg,webp", "--seeds", "18446744073709551615", "--out", dir).want(t, exitOK)
	keys := w.keys("b/")
	for i, ext := range []string{"png", "jpg", "webp"} {
		name := filepath.Join(dir, "0000000"+string(rune('0'+i))+"."+ext)
		for _, args := range [][]string{{name}, {"s3://" + bucket + "/" + keys[i]}, {keys[i], "--s3-bucket", bucket}} {
			v := one(t, w.run(append([]string{"verify", "--json"}, args...)...), exitOK)
			if v["same"] != true || v["compared"] != "pixels_sha256" || v["pixels_sha256"] != v["drawn_pixels_sha256"] || v["kept"] != nil || v["model_digest"] != "d" || v["registered_digest"] != "d" {
				t.Errorf("%v: %v", args, v)
			}
		}
		// Nobody has the hash of a file that was saved again: the pixels that both decode to are compared.
		changed := tamper(t, name, 3)
		v := one(t, w.run("verify", changed, "--json"), exitInput)
		if v["same"] != false || v["largest_difference"].(float64) < 3 || v["values"] != 384.0 || v["differing"].(float64) < 1 {
			t.Errorf("%s: %v", changed, v)
		}
		if wantCompared := map[bool]string{true: "pixels_sha256", false: "decoded"}[ext == "png"]; v["compared"] != wantCompared {
			t.Errorf("%s: compared %v", changed, v["compared"])
		}
		w.run("verify", changed).want(t, exitInput, "it differs, by", "difference of a channel", "is not what its job draws")
	}
	if left := w.keys("verify-"); len(left) != 0 {
		t.Errorf("%v was left", left)
	}
	w.run("verify", keys[0], "--s3-bucket", bucket, "--keep").want(t, exitOK, "the same, by the hash of its pixels", "kept     verify-")
	if left := w.keys("verify-"); len(left) != 1 || !strings.HasSuffix(left[0], strings.TrimPrefix(keys[0], "b/")) {
		t.Errorf("%v was kept", left)
	}
	// Without anyone who knows the hash of a JPEG, the decoded pixels of the untouched file are the same.
	w.purge("RESULTS", "results.>")
	alone := fileOf(t, "x.jpg", []byte(files(t, dir)["00000001.jpg"]))
	v := one(t, w.run("verify", alone, "--json"), exitOK)
	if v["same"] != true || v["compared"] != "decoded" || v["differing"] != 0.0 {
		t.Errorf("%v", v)
	}

	stop()
	w.paint("m", painter{rows: 8, times: paintTimes(), shade: 5})
	v = one(t, w.run("verify", keys[0], "--s3-bucket", bucket, "--json"), exitInput)
	if v["same"] != false || v["largest_difference"] != 5.0 || v["differing"] != v["values"] {
		t.Errorf("another hand: %v", v)
	}
}

func TestVerifyRefuses(t *testing.T) {
	w := newWorld(t, "m").withStore()
	w.work([]string{"m"}, func(queue.Job) string { return queue.Failed })
	picture := fileOf(t, "x.png", mustFile(t, upload.PNG))
	for _, tt := range []struct {
		says string
		args []string
	}{
		{"is a job: name its picture", []string{"b/0"}},
		{"does not hold its job", []string{bare(t, "x.png")}},
		{"neither PNG, JPEG nor WebP", []string{file(t, "x.png", "no picture")}},
		{`--priority is "urgent"`, []string{picture, "--priority", "urgent"}},
		{"--timeout is -1s", []string{picture, "--timeout", "-1s"}},
		{"takes the file or the key", nil},
	} {
		w.run(append([]string{"verify"}, tt.args...)...).want(t, exitInput, tt.says)
	}
	w.run("verify", "b/00000000-0123456789abcdef.png", "--s3-bucket", bucket).want(t, exitFailed, "there is no object")
	w.jobs("", 0)
	w.run("verify", picture).want(t, exitFailed, "drawing the picture again: job verify-", "model_error")

	if err := w.client.RegisterModel(t.Context(), queue.Model{Name: "m", Digest: "e"}, true); err != nil {
		t.Fatal(err)
	}
	w.run("verify", picture).want(t, exitInput, "its digest is e, the picture's d", "--force")
	w.run("verify", picture, "--force").want(t, exitFailed, "drawing all the same", "model_error")
	data, err := os.ReadFile(picture)
	if err != nil {
		t.Fatal(err)
	}
	other := fileOf(t, "x.png", []byte(strings.Replace(string(data), "\"m\"", "\"n\"", 1)))
	w.run("verify", other).want(t, exitInput, "the checksum of its chunk")
}
