package infer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stipple-ai/stipple/internal/infer/schedule"
)

// reread is a state after a way through storage.
func reread(t testing.TB, s State) *State {
	t.Helper()
	var again State
	if err := again.UnmarshalBinary(marshal(t, s)); err != nil {
		t.Fatal(err)
	}
	return &again
}

// flowConfig is a schedule of a model that flow_euler takes.
func flowConfig(t *testing.T) schedule.Config {
	t.Helper()
	c, err := schedule.ParseConfig([]byte(`{"_class_name": "FlowMatchEulerDiscreteScheduler"}`))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestResumeEqualsUncut cuts a run of every sampler after every step and goes on in another engine: the same latents, bit for bit, and the same picture.
func TestResumeEqualsUncut(t *testing.T) {
	for _, name := range schedule.Names() {
		for _, guidance := range []float64{1, 5} {
			t.Run(fmt.Sprint(name, " ", guidance), func(t *testing.T) {
				q := Request{Prompt: "a fox", NegativePrompt: "ugly", Steps: 6, Guidance: guidance, Seed: 7, Width: 64, Height: 80, Scheduler: name}
				config := newFakeModel(t).info.Schedule
				if _, err := schedule.New(name, config, q.Steps); err != nil {
					config = flowConfig(t)
				}
				e, last := recording(t, config)
				var states []State
				q.CheckpointEvery, q.OnCheckpoint = 1, func(s State) { states = append(states, s) }
				whole := draw(t, e, q)
				want := last()
				other, last := recording(t, config)
				for i, s := range states {
					q := q
					if q.Resume = reread(t, s); s.Step != i+1 {
						t.Fatalf("checkpoint %d is of step %d", i, s.Step)
					}
					var steps []int
					q.OnStep = func(done, total int) { steps = append(steps, done, total) }
					var again []State
					q.OnCheckpoint = func(s State) { again = append(again, s) }
					res := draw(t, other, q)
					if !slices.Equal(last(), want) || !same(res.Image, whole.Image) {
						t.Errorf("cut after step %d: another picture", s.Step)
					}
					if total := len(states) + 1; !slices.Equal(steps, counted(s.Step+1, total)) {
						t.Errorf("cut after step %d: OnStep was told %v", s.Step, steps)
					}
					if rows := whole.Calls / (len(states) + 1); res.Calls != whole.Calls-rows*s.Step {
						t.Errorf("cut after step %d: %d rows, uncut %d", s.Step, res.Calls, whole.Calls)
					}
					for j, s := range again {
						if !bytes.Equal(marshal(t, s), marshal(t, states[i+1+j])) {
							t.Errorf("cut after step %d: another checkpoint at step %d", i+1, s.Step)
						}
					}
				}
				if len(states) < q.Steps-2 { // lcm and tcd draw few, Heun and KDPM2 nearly twice as many
					t.Errorf("only %d checkpoints", len(states))
				}
			})
		}
	}
}

// recording is an engine whose last latents can be asked for.
func recording(t *testing.T, config schedule.Config) (e *Engine, last func() []float32) {
	t.Helper()
	m := newFakeModel(t)
	m.info.Schedule = config
	var pixels []float32
	m.spoil = func(p []float32) { pixels = slices.Clone(p) } // the fake decoder divides by a power of two
	e, _ = start(t, m, 2, Config{MaxRows: 2})
	return e, func() []float32 { return pixels }
}

// counted is what OnStep is told from a step on.
func counted(from, total int) []int {
	var all []int
	for i := from; i <= total; i++ {
		all = append(all, i, total)
	}
	return all
}

func TestCheckpointEvery(t *testing.T) {
	e, _ := start(t, newFakeModel(t), 1, Config{})
	for every, want := range map[int][]int{0: nil, 1: {1, 2, 3, 4, 5, 6, 7, 8}, 3: {3, 6}, 4: {4, 8}, 9: nil, 100: nil} {
		var got []int
		q := request(1)
		q.Steps, q.CheckpointEvery = 9, every
		q.OnCheckpoint = func(s State) { got = append(got, s.Step) }
		draw(t, e, q)
		if !slices.Equal(got, want) {
			t.Errorf("every %d: after the steps %v, want %v", every, got, want)
		}
	}
}

// suspendedState is the state that err carries.
func suspendedState(t testing.TB, err error) State {
	t.Helper()
	s, ok := errors.AsType[*Suspended](err)
	if !ok {
		t.Fatalf("got %v, want a suspension", err)
	}
	return s.State
}

// TestSuspended: whoever stops a sample, and wherever in a step, it is handed back as of its last step; a call that is under way and comes back counts.
func TestSuspended(t *testing.T) {
	const steps = 5
	want := func() []byte { // of each step
		var all []byte
		e, _ := start(t, newFakeModel(t), 1, Config{})
		q := request(3)
		q.Steps, q.CheckpointEvery = steps, 1
		q.OnCheckpoint = func(s State) { all = append(all, marshal(t, s)...) }
		draw(t, e, q)
		return all
	}()
	for name, byEngine := range map[string]bool{"its caller": false, "the engine": true} {
		// Two texts, two rows a step and a decoding on one lane, 10 ms each: the step k ends at 20 + 20k ms, and the picture is there at 130 ms.
		for at := 5 * time.Millisecond; at < 130*time.Millisecond; at += 5 * time.Millisecond {
			t.Run(fmt.Sprint(name, " at ", at), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m := newFakeModel(t)
					m.delay = 10 * time.Millisecond
					e, stop := start(t, m, 1, Config{})
					q := request(3)
					q.Steps = steps
					ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
					defer cancel()
					time.AfterFunc(at+time.Microsecond, func() {
						if byEngine {
							stop()
						} else {
							cancel()
						}
					})
					_, err := e.Generate(ctx, q)
					done := int(at/(10*time.Millisecond)-2) / 2
					if !byEngine && at > 20*time.Millisecond && at%(20*time.Millisecond) >= 10*time.Millisecond && done < steps {
						done++ // the step's last row is in the lane, and is waited for
					}
					switch {
					case byEngine && done >= steps: // decoding needs no engine
						if err != nil {
							t.Fatalf("got %v, want a picture", err)
						}
						return
					case done < 1:
						if _, ok := errors.AsType[*Suspended](err); ok || err == nil {
							t.Fatalf("got %v, want no state", err)
						}
						return
					case byEngine && !errors.Is(err, ErrStopped), !byEngine && !errors.Is(err, context.Canceled):
						t.Fatalf("got %v", err)
					}
					state := suspendedState(t, err)
					if state.Step != done {
						t.Fatalf("suspended after step %d, want %d", state.Step, done)
					}
					b := marshal(t, state)
					if done < steps && !bytes.Equal(b, want[(done-1)*len(b):done*len(b)]) {
						t.Error("another state than the checkpoint's")
					}
					q.Resume = reread(t, state)
					again := newFakeModel(t)
					other, _ := start(t, again, 1, Config{})
					got := draw(t, other, q)
					q.Resume = nil
					if calls := len(again.calls); calls != 2*(steps-done) {
						t.Errorf("%d calls to finish after step %d of %d", calls, done, steps)
					}
					if !same(got.Image, draw(t, other, q).Image) {
						t.Error("another picture")
					}
				})
			})
		}
	}
}

// TestFailureIsNoSuspension: a sample that failed is not gone on with; those that a broken device handed back are.
func TestFailureIsNoSuspension(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newFakeModel(t)
		m.delay = 10 * time.Millisecond
		m.fault = func(*Call) error {
			if time.Since(m.born) > 200*time.Millisecond {
				return errors.New("device lost")
			}
			return nil
		}
		e, _ := start(t, m, 1, Config{MaxRows: 4})
		var wg sync.WaitGroup
		var mu sync.Mutex
		var states, failures int
		for i := range 4 {
			q := unguided(uint64(i), 100)
			wg.Go(func() {
				_, err := e.Generate(context.Background(), q)
				typed, ok := errors.AsType[*Error](err)
				s, suspended := errors.AsType[*Suspended](err)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case !ok || suspended != (typed.Type == "interrupted"):
					t.Errorf("got %v", err)
				case suspended && s.State.Step > 10:
					states++
				default:
					failures++
				}
			})
		}
		wg.Wait()
		if states != 2 || failures != 2 {
			t.Errorf("%d states and %d failures, want two of each", states, failures)
		}
	})
}

// TestResumeInACrowd: jobs of every kind that are stopped again and again, and go on each time in another engine, beside others, give the pictures that they give
// alone and uncut, and do no step twice but the one that was under way.
func TestResumeInACrowd(t *testing.T) {
	for n := range crowds() {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := rand.New(rand.NewPCG(uint64(n), 3))
				requests := make([]Request, 10)
				for i := range requests {
					requests[i] = randomRequest(r, i)
				}
				var engines []*Engine
				for range 3 {
					m := newFakeModel(t)
					m.delay = time.Millisecond
					e, _ := start(t, m, 1+r.IntN(2), Config{MaxRows: 1 + r.IntN(4)})
					engines = append(engines, e)
				}
				alone, _ := start(t, newFakeModel(t), 1, Config{})
				seeds := r.Uint64()
				var wg sync.WaitGroup
				for i, q := range requests {
					wg.Go(func() {
						r := rand.New(rand.NewPCG(seeds, uint64(i)))
						img := preempted(t, r, engines, q)
						if !same(img, draw(t, alone, q).Image) {
							t.Errorf("request %d (%+v) is another picture", i, q)
						}
					})
				}
				wg.Wait()
			})
		})
	}
}

// preempted draws q with many stops.
func preempted(t *testing.T, r *rand.Rand, engines []*Engine, q Request) Image {
	t.Helper()
	taken := 0
	q.OnStep = func(int, int) { taken++ }
	for patience := time.Millisecond; ; patience += time.Millisecond / 4 { // so that it ends
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(r.Int64N(int64(10*patience))))
		res, err := engines[r.IntN(len(engines))].Generate(ctx, q)
		cancel()
		s, suspended := errors.AsType[*Suspended](err)
		switch {
		case err == nil:
			return res.Image
		case suspended && s.State.Step != taken:
			t.Errorf("after step %d, but %d steps were taken: some were lost", s.State.Step, taken)
		case suspended:
			q.Resume = reread(t, s.State)
		case !errors.Is(err, context.DeadlineExceeded):
			t.Error(err)
			return Image{}
		}
	}
}
