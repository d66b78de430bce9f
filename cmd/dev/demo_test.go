package main

import (
	"bytes"
	"context"
	"encoding/json"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stipple-ai/stipple/internal/gallery"
)

// library is ONNX Runtime's, without which there are no pictures.
func library(t *testing.T) string {
	t.Helper()
	path := os.Getenv("ONNXRUNTIME_LIB")
	if path == "" {
		t.Fatal("this test draws pictures and needs ONNX Runtime: run `make test`, or set ONNXRUNTIME_LIB to what `make ort` prints")
	}
	return path
}

// inRepository runs the test in the repository's root, where `make demo` runs, with a temporary folder of its own.
func inRepository(t *testing.T) (tmp string) {
	t.Helper()
	t.Chdir(filepath.Join("..", ".."))
	tmp = t.TempDir()
	t.Setenv("TMPDIR", tmp)
	return tmp
}

// output is a stream that tells a function of everything written so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	saw  func(text string) // nil for none
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(p)
	if o.saw != nil {
		o.saw(o.text.String())
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func TestDemoDrawsEveryPrompt(t *testing.T) {
	tmp := inRepository(t)
	c := &config{out: filepath.Join(t.TempDir(), "demo"), library: library(t), level: "warn"}
	var log output
	if err := c.finish(&log); err != nil {
		t.Fatal(err)
	}
	prompts := []string{"a red apple on a blue background", `<b onclick="x">a fox</b>`, "a red apple on a blue background"}
	page, err := drawDemo(t.Context(), c, demoPlan("tiny-emoji", prompts), int64(len(prompts)), &progress{out: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	if log.String() != "" {
		t.Errorf("worker or servers have warned:\n%s", &log)
	}
	if left := list(t, tmp); len(left) > 0 {
		t.Errorf("left in the temporary folder: %q", left)
	}
	if len(page.Pictures) != len(prompts) || page.Took <= 0 {
		t.Fatalf("%d pictures in %v, want %d", len(page.Pictures), page.Took, len(prompts))
	}
	traces := map[string]bool{}
	for i, p := range page.Pictures {
		if p.Prompt != prompts[i] || p.Error != "" || p.Steps != 20 || p.Guidance != 3 || p.Scheduler == "" || p.Took <= 0 {
			t.Errorf("picture %d is %q, %d steps, guidance %v, scheduler %q, %v, error %q", i, p.Prompt, p.Steps, p.Guidance, p.Scheduler, p.Took, p.Error)
		}
		img, err := png.Decode(bytes.NewReader(p.Data))
		if err != nil {
			t.Fatalf("picture %d: %v", i, err)
		}
		if size := img.Bounds().Size(); size.X != 128 || size.Y != 128 || p.Width != 128 || p.Height != 128 {
			t.Errorf("picture %d is %v and said to be %d×%d, want 128×128", i, size, p.Width, p.Height)
		}
		traces[p.TraceID] = true
		checkTrace(t, p)
	}
	if len(traces) != len(prompts) {
		t.Errorf("%d traces for %d jobs", len(traces), len(prompts))
	}
	if bytes.Equal(page.Pictures[0].Data, page.Pictures[2].Data) {
		t.Error("one prompt with two seeds has drawn the same picture")
	}
}

// checkTrace holds that a job's trace is whole: each span of the design once, under its parent.
func checkTrace(t *testing.T, p gallery.Picture) {
	t.Helper()
	names := map[string]string{"": ""}
	for _, s := range p.Spans {
		names[s.ID] = s.Name
	}
	var got []string
	for _, s := range p.Spans {
		got = append(got, names[s.Parent]+" > "+s.Name)
		if s.Failed {
			t.Errorf("%s of job %s has failed: %s", s.Name, p.ID, s.Message)
		}
	}
	slices.Sort(got)
	want := []string{
		" > publish jobs.normal.tiny-emoji",
		"inference > denoise", "inference > text_encode", "inference > tokenize", "inference > vae_decode",
		"publish jobs.normal.tiny-emoji > text-to-image",
		"text-to-image > inference", "text-to-image > upload",
		"upload > S3.PutObject",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the trace of job %s (-want +got):\n%s", p.ID, diff)
	}
}

func TestDemoCommand(t *testing.T) {
	lib, tmp, out := library(t), inRepository(t), filepath.Join(t.TempDir(), "demo")
	before := workingDir(t)
	var stdout, stderr output
	p := process{
		args:   []string{"demo", "--onnxruntime-lib", lib, "a small bee on the left on a yellow background", "a rocket"},
		getenv: func(name string) string { return map[string]string{"DEMO_OUT": out}[name] },
		stdout: &stdout, stderr: &stderr, width: 60,
	}
	if code := run(t.Context(), p); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, &stderr)
	}
	want := []string{"contact-sheet.png", "images/01-a-small-bee-on-the-left-on-a-yellow-background.png", "images/02-a-rocket.png", "index.html"}
	if diff := cmp.Diff(want, list(t, out)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if text := stdout.String(); !strings.HasPrefix(text, "2 pictures in ") || !strings.Contains(text, filepath.Join(out, "index.html")) {
		t.Errorf("standard output:\n%s", text)
	}
	if left := list(t, tmp); len(left) > 0 || workingDir(t) != before {
		t.Errorf("left in the temporary folder: %q; working directory %s, was %s", left, workingDir(t), before)
	}
}

// TestDemoInterrupted ends a demo at its first picture: everything must stop, and an earlier demo stays.
func TestDemoInterrupted(t *testing.T) {
	lib, tmp, out := library(t), inRepository(t), t.TempDir()
	if err := os.WriteFile(filepath.Join(out, pageFile), []byte("earlier"), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var stderr output
	stderr.saw = func(text string) {
		if strings.Contains(text, " 1/24 ") {
			interrupt()
		}
	}
	p := process{args: []string{"demo", "--out", out, "--onnxruntime-lib", lib}, getenv: func(string) string { return "" }, stdout: io.Discard, stderr: &stderr}
	if code := run(ctx, p); code != exitInterrupted {
		t.Errorf("exit code %d, want %d:\n%s", code, exitInterrupted, &stderr)
	}
	if diff := cmp.Diff([]string{pageFile}, list(t, out)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if left := list(t, tmp); len(left) > 0 {
		t.Errorf("left in the temporary folder: %q", left)
	}
}

// TestDemoTellsOfFailedJobs orders what no worker does: the demo must show it, say so and fail.
func TestDemoTellsOfFailedJobs(t *testing.T) {
	inRepository(t)
	c := &config{out: filepath.Join(t.TempDir(), "demo"), library: library(t), level: "error"}
	if err := c.finish(io.Discard); err != nil {
		t.Fatal(err)
	}
	plan, unknown := demoPlan("tiny-emoji", []string{"a cat"}), "telepathy"
	plan.Defaults.Scheduler = &unknown
	page, err := drawDemo(t.Context(), c, plan, 1, &progress{out: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	p := page.Pictures[0]
	if !p.Failed() || !strings.HasPrefix(p.Error, "invalid_job: ") || !strings.Contains(p.Error, unknown) {
		t.Errorf("failed %v with %q, want an invalid_job that names %s", p.Failed(), p.Error, unknown)
	}
	if i := slices.IndexFunc(p.Spans, func(s gallery.Span) bool { return s.Name == "text-to-image" && s.Failed }); i < 0 {
		t.Errorf("no failed span text-to-image among %d", len(p.Spans))
	}
	if err := writeOutput(c.out, page); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{pageFile}, list(t, c.out)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	var stdout bytes.Buffer
	if err := reportDemo(&stdout, c, page, time.Second); err == nil || !strings.Contains(err.Error(), "1 of 1 jobs failed") || strings.Contains(stdout.String(), sheetFile) {
		t.Errorf("error %v, want one that tells of 1 failed job; standard output:\n%s", err, &stdout)
	}
	stdout.Reset()
	c.json = true
	var report demoReport
	if err := reportDemo(&stdout, c, page, time.Second); err == nil {
		t.Error("with --json a failed job is no error")
	}
	if err := json.Unmarshal(stdout.Bytes(), &report); err != nil || report.Type != "demo" || report.Failed != 1 || report.Pictures != 0 || report.TotalSeconds != 1 {
		t.Errorf("%v: %s", err, &stdout)
	}
}
