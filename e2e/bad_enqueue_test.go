package e2e_test

import (
	"path/filepath"
	"testing"
	"time"
)

// TestInputOfEnqueueThatCannotWork is found before it connects to anything.
func TestInputOfEnqueueThatCannotWork(t *testing.T) {
	for name, tt := range map[string]struct {
		env   []string
		args  []string
		words []string
	}{
		"nothing":               {nil, nil, []string{"nothing to enqueue", "--file"}},
		"unknown flag":          {nil, []string{"a fox", "--warp"}, []string{"--warp", "enqueue -h"}},
		"prompts and file":      {nil, []string{"a fox", "--file", "rows.txt"}, []string{"--file"}},
		"no such file":          {nil, []string{"--file", "absent.txt"}, []string{"--file", "absent.txt"}},
		"no such format":        {nil, []string{"--file", "rows.txt", "--input-format", "xml"}, []string{"--input-format", "xml", "csv"}},
		"priority":              {nil, []string{"a fox", "--priority", "urgent"}, []string{"--priority", "urgent", "high, normal, low"}},
		"batch":                 {nil, []string{"a fox", "--batch", "my batch"}, []string{"--batch", "my batch"}},
		"steps":                 {nil, []string{"a fox", "--steps", "0"}, []string{"--steps", "1 to 1000"}},
		"guidance":              {nil, []string{"a fox", "--guidance-scale", "99"}, []string{"--guidance-scale", "0 to 50"}},
		"seeds":                 {nil, []string{"a fox", "--seeds", "1..x"}, []string{"--seeds", "1..x"}},
		"size":                  {nil, []string{"a fox", "--size", "big"}, []string{"--size", "big"}},
		"format":                {nil, []string{"a fox", "--format", "gif"}, []string{"--format", "gif", "png"}},
		"quality":               {nil, []string{"a fox", "--quality", "101"}, []string{"--quality", "1 to 100"}},
		"deadline":              {nil, []string{"a fox", "--deadline", "tomorrow"}, []string{"--deadline", "tomorrow"}},
		"model":                 {nil, []string{"a fox", "--model", "../sd15"}, []string{"--model", "../sd15"}},
		"variable":              {[]string{"QUEUE_AUTO_CREATE=maybe"}, []string{"a fox"}, []string{"QUEUE_AUTO_CREATE", "maybe"}},
		"broker":                {[]string{"NATS_URL=http://x"}, []string{"a fox"}, []string{"NATS_URL", "http"}},
		"prefix":                {[]string{"QUEUE_PREFIX=a b"}, []string{"a fox"}, []string{"QUEUE_PREFIX"}},
		"log level":             {[]string{"LOG_LEVEL=loud"}, []string{"a fox"}, []string{"LOG_LEVEL", "loud"}},
		"a bad line":            {nil, []string{"--file", "bad.jsonl"}, []string{"bad.jsonl", "2", "num_inference_steps"}},
		"a bad cell":            {nil, []string{"--file", "bad.csv"}, []string{"bad.csv", "3", "seed"}},
		"a bad column":          {nil, []string{"--file", "column.csv"}, []string{"column.csv", "promt"}},
		"an empty file":         {nil, []string{"--file", "empty.txt"}, []string{"nothing to enqueue"}},
		"setup without models":  {nil, []string{"setup"}, []string{"--models"}},
		"wait without a batch":  {nil, []string{"wait"}, []string{"batch"}},
		"wait for no batch":     {nil, []string{"wait", "my batch"}, []string{"my batch"}},
		"two problems, both":    {nil, []string{"a fox", "--steps", "0", "--quality", "0"}, []string{"--steps", "--quality"}},
		"downloads to nowhere":  {[]string{"AWS_ACCESS_KEY_ID="}, []string{"a fox", "--out", "out"}, []string{"AWS_ACCESS_KEY_ID"}},
		"downloads into a file": {nil, []string{"a fox", "--out", "empty.txt"}, []string{"empty.txt"}},
	} {
		t.Run(name, func(t *testing.T) {
			w, wire := nowhere(t)
			for file, text := range map[string]string{
				"rows.txt": "a fox\n", "empty.txt": "", "column.csv": "promt\na fox\n", "bad.csv": "prompt,seed\na fox,1\na castle,one\n",
				"bad.jsonl": `{"prompt":"a fox"}` + "\n" + `{"prompt":"a castle","num_inference_steps":0}` + "\n",
			} {
				write(t, filepath.Join(w.dir, file), text)
			}
			rejected(t, w.launchEnqueue(tt.env, tt.args...), wire, tt.words...)
		})
	}
}

// TestAModelThatNobodyServes: enqueue refuses it and lists the models there are, unless it is forced.
func TestAModelThatNobodyServes(t *testing.T) {
	w := newWorld(t)
	w.refuses(2, nil, []string{"a fox", "--model", "sd15"}, "sd15", "--force", "start a worker")
	w.refuses(2, nil, []string{"a fox"}, "start", "--model")
	w.worker("painter", "MODELS="+model("sd15")+","+model("tiny-emoji"))
	w.refuses(2, nil, []string{"a fox", "--model", "sd16"}, `"sd16"`, "sd15, tiny-emoji", "--force")
	w.refuses(2, nil, []string{"a fox"}, "sd15, tiny-emoji")
	if state := w.state("JOBS"); state.LastSeq > 0 {
		t.Errorf("%d jobs were enqueued by commands that were refused", state.LastSeq)
	}
	w.enqueue("a fox", "--model", "sd16", "--force", "--batch", "forced")
	if state := w.state("JOBS"); state.Msgs != 1 {
		t.Errorf("%d jobs wait for a worker of sd16, want 1", state.Msgs)
	}
	w.worker("late", "MODELS=sd16"+model("sd15")[len("sd15"):])
	w.done("forced", 1, 20*time.Second)
}

// TestAnotherModelUnderAKnownName is refused, so that one name does not mean two pictures, unless that is wanted.
func TestAnotherModelUnderAKnownName(t *testing.T) {
	w := newWorld(t)
	w.worker("first").terminate(10 * time.Second)
	other := "MODELS=sd15" + model("tiny-emoji")[len("tiny-emoji"):]
	k := w.launch("second", other)
	if code := k.exit(60 * time.Second); code != 2 {
		t.Errorf("exit code %d, want 2", code)
	}
	mentions(t, "the message", tail(k.errs(), 1), "sd15", "digest", "MODEL_REPLACE")
	w.worker("third", other, "MODEL_REPLACE=true")
}

// TestWithoutAHome: neither program needs a home directory, or one that can be written.
func TestWithoutAHome(t *testing.T) {
	w := newWorld(t)
	for batch, home := range map[string]string{"absent": "HOME=", "missing": "HOME=/does/not/exist", "readonly": "HOME=/dev/null"} {
		k := w.worker("painter-"+batch, home, "XDG_CACHE_HOME=")
		w.enqueueWith([]string{home}, "a fox", "--steps", "2", "--batch", batch, "--wait", "--out", batch)
		w.done(batch, 1, time.Second)
		k.terminate(10 * time.Second)
	}
}
