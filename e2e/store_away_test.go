package e2e_test

import (
	"slices"
	"testing"
	"time"
)

// TestTheStoreAwayForAWhile: pictures that were being drawn when the store went away are kept, longer than a lease, and
// stored when it is back. No job fails, nothing is drawn twice, and nothing more is fetched meanwhile.
func TestTheStoreAwayForAWhile(t *testing.T) {
	w := newWorld(t)
	sink, env := collector(t)
	k := w.worker("painter", append(env, lease, "LANES=1", "SLOTS=2")...)
	heard := w.listen("b")
	const n = 6
	w.publishMany("b", n, steps(150))
	heard.await("painter", -1, 10*time.Second)
	w.store.stop()

	k.awaitUnready("no answer from", "AWS_ENDPOINT_URL")
	if h := k.health("/healthz"); h.Code != 200 {
		t.Errorf("/healthz answers %+v while the store is away", h)
	}
	time.Sleep(3 * time.Second) // more than a lease: this is about nothing happening
	if results, dead := w.results("b"), w.deadLetters("b"); len(results) == n || len(dead) > 0 {
		t.Errorf("%d results and %d dead letters while the store is away", len(results), len(dead))
	}
	if held := w.consumer("normal", "sd15").NumAckPending; held > 2 {
		t.Errorf("the worker holds %d jobs, and has 2 slots", held)
	}
	w.store.start()
	results := w.done("b", n, 60*time.Second)
	k.awaitReady()
	for _, r := range results {
		if r.Attempt != 1 {
			t.Errorf("job %d took attempt %d", r.Index, r.Attempt)
		}
	}
	all := await(t, sink, n, "text-to-image")
	if drawn := len(all.named("inference")); drawn != n {
		t.Errorf("the model ran %d times for %d pictures", drawn, n)
	}
	for _, attempt := range all.named("text-to-image") {
		checkAttributes(t, attempt, map[string]any{"job.outcome": "completed", "messaging.nats.delivery_count": int64(1)})
	}
	held := slices.ContainsFunc(all.named("upload"), func(s span) bool { return s.End.Sub(s.Start) > 3*time.Second })
	if !held {
		t.Error("no picture was waiting for the store")
	}
}

// TestLeavingWhileTheStoreIsAway: a picture that nobody takes does not keep a worker from leaving in time; another one
// draws it.
func TestLeavingWhileTheStoreIsAway(t *testing.T) {
	w := newWorld(t)
	k := w.worker("leaver", "DRAIN_TIMEOUT=3s", "FLUSH_TIMEOUT=500ms")
	heard := w.listen("b")
	w.publish("b", 0, steps(150))
	heard.await("leaver", 0, 10*time.Second)
	w.store.stop()
	eventually(t, 20*time.Second, func() string {
		if len(k.logged("waiting for a service that is away")) == 0 {
			return "the worker does not say that it waits"
		}
		return ""
	})
	if took := k.terminate(20 * time.Second); took > 4*time.Second+slack {
		t.Errorf("the worker took %v to leave", took)
	}
	w.store.start()
	w.worker("stayer")
	if r := w.done("b", 1, 20*time.Second)[0]; r.Worker != "stayer" || r.Attempt != 1 {
		t.Errorf("the job was drawn by %s in attempt %d, want the other worker in attempt 1", r.Worker, r.Attempt)
	}
}

// TestAStoreThatRefuses: a wrong bucket or key is said where one looks, nothing is fetched, and no job fails of it.
func TestAStoreThatRefuses(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct {
		name, env string
		words     []string
	}{
		{"bucket", "S3_BUCKET=not-there-" + w.bucket, []string{"the bucket does not exist", "S3_BUCKET"}},
		{"key", "AWS_ACCESS_KEY_ID=nobody", []string{"does not know this access key", "AWS_ACCESS_KEY_ID"}},
		{"secret", "AWS_SECRET_ACCESS_KEY=wrong-secret-1", []string{"the secret does not belong to the access key", "AWS_SECRET_ACCESS_KEY"}},
	} {
		k := w.launch("refused-"+tt.name, tt.env)
		k.awaitUnready(tt.words...)
		if h := k.health("/healthz"); h.Code != 200 {
			t.Errorf("%s: /healthz answers %+v", tt.name, h)
		}
		w.publish("early", slices.Index([]string{"bucket", "key", "secret"}, tt.name), quick(1))
		time.Sleep(1500 * time.Millisecond) // longer than a worker sleeps between fetches: this is about nothing happening
		if fetched := w.consumer("normal", "sd15").Delivered.Consumer; fetched > 0 {
			t.Errorf("%s: %d jobs were fetched by a worker that cannot store anything", tt.name, fetched)
		}
		mentions(t, "the log", k.errs(), tt.words...)
		if tt.name == "bucket" {
			continue // it stays until the end
		}
		k.terminate(10 * time.Second)
	}
	if results, dead := w.results("early"), w.deadLetters("early"); len(results)+len(dead) > 0 {
		t.Errorf("jobs have the results %v and dead letters %v", results, dead)
	}
	// Once somebody makes the bucket, the worker that waits for it begins.
	other := *w
	other.bucket = "not-there-" + w.bucket
	other.makeBucket(other.bucket)
	other.done("early", 3, 30*time.Second)
}
