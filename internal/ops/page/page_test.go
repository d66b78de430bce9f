package page

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/web"
)

// order is a grid of two prompts and three seeds.
func order(batch string) web.Order {
	return web.Order{Batch: batch, Priority: queue.High, Jobs: []json.RawMessage{json.RawMessage(`{"prompt": "a <b>cat</b>"}`), json.RawMessage("{\n\"prompt\":\"a dog\"}")},
		Axes: []web.Axis{{Field: "seed", Values: []string{"1..2", "9"}}}}
}

// TestPage follows a batch from the order to its pictures.
func TestPage(t *testing.T) {
	w := newWorld(t)
	orders, controls := Orders{System: w.System}, Controls{w.System}
	w.until("the model", func(st *web.State) bool { return len(st.Models) == 1 && len(st.Problems) == 0 })
	done, err := orders.Submit(t.Context(), order("monday"))
	if err != nil || done.Total != 6 || len(done.Jobs) != 6 || done.Jobs[5] != "monday/5" {
		t.Fatalf("submitted %+v, %v", done, err)
	}
	st := w.until("jobs that wait", func(st *web.State) bool {
		return len(st.Batches) == 1 && st.Batches[0].Pending == 6 && len(st.Queues) > 0 && st.Queues[0].Waiting == 6
	})
	if q := st.Queues[0]; q.Model != "m" || q.Priority != queue.High || q.Paused {
		t.Errorf("queue %+v", q)
	}
	w.announce(queue.WorkerReady)
	w.until("the worker", func(st *web.State) bool {
		return len(st.Workers) == 1 && st.Workers[0].ID == "rembrandt" && st.Workers[0].Held == 1 && st.Workers[0].StepsPerSecond == 12.5 && !st.Workers[0].Gone
	})
	waits, err := w.Job(t.Context(), "monday", 5)
	if err != nil || string(waits.Result) != "" || !strings.Contains(string(waits.Ledger), `"status":"waiting"`) || !strings.Contains(string(waits.Ledger), "1 worker serves the model") ||
		!strings.Contains(string(waits.Job), "a dog") {
		t.Errorf("a job that waits: %s %s, %v", waits.Job, waits.Ledger, err)
	}

	w.work(6, func(j queue.Job) bool { return j.Index == 4 })
	images := w.landed(0, 6)
	var told []string
	for _, i := range images {
		told = append(told, fmt.Sprintf("%s %s %q seed %v thumb %v", i.Job, i.Status, i.Prompt, i.Seed, i.Thumb != ""))
	}
	want := []string{
		`monday/0 succeeded "a <b>cat</b>" seed 1 thumb true`, `monday/1 succeeded "a <b>cat</b>" seed 2 thumb true`, `monday/2 succeeded "a <b>cat</b>" seed 9 thumb true`,
		`monday/3 succeeded "a dog" seed 1 thumb true`, `monday/4 failed "" seed <nil> thumb false`, `monday/5 succeeded "a dog" seed 9 thumb true`,
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("landed (-want +got):\n%s", diff)
	}
	st = w.until("the batch's end", func(st *web.State) bool { return st.Batches[0].Done && st.Dead.Count == 1 && st.Batches[0].Dead == 1 })
	b := st.Batches[0]
	if b.Succeeded != 5 || b.Failed != 1 || b.Images != 5 || b.From != "results" || b.State != queue.BatchCommitted || b.LastAt.IsZero() {
		t.Errorf("batch %+v", b)
	}
	if alone, err := w.Batch(t.Context(), "monday"); err != nil || cmp.Diff(b, alone) != "" {
		t.Errorf("the batch alone: %v\n%s", err, cmp.Diff(b, alone))
	}
	w.lists(images)
	w.details(images[5])
	w.pictures(images[0])
	w.again(orders, controls)
}

// lists reads the images in every order.
func (w *world) lists(images []web.Image) {
	t := w.t
	t.Helper()
	for name, tt := range map[string]struct {
		q    web.ImageQuery
		want string
	}{
		"by index":        {web.ImageQuery{Batch: "monday", Order: web.ByIndex, From: 1, Limit: 3}, "1 2 3"},
		"as recorded":     {web.ImageQuery{Batch: "monday", Limit: 4}, "0 1 2 3"},
		"newest":          {web.ImageQuery{Batch: "monday", Order: web.Newest, Limit: 2}, "5 4"},
		"newest of all":   {web.ImageQuery{Order: web.Newest, Limit: 10}, "5 4 3 2 1 0"},
		"of another":      {web.ImageQuery{Batch: "none", Limit: 10}, ""},
		"behind the end":  {web.ImageQuery{Batch: "monday", Order: web.ByIndex, From: 6, Limit: 3}, ""},
		"after the third": {web.ImageQuery{Batch: "monday", After: 3, Limit: 2}, "3 4"},
	} {
		p, err := w.Images(t.Context(), tt.q)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var got []string
		for _, i := range p.Images {
			got = append(got, fmt.Sprint(i.Index))
			if diff := cmp.Diff(images[i.Index], i); diff != "" {
				t.Errorf("%s (-landed +listed):\n%s", name, diff)
			}
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %v, want %s", name, got, tt.want)
		}
	}
}

// details reads what is known of a picture.
func (w *world) details(i web.Image) {
	t := w.t
	t.Helper()
	d, err := w.Job(t.Context(), i.Batch, i.Index)
	if err != nil {
		t.Fatal(err)
	}
	var e struct {
		Status   string            `json:"status"`
		Notes    []string          `json:"notes"`
		Settings map[string]string `json:"settings"`
		Ledger   struct {
			Total float64 `json:"total_ms"`
			Parts []any   `json:"parts"`
		} `json:"ledger"`
	}
	if err := json.Unmarshal(d.Ledger, &e); err != nil || e.Status != "succeeded" || e.Ledger.Total != 100 || len(e.Ledger.Parts) == 0 || len(e.Notes) != 0 || e.Settings["Steps"] != "20" {
		t.Errorf("ledger %s, %v", d.Ledger, err)
	}
	if d.Command != `enqueue --model m --seeds 9 -- 'a dog'` || !strings.Contains(string(d.Result), `"worker":"rembrandt"`) || !strings.Contains(string(d.Job), `"a dog"`) ||
		len(d.Images) != 1 || d.Images[0].Src != i.Src || d.Images[0].Prompt != "a dog" || !d.Images[0].At.Equal(i.At) {
		t.Errorf("details %s %s %q %+v", d.Job, d.Result, d.Command, d.Images)
	}
	if d, err = w.Job(t.Context(), "monday", 4); err != nil || !strings.Contains(string(d.Ledger), "it is a dead letter since") || !strings.Contains(string(d.Job), "a dog") {
		t.Errorf("of a job that failed: %s, %v", d.Ledger, err)
	}
	if _, err := w.Job(t.Context(), "monday", 6); statusOf(t, err) != 400 {
		t.Errorf("of no job: %v", err)
	}
	if _, err := w.Job(t.Context(), "none", 6); statusOf(t, err) != 404 {
		t.Errorf("of no batch: %v", err)
	}
}

// pictures reads a picture, and what is none.
func (w *world) pictures(i web.Image) {
	t := w.t
	t.Helper()
	body, err := w.Open(t.Context(), i.Key)
	if err != nil {
		t.Fatal(err)
	}
	file, err := io.ReadAll(body)
	if err := errors.Join(err, body.Close()); err != nil || !strings.HasPrefix(string(file), "\x89PNG") {
		t.Errorf("%d bytes, %v", len(file), err)
	}
	if _, err := w.Read(t.Context(), i.Key, 10); statusOf(t, err) != 413 {
		t.Errorf("a picture that is too large: %v", err)
	}
	for _, key := range []string{"monday/00000000-0123456789abcdef.png", ".checkpoints/monday/0-0123456789abcdef", "other.html", "", "monday/../x/00000000-0123456789abcdef.png"} {
		if _, err := w.Open(t.Context(), key); statusOf(t, err) != 404 {
			t.Errorf("%q: %v", key, err)
		}
	}
}

// again puts back what failed, pauses and cancels.
func (w *world) again(orders Orders, controls Controls) {
	t := w.t
	t.Helper()
	letters, err := w.Dead(t.Context(), 0, 10)
	if err != nil || letters.Count != 1 || len(letters.Dead) != 1 {
		t.Fatalf("letters %+v, %v", letters, err)
	}
	if l := letters.Dead[0]; l.Job != "monday/4" || l.Prompt != "a dog" || l.Error.Type != queue.TypeModelError || l.Attempts != 5 || l.ID != "1" {
		t.Errorf("letter %+v", l)
	}
	if _, err := orders.Retry(t.Context(), "monday", -1, web.RetryMissing); statusOf(t, err) != 409 {
		t.Errorf("missing: %v", err)
	}
	if _, err := orders.Retry(t.Context(), "monday", 0, web.RetryFailed); statusOf(t, err) != 409 {
		t.Errorf("one that succeeded: %v", err)
	}
	if n, err := orders.Retry(t.Context(), "monday", -1, web.RetryFailed); err != nil || n != 1 {
		t.Errorf("put back %d, %v", n, err)
	}
	w.work(1, func(queue.Job) bool { return true })
	w.until("the second letter", func(st *web.State) bool {
		return st.Dead.Count == 1 && w.Letters().Count == 1 && len(w.Letters().Dead) == 1 && w.Letters().Dead[0].ID == "2"
	})
	if _, err := orders.Requeue(t.Context(), []uint64{1}); statusOf(t, err) != 409 {
		t.Errorf("a letter that is gone: %v", err)
	}
	if n, err := orders.Requeue(t.Context(), []uint64{2}); err != nil || n != 1 {
		t.Errorf("put back %d, %v", n, err)
	}
	w.work(1, nil)
	w.until("all six pictures", func(st *web.State) bool {
		return st.Batches[0].Succeeded == 6 && st.Batches[0].Failed == 0 && st.Dead.Count == 0
	})

	if consumers, err := controls.Pause(t.Context(), "m", true); err != nil || len(consumers) != 3 {
		t.Errorf("paused %v, %v", consumers, err)
	}
	if _, err := controls.Pause(t.Context(), "none", true); statusOf(t, err) != 404 {
		t.Errorf("a model that nobody serves: %v", err)
	}
	if _, err := orders.Submit(t.Context(), order("tuesday")); err != nil {
		t.Fatal(err)
	}
	w.until("the pause", func(st *web.State) bool { return st.Queues[0].Paused && st.Queues[0].Waiting == 6 })
	if n, err := controls.Cancel(t.Context(), "tuesday", 2); err != nil || n != 1 {
		t.Errorf("cancelled %d, %v", n, err)
	}
	if n, err := controls.Cancel(t.Context(), "tuesday", -1); err != nil || n != 6 {
		t.Errorf("cancelled %d, %v", n, err)
	}
	if _, err := controls.Cancel(t.Context(), "monday", 0); statusOf(t, err) != 409 {
		t.Errorf("a job that is done: %v", err)
	}
	if _, err := controls.Cancel(t.Context(), "none", -1); statusOf(t, err) != 404 {
		t.Errorf("no batch: %v", err)
	}
	w.until("the cancelled batch", func(st *web.State) bool {
		b := st.Batches[0]
		return b.ID == "tuesday" && b.Done && b.Cancelled == 6 && b.State == queue.BatchCancelled
	})
	if _, err := controls.Pause(t.Context(), "m", false); err != nil {
		t.Error(err)
	}
	w.until("the end of the pause", func(st *web.State) bool { return !st.Queues[0].Paused })
}

func TestSubmitRefuses(t *testing.T) {
	w := newWorld(t)
	orders := Orders{System: w.System}
	w.until("the model", func(st *web.State) bool { return len(st.Models) == 1 })
	job := func(text string) []json.RawMessage { return []json.RawMessage{json.RawMessage(text)} }
	for name, tt := range map[string]struct {
		order web.Order
		want  int
		says  string
	}{
		"unknown model":  {web.Order{Jobs: job(`{"model":"x"}`)}, 400, "choose one of m"},
		"unknown field":  {web.Order{Jobs: job(`{"promt":"x"}`)}, 400, "promt"},
		"bad value":      {web.Order{Jobs: job(`{"num_inference_steps":0}`)}, 400, "num_inference_steps"},
		"no object":      {web.Order{Jobs: job(`7`)}, 400, "JSON object"},
		"an identity":    {web.Order{Jobs: job(`{"batch_id":"x"}`)}, 400, "leave it out"},
		"bad batch":      {web.Order{Batch: "a b", Jobs: job(`{}`)}, 400, "batch_id"},
		"bad priority":   {web.Order{Priority: "urgent", Jobs: job(`{}`)}, 400, "high, normal, low"},
		"bad axis":       {web.Order{Jobs: job(`{}`), Axes: []web.Axis{{Field: "seeds", Values: []string{"1"}}}}, 400, "seeds"},
		"bad axis value": {web.Order{Jobs: job(`{}`), Axes: []web.Axis{{Field: "seed", Values: []string{"-1"}}}}, 400, "seed"},
		"axis and job":   {web.Order{Jobs: job(`{"seed":3}`), Axes: []web.Axis{{Field: "seed", Values: []string{"1"}}}}, 400, "seed"},
		"an axis twice":  {web.Order{Jobs: job(`{}`), Axes: []web.Axis{{Field: "seed", Values: []string{"1"}}, {Field: "seed", Values: []string{"2"}}}}, 400, "twice"},
		"too many":       {web.Order{Jobs: job(`{}`), Axes: []web.Axis{{Field: "seed", Values: []string{"1..100001"}}}}, 413, "use enqueue"},
	} {
		if _, err := orders.Submit(t.Context(), tt.order); statusOf(t, err) != tt.want || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want status %d and %q", name, err, tt.want, tt.says)
		}
	}
	if n, err := w.client.WaitingJobs(t.Context(), "*"); err != nil || n != 0 {
		t.Errorf("%d jobs are in the queue, %v", n, err)
	}
}
