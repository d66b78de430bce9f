package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/web"
)

// TestDev starts the servers, enqueues a job by what they print, waits for its picture to be logged, and stops them;
// then does it again on the same data, where the first picture is not logged again.
func TestDev(t *testing.T) {
	lib, data := library(t), t.TempDir()
	inRepository(t)
	for _, index := range []int64{0, 1} {
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		ready, drawn := make(chan struct{}), make(chan struct{})
		var stdout, stderr output
		stdout.saw = once(ready, "Ctrl-C")
		stderr.saw = once(drawn, "status=succeeded")
		p := process{
			args:   []string{"--data", data, "--nats-addr", "127.0.0.1:0", "--s3-addr", "127.0.0.1:0", "--otlp-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--page-addr", "127.0.0.1:0"},
			getenv: func(name string) string { return map[string]string{"ONNXRUNTIME_LIB": lib}[name] },
			stdout: &stdout, stderr: &stderr,
		}
		exit := make(chan int)
		go func() { exit <- run(ctx, p) }()
		await(ctx, t, ready, &stderr)
		url := regexp.MustCompile(`(?m)^export NATS_URL=(.*)$`).FindStringSubmatch(stdout.String())
		if url == nil {
			t.Fatalf("no NATS_URL in:\n%s", &stdout)
		}
		page := regexp.MustCompile(`in a browser: (http://\S+)`).FindStringSubmatch(stdout.String())
		if page == nil {
			t.Fatalf("no address of the page in:\n%s", &stdout)
		}
		looked(ctx, t, page[1])
		enqueue(ctx, t, url[1], index)
		await(ctx, t, drawn, &stderr)
		stop()
		if code := <-exit; code != 0 {
			t.Errorf("exit code %d:\n%s", code, &stderr)
		}
		job := []string{"b/0", "b/1"}
		if text := stderr.String(); !strings.Contains(text, "id="+job[index]) || strings.Contains(text, "id="+job[1-index]) ||
			!regexp.MustCompile(`trace_id=[0-9a-f]{32} `).MatchString(text) {
			t.Errorf("the log must hold job %s alone, with its trace:\n%s", job[index], text)
		}
	}
}

// looked asks the page what it shows, until that is the worker's model.
func looked(ctx context.Context, t *testing.T, url string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/api/state", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		var st web.State
		err = json.NewDecoder(resp.Body).Decode(&st)
		resp.Body.Close()
		switch {
		case err != nil || st.ReadOnly:
			t.Fatalf("%s, %v: %+v", resp.Status, err, st)
		case len(st.Models) == 1 && st.Models[0].Name == "tiny-emoji":
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// once returns a function that closes a channel when it first sees the text.
func once(saw chan<- struct{}, text string) func(string) {
	done := false
	return func(all string) {
		if !done && strings.Contains(all, text) {
			done = true
			close(saw)
		}
	}
}

func await(ctx context.Context, t *testing.T, done <-chan struct{}, log *output) {
	t.Helper()
	select {
	case <-done:
	case <-ctx.Done():
		t.Fatalf("not in time:\n%s", log)
	}
}

// enqueue publishes a job as another process would.
func enqueue(ctx context.Context, t *testing.T, url string, index int64) {
	t.Helper()
	q, err := queue.Connect(ctx, queue.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := q.Close(ctx); err != nil {
			t.Error(err)
		}
	}()
	prompt, steps := "a cat", 2
	job := queue.Job{BatchID: "b", Index: index, Model: "tiny-emoji", Prompt: &prompt, NumInferenceSteps: &steps}
	if _, err := q.Publish(ctx, queue.Message{Priority: queue.High, Job: job}); err != nil {
		t.Fatal(err)
	}
}

// TestDevTwice holds that two processes cannot share their data.
func TestDevTwice(t *testing.T) {
	inRepository(t)
	data := t.TempDir()
	release, err := lockDir(data)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	var stderr output
	code := run(t.Context(), process{args: []string{"--data", data}, getenv: func(string) string { return "" }, stdout: io.Discard, stderr: &stderr})
	if code != exitConfig || !strings.Contains(stderr.String(), "in use") {
		t.Errorf("exit code %d, want %d, with a message that says it is in use:\n%s", code, exitConfig, &stderr)
	}
}
