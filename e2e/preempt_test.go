package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// Preemption as on a cloud's spot machine, which gives a few seconds' notice.
const (
	preemptDrain = 1500 * time.Millisecond
	preemptFlush = 300 * time.Millisecond
)

// preemptions is how many workers are told to leave in the middle of a job.
func preemptions() int {
	if soak() {
		return 100
	}
	return 5
}

// preempted is a job of fifty steps that takes some seconds: of samplers with a history, and one that draws noise.
func preempted(i int) job {
	sampler := []string{"dpmpp_2m", "euler_a", "unipc"}[i%preemptKinds]
	return quick(i%preemptKinds).with("model", "tiny-emoji").with("num_inference_steps", 50).with("guidance_scale", 5).with("scheduler", sampler).with("width", 320).with("height", 320)
}

const preemptKinds = 3

// TestPreemption: workers are told to leave at a random step of a job that takes longer than they have left. Each is gone
// in time, another one goes on at the step where it stopped, repeating at most one, and the picture is the one of an
// undisturbed run.
func TestPreemption(t *testing.T) {
	w := newWorld(t)
	sink, env := collector(t)
	env = append(env, "LANES=1", "THREADS=1", "MAX_PIXELS=102400", "MODELS="+model("tiny-emoji"), "DRAIN_TIMEOUT="+preemptDrain.String(), "FLUSH_TIMEOUT="+preemptFlush.String())
	publish := func(batch string, i int) {
		w.publishModel("normal", "tiny-emoji", batch, encode(t, preempted(i)), header("Nats-Msg-Id", fmt.Sprintf("%s/%d", batch, i)))
	}
	here := map[string]*worker{"calm": w.worker("calm", env...)}
	var took time.Duration // the least time that one takes
	for i := range preemptKinds {
		publish("calm", i)
		denoise := time.Duration(w.awaitResults("calm", i+1, time.Minute)[i].Timings["denoise_ms"] * float64(time.Millisecond))
		if took = min(took, denoise); i == 0 {
			took = denoise
		}
	}
	calm := w.done("calm", preemptKinds, 10*time.Second)

	n := preemptions()
	heard := w.listen("storm")
	for i := range n {
		next := fmt.Sprintf("worker-%d", i)
		here[next] = w.worker(next, env...)
		publish("storm", i)
		victim := heard.await("", i, 20*time.Second).Worker // the other one goes on
		time.Sleep(rand.N(took / 2))
		if left := here[victim].terminate(20 * time.Second); left > preemptDrain+preemptFlush+500*time.Millisecond+slack {
			t.Errorf("%s took %v to leave", victim, left)
		}
		delete(here, victim)
		w.awaitResults("storm", i+1, time.Minute)
	}
	storm := w.done("storm", n, 10*time.Second)
	for _, k := range here {
		k.terminate(10 * time.Second) // which delivers its spans
	}
	for i, r := range storm {
		if want := calm[i%preemptKinds].Image.PixelsSHA256; r.Image.PixelsSHA256 != want {
			t.Errorf("job %d has the pixels %s, undisturbed it has %s", i, r.Image.PixelsSHA256, want)
		}
	}

	all, cut := spansOf(sink), 0
	for i, r := range storm {
		starts, sum := all.calls(fmt.Sprintf("storm/%d", i)), 0
		undisturbed := all.calls(fmt.Sprintf("calm/%d", i%preemptKinds))[0]
		for _, calls := range starts {
			sum += calls
		}
		if len(starts) > 1 {
			cut++
		}
		// A step is one call of the model for each of two rows, or one for both.
		step := undisturbed / 50
		t.Logf("job %d: calls of its starts %v, %d undisturbed", i, starts, undisturbed)
		if repeated := sum - undisturbed; repeated < 0 || repeated > step {
			t.Errorf("job %d: its starts made %v calls, %d in all, undisturbed it takes %d: more than one step of %d was repeated", i, starts, sum, undisturbed, step)
		}
		if r.Attempt != 1 {
			t.Errorf("job %d took attempt %d: to be preempted is none", i, r.Attempt)
		}
	}
	if cut < n/2 {
		t.Errorf("%d of %d jobs were preempted: the others were done before", cut, n)
	}
}

// calls are the model's calls of each start of a job that entered the engine. A span may have been delivered twice.
func (s spans) calls(job string) []int {
	var starts []int
	seen := map[string]bool{}
	for _, attempt := range s.named("text-to-image").with("job.id", job) {
		for _, denoise := range s.trace(attempt.TraceID).named("denoise") {
			if seen[denoise.SpanID] {
				continue
			}
			seen[denoise.SpanID] = true
			calls, _ := denoise.Attributes["inference.calls"].(int64)
			starts = append(starts, int(calls))
		}
	}
	return starts
}
