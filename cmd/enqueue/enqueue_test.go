package main

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/upload"
)

func TestEnqueuePrompts(t *testing.T) {
	w := newWorld(t, "tiny-emoji")
	r := w.run("a red apple", "it's", "--seeds", "1..2", "--steps=4", "--size", "128x64")
	r.want(t, exitOK, "4 jobs, normal priority", "enqueued 4 jobs")
	head := regexp.MustCompile(`(?m)\Abatch   (\S+)  .*\nresume  (.*)\ntrace   [0-9a-f]{32}$`).FindStringSubmatch(r.stdout)
	if head == nil {
		t.Fatalf("stdout:\n%s", r.stdout)
	}
	id, resume := head[1], head[2]
	if want := "enqueue --batch " + id + ` --model tiny-emoji 'a red apple' 'it'\''s' --seeds 1..2 --steps=4 --size 128x64`; resume != want {
		t.Errorf("resume with\n%s\nwant\n%s", resume, want)
	}
	for i, j := range w.jobs(id, 4) {
		want := queue.Job{Version: 1, ID: fmt.Sprintf("%s/%d", id, i), BatchID: id, Index: int64(i), Model: "tiny-emoji", Prompt: new([]string{"a red apple", "it's"}[i/2]),
			Seed: new(queue.Seed(i%2 + 1)), NumInferenceSteps: new(4), Width: new(128), Height: new(64)}
		if diff := cmp.Diff(want, j); diff != "" {
			t.Errorf("job %d (-want +got):\n%s", i, diff)
		}
	}
	table := regexp.MustCompile(`(?m)^`+id+`/\d\t[0-9a-f]{32}\t\d\t.*$`).FindAllString(r.stdout, -1)
	if len(table) != 4 || !strings.HasSuffix(table[3], "\t2\tit's") {
		t.Errorf("jobs on standard output: %q", table)
	}
}

func TestEnqueueFiles(t *testing.T) {
	for _, tt := range []struct {
		name, content string
		args          []string
		stdin         bool
	}{
		{"p.txt", "a cat\n\na dog\n", nil, false},
		{"p", "a cat\na dog", nil, false},
		{"p.csv", "prompt,seed\na cat,\na dog,\n", nil, false},
		{"p.JSONL", `{"prompt":"a cat"}` + "\n" + `{"prompt":"a dog"}`, nil, false},
		{"p.json", "a cat\na dog\n", []string{"--input-format", "text"}, false},
		{"p.yaml", "- prompt: a cat\n- prompt: a dog\n", nil, false},
		{"p.yml", "groups:\n- prompt: [a cat, a dog]\n", nil, false},
		{"stdin", "prompt: a cat\n---\nprompt: a dog\n", []string{"--input-format", "yaml"}, true},
		{"stdin", "a cat\na dog\n", nil, true},
		{"stdin", "prompt\na cat\na dog\n", []string{"--input-format", "csv"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, "m")
			args := append([]string{"--batch", "b", "-f", "-"}, tt.args...)
			var r ran
			if tt.stdin {
				r = w.runWith(t.Context(), strings.NewReader(tt.content), nil, args...)
			} else {
				args[3] = file(t, tt.name, tt.content)
				r = w.run(args...)
			}
			r.want(t, exitOK, "enqueued 2 jobs")
			for i, j := range w.jobs("b", 2) {
				if want := []string{"a cat", "a dog"}[i]; *j.Prompt != want {
					t.Errorf("job %d draws %q, want %q", i, *j.Prompt, want)
				}
			}
		})
	}
}

// TestEnqueueMultipliesAndZips gives the same eight jobs by flags, by a file and flags, and by groups alone.
func TestEnqueueMultipliesAndZips(t *testing.T) {
	type drawn struct {
		Prompt      string
		Seed        uint64
		Steps, Size int
	}
	var want []drawn
	for _, p := range []string{"a cat", "a dog"} {
		for _, zipped := range []drawn{{Seed: 1, Steps: 10}, {Seed: 2, Steps: 20}} {
			for _, size := range []int{64, 128} {
				want = append(want, drawn{p, zipped.Seed, zipped.Steps, size})
			}
		}
	}
	flags := []string{"--seeds", "1,2", "--steps=10,20", "--zip", "seeds,steps", "--size", "64x64,128x128"}
	groups := "groups:\n- prompt: [a cat, a dog]\n- {seed: 1..2, num_inference_steps: [10, 20]}\n"
	w := newWorld(t, "m")
	for name, args := range map[string][]string{
		"prompts": append([]string{"a cat", "a dog"}, flags...),
		"text":    append([]string{"--file", file(t, "p.txt", "a cat\na dog\n")}, flags...),
		"csv":     append([]string{"--file", file(t, "p.csv", "prompt\na cat\na dog\n")}, flags...),
		"jsonl":   append([]string{"--file", file(t, "p.jsonl", `{"prompt":"a cat"}`+"\n"+`{"prompt":"a dog"}`+"\n")}, flags...),
		"rows":    {"--file", file(t, "p.csv", "prompt,seed,num_inference_steps\na cat,1,10\na cat,2,20\na dog,1,10\na dog,2,20\n"), "--size", "64x64,128x128"},
		"yaml":    {"--file", file(t, "p.yaml", groups+"- {width: [64, 128], height: [64, 128]}\n")},
		"mixed":   {"--file", file(t, "p.yaml", groups), "--size", "64x64,128x128"},
	} {
		t.Run(name, func(t *testing.T) {
			w.t = t
			w.run(append(args, "--batch", name)...).want(t, exitOK, "enqueued 8 jobs")
			var got []drawn
			for _, j := range w.jobs(name, 8) {
				if *j.Width != *j.Height {
					t.Errorf("job %d is %d by %d", j.Index, *j.Width, *j.Height)
				}
				got = append(got, drawn{*j.Prompt, uint64(*j.Seed), *j.NumInferenceSteps, *j.Width})
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("jobs (-want +got):\n%s", diff)
			}
			w.purge("JOBS", ">")
		})
	}
}

func TestEnqueueJSON(t *testing.T) {
	w := newWorld(t, "m")
	w.env["QUEUE_PREFIX"] = "" // as unset
	r := w.run("--json", "a cat", "--batch", "b", "--format", "jpeg", "--priority", "high", "--s3-prefix", "p/")
	r.want(t, exitOK)
	j := w.jobs("b", 1)[0]
	spec, err := j.Spec16()
	if err != nil {
		t.Fatal(err)
	}
	all := lines(t, r.stdout)
	for _, l := range all {
		if trace, ok := l["trace_id"].(string); ok && regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(trace) {
			l["trace_id"] = "a trace"
		}
	}
	want := []map[string]any{
		{"type": "batch", "batch_id": "b", "total": 1.0, "priority": "high", "trace_id": "a trace",
			"resume": "enqueue --model m --json 'a cat' --batch b --format jpeg --priority high --s3-prefix p/"},
		{"type": "job", "id": "b/0", "batch_id": "b", "index": 0.0, "model": "m", "seed": float64(j.SeedOrDefault()), "trace_id": "a trace",
			"key": upload.Key("p/", "b", 0, spec, "jpg")},
		{"type": "enqueued", "batch_id": "b", "total": 1.0, "before": 0.0},
	}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

// crash ends a run when so many jobs have been told of.
func crash(t *testing.T, jobs int) (context.Context, func(string)) {
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	return ctx, func(written string) {
		if strings.Count(written, `"type":"job"`) >= jobs {
			cancel()
		}
	}
}

func TestEnqueueGoesOnAfterACrash(t *testing.T) {
	const total = 20_000
	w := newWorld(t, "m")
	var rows strings.Builder
	for i := range total {
		fmt.Fprintf(&rows, "prompt %d\n", i)
	}
	path := file(t, "rows.txt", rows.String())
	ctx, on := crash(t, total/2)
	r := w.runWith(ctx, nil, on, "--json", "--batch", "b", "--file", path)
	r.want(t, exitInterrupted, "interrupted; what was sent stays in the queue; go on with: enqueue --model m --json --batch b --file "+path)
	w.jobs("b", total/2)
	r = w.run("--json", "--batch", "b", "--model", "m", "--file", path)
	r.want(t, exitOK, fmt.Sprintf(`"before":%d`, total/2))
	if n := len(typed(lines(t, r.stdout), "job")); n != total/2 {
		t.Errorf("the second run tells of %d jobs, want those it sent", n)
	}
	for i, j := range w.jobs("b", total) {
		if want := fmt.Sprintf("prompt %d", i); *j.Prompt != want {
			t.Fatalf("job %d draws %q", i, *j.Prompt)
		}
	}
	r = w.run("--batch", "b", "--file", path)
	r.want(t, exitOK, "nothing to do: all 20000 jobs of this batch were in the queue already")
	w.jobs("b", total)
}

func TestEnqueuesRace(t *testing.T) {
	w := newWorld(t, "m")
	const total = 5000
	var both [2]ran
	var wg sync.WaitGroup
	for i := range both {
		wg.Go(func() { both[i] = w.run("a cat", "--seeds", fmt.Sprintf("1..%d", total), "--batch", "b") })
	}
	wg.Wait()
	w.jobs("b", total)
	done := 0
	for _, r := range both {
		switch r.code() {
		case exitOK:
			done++
		default:
			r.want(t, exitFailed, "another enqueue is sending this batch; follow it with: enqueue wait b")
		}
	}
	if done == 0 {
		t.Error("neither came to its end")
	}
}

func TestEnqueueRefusesOtherRows(t *testing.T) {
	w := newWorld(t, "m")
	w.run("a cat", "--batch", "b").want(t, exitOK)
	w.run("a dog", "--batch", "b").want(t, exitInput, "the rows are not those that this batch was begun with", "another --batch")
	w.run("a cat", "a dog", "--batch", "b").want(t, exitInput, "it has 1 jobs, these rows make 2")
	w.run("a cat", "--batch", "b", "--priority", "low").want(t, exitInput, "the rows are not those")
	w.jobs("b", 1)
}

func TestEnqueueModels(t *testing.T) {
	w := newWorld(t)
	w.run("a cat").want(t, exitInput, "no worker has registered a model yet")
	w.run("a cat", "--model", "x").want(t, exitInput, `no worker has registered the model "x"; none is registered: start a worker, or --force`)
	w.run("a cat", "--model", "x", "--force", "--batch", "b").want(t, exitOK)
	w.jobs("b", 1)

	w = newWorld(t, "sd15", "tiny")
	w.run("a cat").want(t, exitInput, "which model? choose --model from sd15, tiny")
	w.run("a cat", "--model", "sd15,x,y").want(t, exitInput, `the model "x"; choose --model from sd15, tiny, or --force`, `the model "y"`)
	w.run("--file", file(t, "a.csv", "prompt,model\na,tiny\nb,nope\n")).want(t, exitInput, `the model "nope"`)
	w.run("--file", file(t, "a.csv", "prompt,model\na,tiny\nb,\n")).want(t, exitInput, "which model?")
	w.run("--file", file(t, "a.csv", "prompt,model\na,tiny\nb,\n"), "--model", "sd15", "--batch", "b").want(t, exitOK)
	for i, j := range w.jobs("b", 2) {
		if want := []string{"tiny", "sd15"}[i]; j.Model != want {
			t.Errorf("job %d is for %s, want %s", i, j.Model, want)
		}
	}
}

func TestEnqueueUsesItsPrefix(t *testing.T) {
	w := newWorld(t)
	w.env["QUEUE_PREFIX"] = "acme"
	r := w.run("a cat", "--model", "m", "--force", "--batch", "b", "--json")
	r.want(t, exitOK)
	if key, ok := typed(lines(t, r.stdout), "job")[0]["key"].(string); !ok || !strings.HasPrefix(key, "acme/b/00000000-") {
		t.Errorf("key %q", key)
	}
	w.jobs("b", 0) // of the queue without a prefix
}

func TestEnqueueNeedsARight(t *testing.T) {
	w := newWorld(t, "m")
	w.env["QUEUE_PREFIX"], w.env["QUEUE_AUTO_CREATE"] = "other", "false"
	w.run("a cat").want(t, exitFailed, "enqueue setup")
}
