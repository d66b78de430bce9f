package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stipple-ai/stipple/internal/queue"
)

// only lets the jobs of some prompts come to another end than success.
func only(ends map[string]string) func(queue.Job) string {
	return func(j queue.Job) string {
		if status, ok := ends[queue.Or(j.Prompt, "")]; ok {
			return status
		}
		return queue.Succeeded
	}
}

func TestWaitDownloads(t *testing.T) {
	w := newWorld(t, "m").withStore()
	w.work([]string{"m"}, nil)
	dir := filepath.Join(t.TempDir(), "made", "pictures")
	r := w.run("a cat", "a dog", "--seeds", "1..2", "--batch", "b", "--format", "jpeg", "--out", dir)
	r.want(t, exitOK, "b: 4 succeeded of 4 in", "; pictures in "+dir)
	got := files(t, dir)
	manifest := got[manifestName]
	delete(got, manifestName)
	want := map[string]string{}
	for i := range 4 {
		want[fmt.Sprintf("%08d.jpg", i)] = fmt.Sprintf("picture of %q with seed %d", []string{"a cat", "a dog"}[i/2], i%2+1)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	seen := map[string]string{}
	for line := range strings.Lines(manifest) {
		var e manifestEntry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		seen[e.ID] = e.File
		if e.Status != queue.Succeeded || e.Image.SHA256 == "" || e.BatchID != "b" {
			t.Errorf("manifest: %s", line)
		}
	}
	if diff := cmp.Diff(map[string]string{"b/0": "00000000.jpg", "b/1": "00000001.jpg", "b/2": "00000002.jpg", "b/3": "00000003.jpg"}, seen); diff != "" {
		t.Errorf("manifest (-want +got):\n%s", diff)
	}
}

// TestWaitGoesOnWithWhatIsThere waits again into a folder in which some files and half of the manifest are left.
func TestWaitGoesOnWithWhatIsThere(t *testing.T) {
	w := newWorld(t, "m").withStore()
	w.work([]string{"m"}, nil)
	dir := t.TempDir()
	w.run("a cat", "--seeds", "1..4", "--batch", "b", "--out", dir).want(t, exitOK)
	want := files(t, dir)
	lines := strings.SplitAfter(want[manifestName], "\n")
	at := func(name string) string { return filepath.Join(dir, name) }
	write := func(name, content string) {
		if err := os.WriteFile(at(name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(manifestName, lines[0]+lines[1]+lines[2][:20])
	write("00000001.png", "half")
	write(".00000003.png.part", "pict")
	if err := os.Remove(at("00000003.png")); err != nil {
		t.Fatal(err)
	}
	// A file that is whole is not fetched again, whether the manifest knows it or not.
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(at("00000000.png"), old, old); err != nil {
		t.Fatal(err)
	}
	w.run("wait", "b", "--out", dir).want(t, exitOK, "4 succeeded of 4")
	got := files(t, dir)
	if n := strings.Count(got[manifestName], "\n"); n != 4 {
		t.Errorf("manifest of %d lines:\n%s", n, got[manifestName])
	}
	delete(got, manifestName)
	delete(want, manifestName)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if info, err := os.Stat(at("00000000.png")); err != nil || time.Since(info.ModTime()) < time.Minute {
		t.Errorf("a file that was there was written again: %v, %v", info, err)
	}
	w.run("a cat", "--batch", "c", "--out", dir).want(t, exitInput, `is of batch "b"; choose another folder`)
	write(manifestName, "{}}\n")
	w.run("wait", "b", "--out", dir).want(t, exitInput, manifestName+":1:")
}

func TestWaitExitCodes(t *testing.T) {
	tests := []struct {
		name    string
		prompts map[string]string
		code    int
		want    []string
	}{
		{"failed", map[string]string{"a": queue.Failed, "b": queue.Cancelled}, exitInput, []string{
			"batch x: 1 of 3 jobs failed", "x/0 failed: model_error: it broke", "x/1 cancelled", "x: 1 succeeded, 1 failed, 1 cancelled of 3"}},
		{"expired", map[string]string{"a": queue.Expired}, exitInput, []string{"batch x: 1 of 3 jobs failed", "x/0 expired", "x: 2 succeeded, 1 expired of 3"}},
		{"cancelled", map[string]string{"b": queue.Cancelled}, exitCancelled, []string{"batch x: 1 of 3 jobs were cancelled", "x/1 cancelled"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, "m")
			w.work([]string{"m"}, only(tt.prompts))
			w.run("a", "b", "c", "--batch", "x", "--wait").want(t, tt.code, tt.want...)
			r := w.run("wait", "x", "--json")
			r.want(t, tt.code)
			if all := lines(t, r.stdout); len(typed(all, "result")) != 3 || len(typed(all, "summary")) != 1 {
				t.Errorf("lines:\n%s", r.stdout)
			}
		})
	}
}

func TestWaitJSON(t *testing.T) {
	w := newWorld(t, "m").withStore()
	w.work([]string{"m"}, only(map[string]string{"b": queue.Failed}))
	dir := t.TempDir()
	r := w.run("a", "b", "--batch", "x", "--json", "--out", dir)
	r.want(t, exitInput)
	all := lines(t, r.stdout)
	for i, want := range []string{"batch", "job", "job", "enqueued", "result", "result", "summary"} {
		if all[i]["type"] != want {
			t.Fatalf("line %d is of type %v, want %s:\n%s", i, all[i]["type"], want, r.stdout)
		}
	}
	for _, l := range typed(all, "result") {
		switch l["index"] {
		case 0.0:
			if l["status"] != queue.Succeeded || l["file"] != filepath.Join(dir, "00000000.png") || l["image"].(map[string]any)["key"] == "" {
				t.Errorf("result %v", l)
			}
		case 1.0:
			if l["status"] != queue.Failed || l["file"] != nil || l["error"].(map[string]any)["type"] != queue.TypeModelError {
				t.Errorf("result %v", l)
			}
		}
	}
	s := typed(all, "summary")[0]
	delete(s, "seconds")
	if diff := cmp.Diff(map[string]any{"type": "summary", "batch_id": "x", "total": 2.0, "succeeded": 1.0, "failed": 1.0, "cancelled": 0.0, "expired": 0.0,
		"unknown": 0.0, "source": "results", "dir": dir}, s); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
}

func TestWaitInterrupted(t *testing.T) {
	w := newWorld(t, "m")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	dir := filepath.Join(t.TempDir(), "my pictures")
	r := w.runWith(ctx, nil, func(written string) {
		if strings.Contains(written, "enqueued 1 job") {
			time.AfterFunc(50*time.Millisecond, cancel)
		}
	}, "a cat", "--batch", "b", "--out", dir)
	r.want(t, exitInterrupted, "interrupted; the jobs go on; go on waiting with: enqueue wait b --out '"+dir+"'")
	w.jobs("b", 1)
}

func TestWaitForNothing(t *testing.T) {
	newWorld(t).run("wait", "b").want(t, exitInput, "no such batch", "--queue-prefix")
}

func TestWaitForACancelledBatch(t *testing.T) {
	w := newWorld(t, "m")
	w.run("a cat", "--batch", "b").want(t, exitOK)
	b, err := w.client.GetBatch(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	b.State = queue.BatchCancelled
	if _, err := w.client.UpdateBatch(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	w.run("a cat", "--batch", "b").want(t, exitCancelled, "the batch is cancelled")
}

// TestDownloadsWaitForTheStore takes the store away while pictures are asked for.
func TestDownloadsWaitForTheStore(t *testing.T) {
	w := newWorld(t, "m").withStore()
	w.work([]string{"m"}, nil)
	w.run("a cat", "--batch", "b", "--wait").want(t, exitOK)
	if err := w.store.Suspend(); err != nil {
		t.Fatal(err)
	}
	back := make(chan error, 1)
	time.AfterFunc(300*time.Millisecond, func() { back <- w.store.Resume() })
	dir := t.TempDir()
	w.run("wait", "b", "--out", dir).want(t, exitOK)
	if err := <-back; err != nil {
		t.Fatal(err)
	}
	if files(t, dir)["00000000.png"] == "" {
		t.Error("no picture")
	}
}

func TestDownloadsThatCannotBe(t *testing.T) {
	w := newWorld(t, "m").withStore()
	w.work([]string{"m"}, nil)
	w.run("a cat", "--seeds", "1..3", "--batch", "b", "--wait").want(t, exitOK)
	objects, err := filepath.Glob(filepath.Join(w.store.Dir(), bucket, "b", "*"))
	if err != nil || len(objects) != 3 {
		t.Fatalf("objects %q, %v", objects, err)
	}
	if err := errors.Join(os.Remove(objects[0]), os.WriteFile(objects[1], []byte("something else"), 0o600)); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	r := w.run("wait", "b", "--out", dir)
	r.want(t, exitFailed, "2 pictures could not be downloaded", "no such object", "the object is not the one of the result")
	if got := files(t, dir); len(got) != 2 || got["00000002.png"] == "" {
		t.Errorf("files %v", got)
	}
	w.env["AWS_SECRET_ACCESS_KEY"] = "wrong"
	w.run("wait", "b", "--out", t.TempDir()).want(t, exitFailed, "the secret does not belong to the access key")
	w.env["S3_BUCKET"] = "other"
	w.run("wait", "b", "--out", t.TempDir()).want(t, exitFailed)
}
