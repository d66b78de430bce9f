//go:build unix

package main

import (
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"github.com/stipple-ai/stipple/internal/queue"
)

// drawn is a result of a batch b.
func drawn(index int64, worker string) queue.Result {
	return queue.Result{BatchID: "b", Index: index, Status: queue.Succeeded, Worker: worker, Image: &queue.Image{SHA256: "aa"}}
}

// Two commands that put pictures into one folder at once leave a manifest that can be read: the second is refused.
func TestManifestOfTwoAtOnce(t *testing.T) {
	dir := t.TempDir()
	first, err := openManifest(dir, "b")
	if err != nil {
		t.Fatal(err)
	}
	second, refused := openManifest(dir, "b")
	add := func(m *manifest, r queue.Result) {
		if err := m.add(r, ""); err != nil {
			t.Error(err)
		}
	}
	add(first, drawn(0, "rembrandt"))
	if refused == nil {
		add(second, drawn(0, "a painter with a long name"))
		add(second, drawn(1, ""))
		if err := second.close(); err != nil {
			t.Error(err)
		}
	}
	add(first, drawn(1, "rembrandt"))
	if err := first.close(); err != nil {
		t.Fatal(err)
	}
	again, err := openManifest(dir, "b")
	if err != nil {
		t.Fatalf("the manifest is spoilt: %v", err)
	}
	defer again.close()
	if !again.has(drawn(0, "")) || !again.has(drawn(1, "")) {
		t.Errorf("lines are missing: %v", again.lines)
	}
	if refused == nil || !strings.Contains(refused.Error(), "another enqueue") {
		t.Errorf("the second was let in: %v", refused)
	}
}

// A line of which half was written, as on a disk that is full for a moment, is the last: the next run cuts it off.
func TestManifestOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	m, err := openManifest(dir, "b")
	if err != nil {
		t.Fatal(err)
	}
	if err := m.add(drawn(0, ""), "00000000.png"); err != nil {
		t.Fatal(err)
	}
	info, err := m.file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: uint64(info.Size()) + 20, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	full := m.add(drawn(1, ""), "00000001.png")
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	if full == nil {
		t.Fatal("a line was written where there is no room")
	}
	if err := m.add(drawn(2, ""), "00000002.png"); err == nil {
		t.Error("a line was written behind half of one")
	}
	if err := m.close(); err != nil {
		t.Fatal(err)
	}
	again, err := openManifest(dir, "b")
	if err != nil {
		t.Fatalf("the manifest is spoilt: %v", err)
	}
	defer again.close()
	if len(again.lines) != 1 || !again.has(drawn(0, "")) {
		t.Errorf("lines %v", again.lines)
	}
}

// A job without a picture has no file.
func TestManifestOfAJobWithoutAPicture(t *testing.T) {
	w := newWorld(t, "m").withStore()
	w.work([]string{"m"}, only(map[string]string{"b": queue.Failed}))
	dir := t.TempDir()
	w.run("a", "b", "--batch", "x", "--out", dir).want(t, exitInput)
	got := files(t, dir)[manifestName]
	if strings.Count(got, `"file"`) != 1 || !strings.Contains(got, `"file":"00000000.png"`) {
		t.Errorf("manifest:\n%s", got)
	}
}
