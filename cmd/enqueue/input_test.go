package main

import (
	"bytes"
	"context"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/stipple-ai/stipple/internal/queue"
)

// nowhere is a world without a broker: what is found before anything connects is found here.
func nowhere(t *testing.T) *world {
	return &world{t: t, env: map[string]string{"NATS_URL": "nats://127.0.0.1:1"}}
}

func TestBadInputIsFoundBeforeAnythingConnects(t *testing.T) {
	csv := file(t, "bad.csv", "prompt,seed,width\na,1,\nb,x,\nc,1,7\nd,1,64\n")
	long := strings.Repeat("x", 65)
	tests := []struct {
		name string
		args []string
		env  map[string]string
		want []string
	}{
		{"nothing", nil, nil, []string{"nothing to enqueue: give prompts, or rows with --file"}},
		{"prompts and a file", []string{"a", "--file", csv}, nil, []string{"prompts and --file: give one of the two"}},
		{"a format of prompts", []string{"a", "--input-format", "csv"}, nil, []string{"--input-format is for --file"}},
		{"unknown flag", []string{"a", "--colour", "red"}, nil, []string{"unknown flag: --colour", "enqueue -h"}},
		{"flag without a value", []string{"a", "--seeds"}, nil, []string{"--seeds"}},
		{"seeds", []string{"a", "--seeds", "1..x"}, nil, []string{"--seeds: seed: a range is first..last"}},
		{"empty seeds", []string{"a", "--seeds", ""}, nil, []string{"--seeds: seed: an empty value"}},
		{"several flags", []string{"a", "--steps", "0", "--guidance-scale", "99", "--width", "7"}, nil, []string{
			"--steps: num_inference_steps must be from 1 to 1000, is 0", "--guidance-scale: guidance_scale must be from 0 to 50, is 99", "--width: width must be from 8"}},
		{"scheduler", []string{"a", "--scheduler", "euler a"}, nil, []string{"--scheduler: scheduler must be"}},
		{"format", []string{"a", "--format", "gif"}, nil, []string{"--format: format must be one of png, jpeg, webp"}},
		{"quality", []string{"a", "--quality", "101"}, nil, []string{"--quality: quality must be from 1 to 100"}},
		{"deadline", []string{"a", "--deadline", "soon"}, nil, []string{"--deadline: deadline must be a time as in RFC 3339"}},
		{"model", []string{"a", "--model", "a/b"}, nil, []string{"--model: model must be"}},
		{"size and width", []string{"a", "--size", "64x64", "--width", "64"}, nil, []string{"--size: --width and --height say the same"}},
		{"size", []string{"a", "--size", "64"}, nil, []string{"--size: a size is <width>x<height>"}},
		{"zip", []string{"a", "--seeds", "1..3", "--steps", "1,2", "--zip", "seeds,steps"}, nil, []string{"--zip seeds,steps: seed has 3 values and num_inference_steps has 2"}},
		{"zip of nothing", []string{"a", "--seeds", "1..3", "--zip", "seeds,steps"}, nil, []string{"--zip seeds,steps: --steps has no values to put together"}},
		{"zip, twice", []string{"a", "--seeds", "1,2", "--steps", "1,2", "--width", "64,72", "--zip", "seeds,steps", "--zip", "steps,width"}, nil, []string{"--zip steps,width: --steps has no values to put together"}},
		{"too many", []string{"a", "--seeds", "1..1000000", "--steps", "1..1000", "--guidance-scale", "1,2"}, nil, []string{"more than 1000000000 jobs"}},
		{"priority", []string{"a", "--priority", "urgent"}, nil, []string{`--priority is "urgent": must be one of high, normal, low`}},
		{"batch", []string{"a", "--batch", "a.b"}, nil, []string{"--batch: batch_id must be 1 to 64"}},
		{"long batch", []string{"a", "--batch", long}, nil, []string{"--batch: batch_id must be 1 to 64"}},
		{"log level", []string{"a", "--log-level", "loud"}, nil, []string{`LOG_LEVEL (--log-level) is "loud"`}},
		{"variable", []string{"a"}, map[string]string{"ENQUEUE_PRIORITY": "urgent"}, []string{`--priority is "urgent"`}},
		{"variable of a kind", []string{"a"}, map[string]string{"ENQUEUE_WAIT": "perhaps", "FLUSH_TIMEOUT": "soon"}, []string{"ENQUEUE_WAIT", "FLUSH_TIMEOUT"}},
		{"broker", []string{"a"}, map[string]string{"NATS_URL": "http://x"}, []string{"NATS_URL", `scheme "http"`}},
		{"credentials", []string{"a"}, map[string]string{"NATS_CREDS": "/nonexistent"}, []string{"NATS_CREDS", "/nonexistent"}},
		{"prefix", []string{"a"}, map[string]string{"QUEUE_PREFIX": "a.b"}, []string{"QUEUE_PREFIX"}},
		{"key prefix", []string{"a"}, map[string]string{"S3_PREFIX": "a"}, []string{"S3_PREFIX (--s3-prefix)", `must end in "/"`}},
		{"endpoint", []string{"a", "--out", t.TempDir()}, map[string]string{"AWS_ENDPOINT_URL": "ftp://x"}, []string{"AWS_ENDPOINT_URL_S3", "ftp://x"}},
		{"rows", []string{"--file", csv}, nil, []string{csv + ":3: seed must be an integer from 0 to 2^64-1", csv + ":4: width must be from 8 to 16384, is 7"}},
		{"no file", []string{"--file", "/nonexistent/rows"}, nil, []string{"--file: open /nonexistent/rows"}},
		{"empty file", []string{"--file", file(t, "empty.txt", "\n\n")}, nil, []string{"the input has no rows"}},
		{"kind of file", []string{"--file", "a.json"}, nil, []string{".json files are not read", "JSON lines or YAML"}},
		{"YAML", []string{"--file", file(t, "a.yaml", "groups:\n- seed: 1..3\n  width: [64,\n    7]\n")}, nil, []string{"a.yaml:4: width must be from 8 to 16384, is 7"}},
		{"YAML that is none", []string{"--file", file(t, "b.yml", "prompt: a: b\n")}, nil, []string{"b.yml:1: is not YAML"}},
		{"format of file", []string{"--file", csv, "--input-format", "xml"}, nil, []string{`--input-format is "xml": must be one of [text csv jsonl yaml]`}},
		{"row and flag", []string{"--file", file(t, "a.csv", "prompt,seed\na,1\n"), "--seeds", "1..2"}, nil, []string{"a.csv:2: sets seed, which takes 2 values"}},
		{"folder", []string{"a", "--out", filepath.Join(csv, "x")}, nil, []string{"--out:", "not a directory"}},
		{"wait without a batch", []string{"wait"}, nil, []string{"enqueue wait takes the batch to wait for, and got 0 arguments"}},
		{"wait for a bad batch", []string{"wait", "a b"}, nil, []string{"batch_id must be"}},
		{"setup without models", []string{"setup"}, nil, []string{"--models: name the models"}},
		{"setup with arguments", []string{"setup", "x"}, nil, []string{"enqueue setup takes flags alone"}},
		{"setup of a short lease", []string{"setup", "--models", "m", "--ack-wait", "1ms"}, nil, []string{"--ack-wait must be at least 1s"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := nowhere(t)
			maps.Copy(w.env, tt.env)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			r := w.runWith(ctx, nil, nil, tt.args...)
			r.want(t, exitInput, tt.want...)
			if strings.Contains(r.stderr, "waiting for the broker") || r.stdout != "" {
				t.Errorf("it went on: stdout %q, stderr %q", r.stdout, r.stderr)
			}
		})
	}
}

// TestBadFlagsAreFoundBeforeInputIsRead: whoever pipes a generator into the command hears of a slip at once.
func TestBadFlagsAreFoundBeforeInputIsRead(t *testing.T) {
	for name, args := range map[string][]string{
		"enqueue":      {"--file", "-", "--seeds", "1..x"},
		"retry":        {"retry", "b", "--failed", "--file", "-", "--seeds", "1..x"},
		"retry, batch": {"retry", "a b", "--failed", "--file", "-"},
	} {
		t.Run(name, func(t *testing.T) {
			endless, write := io.Pipe()
			defer write.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			nowhere(t).runWith(ctx, endless, nil, args...).want(t, exitInput)
		})
	}
}

func TestUnreachableBrokerIsWaitedFor(t *testing.T) {
	w := nowhere(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	w.runWith(ctx, nil, nil, "a cat").want(t, exitInterrupted, "waiting for the broker", "127.0.0.1:1")
}

// TestEveryCommandHasAManual: what it prints and how it ends can be read in its -h.
func TestEveryCommandHasAManual(t *testing.T) {
	w := nowhere(t)
	var visit func(cmd *cobra.Command, path []string)
	visit = func(cmd *cobra.Command, path []string) {
		for _, sub := range cmd.Commands() {
			visit(sub, append(slices.Clip(path), sub.Name()))
		}
		if slices.Contains([]string{"dlq", "help", "completion"}, cmd.Name()) { // which only show something
			return
		}
		r := w.run(append(path, "-h")...)
		r.want(t, exitOK, "\nEXIT CODES\n    0    ", "\nEXAMPLES\n", "\nJSON OUTPUT\n", "--json", "$LOG_LEVEL", "  enqueue "+strings.Join(path, " "))
		for line := range strings.Lines(cmd.Long) {
			if n := utf8.RuneCountInString(line); n > 121 {
				t.Errorf("%v: a line of %d characters: %s", path, n-1, line)
			}
		}
	}
	a := &app{getenv: func(string) string { return "" }, stderr: newConsole(io.Discard)}
	visit(a.command(), nil)
}

func TestHelpIsTheManual(t *testing.T) {
	w := nowhere(t)
	r := w.run("-h")
	r.want(t, exitOK, "enqueue --file jobs.csv --batch monday", "EXIT CODES", "[$NATS_URL]", "[$ENQUEUE_SEEDS]", "[$S3_PREFIX]", "[$QUEUE_AUTO_CREATE]")
	w.run("wait", "-h").want(t, exitOK, "enqueue wait monday --out pictures", "[$AWS_ENDPOINT_URL_S3]")
	w.run("setup", "-h").want(t, exitOK, "[$ACK_WAIT]", "[$MODELS]")
	w.run("--version").want(t, exitOK, "enqueue version")
	w.env["AWS_SECRET_ACCESS_KEY"] = "hunter2"
	if r := w.run("-h"); strings.Contains(r.stdout, "hunter2") {
		t.Error("a secret is printed")
	}
}

func TestDryRun(t *testing.T) {
	w := nowhere(t)
	r := w.run("--dry-run", "a cat", "a dog", "--seeds", "1..600000")
	r.want(t, exitOK, "2 rows make 1200000 jobs in 1200 chunks, about 118 MB in the queue", "nothing was sent", `"prompt":"a cat"`, "the only one that workers have registered",
		"time   not known: the broker does not answer")
	if r.stderr != "" {
		t.Errorf("stderr %q", r.stderr)
	}
	r = w.run("--dry-run", "--json", "a cat", "--model", "m,n", "--batch", "b")
	r.want(t, exitOK)
	l := lines(t, r.stdout)
	if len(l) != 1 || l[0]["jobs"] != 2.0 || l[0]["rows"] != 1.0 || l[0]["chunks"] != 1.0 || l[0]["first"].(map[string]any)["model"] != "m" {
		t.Errorf("lines %v", l)
	}
	r = w.run("--dry-run", "--json", "a cat")
	if first := lines(t, r.stdout)[0]["first"].(map[string]any); first["model"] != nil || first["prompt"] != "a cat" {
		t.Errorf("first job %v", first)
	}
}

// TestDryRunAsksTheWorkers estimates the time at the pace of those that serve the model.
func TestDryRunAsksTheWorkers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "m", "n")
	w.env["ENQUEUE_MODEL"] = "" // as unset
	announce := func(s queue.Status) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { // ended by the clean-up
			defer close(done)
			for ; ctx.Err() == nil; time.Sleep(50 * time.Millisecond) {
				w.client.AnnounceStatus(s)
			}
		}()
		t.Cleanup(func() { cancel(); <-done })
	}
	announce(queue.Status{Worker: "a", State: queue.WorkerReady, Models: []string{"m"}, StepsPerSecond: 30})
	announce(queue.Status{Worker: "b", State: queue.WorkerReady, Models: []string{"m", "n"}, StepsPerSecond: 20})
	announce(queue.Status{Worker: "c", State: queue.WorkerReady, Models: []string{"o"}, StepsPerSecond: 1000})
	announce(queue.Status{Worker: "d", State: queue.WorkerReady, Models: []string{"p"}})
	for _, tt := range []struct {
		args []string
		want []string
	}{
		{[]string{"--model", "m"}, []string{"steps  2000, 20 a picture", "time   about 40s at what 2 workers do now (50 steps a second)"}},
		{[]string{"--model", "n", "--steps", "10,30"}, []string{"steps  4000, 20 a picture", "time   about 3m20s at what 1 worker does now (20 steps a second)"}},
		{[]string{"--model", "p", "--steps", "3"}, []string{"steps  300, 3 a picture", "time   not known: 1 worker is heard, and none is drawing"}},
		{[]string{"--model", "q"}, []string{"time   not known: no worker of these models was heard within 2.5s"}},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			t.Parallel() // each listens for 2.5 s
			r := w.run(append([]string{"--dry-run", "a cat", "--seeds", "1..100"}, tt.args...)...)
			r.want(t, exitOK, tt.want...)
		})
	}
	t.Run("--json", func(t *testing.T) {
		t.Parallel()
		r := w.run("--dry-run", "--json", "a cat", "--seeds", "1..100", "--model", "m")
		r.want(t, exitOK)
		if diff := cmp.Diff(map[string]any{"workers": 2.0, "steps_per_second": 50.0, "seconds": 40.0}, lines(t, r.stdout)[0]["pace"]); diff != "" {
			t.Errorf("pace (-want +got):\n%s", diff)
		}
	})
}

// TestStandardInput reads standard input as a file, from where it stands, and as a pipe that never ends.
func TestStandardInput(t *testing.T) {
	w := nowhere(t)
	f, err := os.Open(file(t, "rows", "skipped\na\nb\n"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Seek(int64(len("skipped\n")), io.SeekStart); err != nil {
		t.Fatal(err)
	}
	w.runWith(t.Context(), f, nil, "--dry-run", "--file", "-").want(t, exitOK, "2 rows make 2 jobs")
	r, pipe := io.Pipe()
	defer pipe.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	w.runWith(ctx, r, nil, "--dry-run", "--file", "-").want(t, exitInterrupted, "reading standard input: interrupted")
	bad := bytes.NewReader([]byte("a\n\xff\n"))
	w.runWith(t.Context(), bad, nil, "--dry-run", "--file", "-").want(t, exitInput, "standard input:2: prompt is not valid UTF-8")
}

func TestCountingIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	nowhere(t).runWith(ctx, nil, nil, "--dry-run", "--file", file(t, "a.txt", "a\nb\n")).want(t, exitInterrupted)
}
