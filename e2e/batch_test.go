package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"
)

// TestABatchOverTwoWorkers: one command makes a job of every seed, waits, and downloads. Both workers have worked, and
// every job was done once.
func TestABatchOverTwoWorkers(t *testing.T) {
	w := newWorld(t)
	w.worker("left")
	w.worker("right")
	const n = 24
	pictures := filepath.Join(w.dir, "pictures")
	said := w.enqueue("a photo of a red fox in the snow", "--seeds", "1..24", "--steps", "20", "--batch", "foxes", "--out", pictures)

	results := w.done("foxes", n, 60*time.Second)
	busy := map[string]int{}
	for _, r := range results {
		busy[r.Worker]++
		if r.Attempt != 1 || r.Retry != 0 {
			t.Errorf("job %d took attempt %d of retry %d", r.Index, r.Attempt, r.Retry)
		}
	}
	if busy["left"] == 0 || busy["right"] == 0 || len(busy) != 2 {
		t.Errorf("pictures by worker: %v, want some by each", busy)
	}
	if first := said[0]; first.Type != "batch" || first.BatchID != "foxes" || first.Total != n {
		t.Errorf("enqueue began with %+v", first)
	}
	jobs := ofType(said, "job")
	if len(jobs) != n {
		t.Fatalf("enqueue printed %d jobs, want %d", len(jobs), n)
	}
	for i, j := range jobs {
		spec := job{"model": "sd15", "prompt": "a photo of a red fox in the snow", "num_inference_steps": 20, "seed": fmt.Sprint(i + 1)}
		want := fmt.Sprintf("%sfoxes/%08d-%s.png", w.keyPrefix(), i, spec16(t, spec))
		if j.Index != i || j.Key != want || results[i].Image.Key != want || j.TraceID != results[i].TraceID {
			t.Errorf("job %d was printed as %+v and has the key %s and trace %s, want the key %s", i, j, results[i].Image.Key, results[i].TraceID, want)
		}
	}
	downloaded := ofType(said, "result")
	if len(downloaded) != n {
		t.Errorf("enqueue printed %d results, want %d", len(downloaded), n)
	}
	for _, l := range downloaded {
		file := read(t, filepath.Join(pictures, filepath.Base(l.File)))
		if file != string(w.object(results[l.Index].Image.Key).body) {
			t.Errorf("job %d: %s is not the object", l.Index, l.File)
		}
	}
	if last := said[len(said)-1]; last.Type != "summary" || last.Succeeded != n || last.Failed != 0 {
		t.Errorf("enqueue ended with %+v", last)
	}
}

// TestRowsOfAFile: the same jobs from a text file, CSV, JSON lines and standard input.
func TestRowsOfAFile(t *testing.T) {
	w := newWorld(t)
	w.worker("painter")
	rows := map[string]string{
		"rows.txt":   "a fox\na \"castle\", at dusk\n",
		"rows.csv":   "prompt,seed,num_inference_steps\na fox,1,2\n\"a \"\"castle\"\", at dusk\",2,2\n",
		"rows.jsonl": `{"prompt":"a fox","seed":1,"num_inference_steps":2}` + "\n" + `{"prompt":"a \"castle\", at dusk","seed":2,"num_inference_steps":2}` + "\n",
	}
	for name, text := range rows {
		if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		batch string
		args  []string
		stdin string
		seeds bool // the rows say them
	}{
		{"text", []string{"--file", "rows.txt", "--steps", "2"}, "", false},
		{"csv", []string{"--file", "rows.csv"}, "", true},
		{"jsonl", []string{"--file", "rows.jsonl"}, "", true},
		{"stdin", []string{"--file", "-", "--steps", "2"}, "rows.txt", false},
		{"stdin-jsonl", []string{"--file", "-", "--input-format", "jsonl"}, "rows.jsonl", true},
	} {
		args := slices.Concat(tt.args, []string{"--batch", tt.batch, "--wait", "--json"})
		p := w.enqueueFrom(tt.stdin, args...)
		if code := p.exit(30 * time.Second); code != 0 {
			t.Fatalf("enqueue %v ended with exit code %d:\n%s", args, code, p.errs())
		}
		results := w.done(tt.batch, 2, time.Second)
		for i, prompt := range []string{"a fox", `a "castle", at dusk`} {
			spec := job{"model": "sd15", "prompt": prompt, "num_inference_steps": 2, "seed": trim(results[i].Seed)}
			if want := fmt.Sprintf("%s%s/%08d-%s.png", w.keyPrefix(), tt.batch, i, spec16(t, spec)); results[i].Image.Key != want {
				t.Errorf("%s: the key of row %d is %s, want %s", tt.batch, i, results[i].Image.Key, want)
			}
			if tt.seeds && trim(results[i].Seed) != fmt.Sprint(i+1) {
				t.Errorf("%s: the seed of row %d is %s", tt.batch, i, results[i].Seed)
			}
		}
	}
}

// TestWhatEnqueueTellsPeople: without --json the ids that one needs to find everything again.
func TestWhatEnqueueTellsPeople(t *testing.T) {
	w := newWorld(t)
	w.worker("painter")
	p := w.launchEnqueue(nil, "a fox", "a castle", "--steps", "2", "--wait")
	if code := p.exit(30 * time.Second); code != 0 {
		t.Fatalf("enqueue ended with exit code %d:\n%s", code, p.errs())
	}
	batch := regexp.MustCompile(`batch +(\S+)`).FindStringSubmatch(p.out())
	if batch == nil {
		t.Fatalf("enqueue names no batch:\n%s", p.out())
	}
	results := w.done(batch[1], 2, time.Second)
	mentions(t, "what enqueue prints", p.out(), "resume", "--batch "+batch[1], batch[1]+"/0", batch[1]+"/1", results[0].TraceID, results[1].TraceID, "2 succeeded")

	// The same command again finds everything done.
	args := []string{"a fox", "a castle", "--steps", "2", "--wait", "--batch", batch[1]}
	again := w.enqueue(args...)
	if lines := ofType(again, "enqueued"); len(lines) != 1 || lines[0].Before != 2 {
		t.Errorf("enqueuing the batch again printed %+v", again)
	}
	w.done(batch[1], 2, time.Second)
	// With other rows it would be another batch.
	w.refuses(2, nil, slices.Concat([]string{"a boat"}, args[1:]), batch[1], "--batch")
}

// TestSetupBeforeWorkers: a worker that may make nothing on the broker says what is missing, and works once an admin has
// made it.
func TestSetupBeforeWorkers(t *testing.T) {
	w := newWorld(t)
	may := "QUEUE_AUTO_CREATE=false"
	early := w.launch("early", may)
	if code := early.exit(60 * time.Second); code == 0 {
		t.Error("a worker without streams ended well")
	}
	mentions(t, "the worker", tail(early.errs(), 1), "enqueue setup", "QUEUE_AUTO_CREATE")

	p := w.launchEnqueue(nil, "setup", "--models", "sd15", "--ack-wait", "3s")
	if code := p.exit(30 * time.Second); code != 0 {
		t.Fatalf("enqueue setup ended with exit code %d:\n%s", code, p.errs())
	}
	mentions(t, "what setup prints", p.out(), w.stream("JOBS"), w.stream("RESULTS"), w.stream("DEAD"), "w-high-sd15", "w-normal-sd15", "w-low-sd15")
	k := w.worker("painter", may)
	if w.consumer("normal", "sd15").Config.AckWait != 3*time.Second {
		t.Error("setup did not take --ack-wait, or the worker changed it")
	}
	mentions(t, "the worker's log", k.errs(), "ack_wait is 3s, not 30s")
	w.enqueueWith([]string{may}, "a fox", "--steps", "2", "--batch", "after", "--wait")
	w.done("after", 1, time.Second)
}
