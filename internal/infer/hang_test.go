package infer

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// hanging makes the calls of the requests' first step hang until release: whatever their context says, as native calls do.
func hanging(t *testing.T, m *fakeModel, requests ...Request) (release func()) {
	t.Helper()
	var are []func(*Call) bool
	for _, q := range requests {
		are = append(are, poison(t, m, q))
	}
	released := make(chan struct{})
	m.fault = func(c *Call) error {
		for _, is := range are {
			if is(c) {
				<-released
			}
		}
		return nil
	}
	return sync.OnceFunc(func() { close(released) })
}

// outcome is how a Generate ended, and when.
type outcome struct {
	err error
	at  time.Duration
}

// ends draws each request and waits for all; the outcomes are in their order.
func ends(e *Engine, requests ...Request) func() []outcome {
	all := make([]outcome, len(requests))
	var wg sync.WaitGroup
	begin := time.Now()
	for i, q := range requests {
		wg.Go(func() {
			time.Sleep(time.Duration(i) * time.Microsecond) // they come in this order
			_, err := e.Generate(context.Background(), q)
			all[i] = outcome{err, time.Since(begin).Truncate(time.Millisecond)}
		})
	}
	return func() []outcome { wg.Wait(); return all }
}

// unguided is a request of one row whose text is the same as that of the others.
func unguided(seed uint64, steps int) Request {
	q := request(seed)
	q.Prompt, q.Guidance, q.Steps = "the same", 1, steps
	return q
}

// TestHungCall: when a call of the UNet does not return, its sample ends with a timeout, and all others are handed back at once: one that rides on another lane, one
// that is between two steps, one at the door. Run ends without waiting.
func TestHungCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newFakeModel(t)
		release := hanging(t, m, unguided(10, 4))
		m.delay = 100 * time.Millisecond
		var told []outcome
		e, stop := start(t, m, 2, Config{Encoders: 1, CallTimeout: time.Second, OnBroken: func(err error) { told = append(told, outcome{err, time.Since(m.born)}) }})
		defer release()
		draw(t, e, unguided(1, 1))
		time.Sleep(2 * time.Second) // calls that have returned do not count
		born := time.Since(m.born)
		got := ends(e, unguided(10, 4), unguided(11, 100), unguided(12, 100))()
		for i, want := range []string{"timeout", "interrupted", "interrupted"} {
			wantError(t, got[i].err, want, "a UNet call has not returned for 1s")
			if !errors.Is(got[i].err, ErrHung) || !errors.Is(got[i].err, ErrBroken) || got[i].at != time.Second {
				t.Errorf("%d: %v after %v, want ErrHung after 1 s", i, got[i].err, got[i].at)
			}
		}
		if s := suspendedState(t, got[1].err); s.Step < 5 {
			t.Errorf("the one on the other lane is handed back after step %d", s.Step)
		}
		if _, ok := errors.AsType[*Suspended](got[0].err); ok {
			t.Error("the one that hangs has a state to go on with")
		}
		if len(told) != 1 || !errors.Is(told[0].err, ErrHung) || told[0].at.Truncate(time.Millisecond) != born+time.Second {
			t.Errorf("OnBroken was told %v, want ErrHung once, at %v", told, born+time.Second)
		}
		_, err := e.Generate(context.Background(), unguided(1, 1))
		wantError(t, err, "interrupted", "")
		release() // what the call still does harms nobody: the race detector sees it
		if err := stop(); !errors.Is(err, ErrHung) {
			t.Errorf("Run returned %v, want ErrHung", err)
		}
	})
}

// TestBrokenBesideAHungCall: the word that a device is broken gets out, and samples that do not ride end, before a call that does not return does.
func TestBrokenBesideAHungCall(t *testing.T) {
	for _, limit := range []time.Duration{0, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			m := newFakeModel(t)
			release := hanging(t, m, unguided(10, 4))
			m.delay = 100 * time.Millisecond
			hang := m.fault
			m.fault = func(c *Call) error {
				hang(c)
				return errors.New("device lost")
			}
			broken := make(chan error, 1)
			e, stop := start(t, m, 2, Config{Encoders: 1, CallTimeout: limit, OnBroken: func(err error) { broken <- err }})
			defer release()
			rest := ends(e, unguided(10, 4))
			time.Sleep(150 * time.Millisecond) // it hangs
			types := map[string]int{}
			for _, o := range ends(e, unguided(11, 4), unguided(12, 4), unguided(13, 4))() {
				if typed, ok := errors.AsType[*Error](o.err); ok {
					types[typed.Type]++
				}
			}
			if types["model_error"] != 2 || types["interrupted"] != 1 {
				t.Errorf("got %v, want two model errors and one interrupted", types)
			}
			if err := <-broken; !errors.Is(err, ErrBroken) || errors.Is(err, ErrHung) {
				t.Errorf("OnBroken was told %v, want ErrBroken", err)
			}
			if limit == 0 {
				release()
				wantError(t, rest()[0].err, "interrupted", "device lost")
				if err := stop(); !errors.Is(err, ErrBroken) || errors.Is(err, ErrHung) {
					t.Errorf("Run returned %v, want ErrBroken", err)
				}
				return
			}
			wantError(t, rest()[0].err, "timeout", "device lost")
			release()
			if err := stop(); !errors.Is(err, ErrHung) || !strings.Contains(err.Error(), "device lost") {
				t.Errorf("Run returned %v, want ErrHung and why the device was broken before", err)
			}
		})
	}
}

// TestHungStop: a call that does not return when Run is told to end is not waited for longer than CallTimeout, and Run says that it is still there.
func TestHungStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newFakeModel(t)
		release := hanging(t, m, unguided(10, 4))
		m.delay = 100 * time.Millisecond
		l := NewLanes(2)
		e, err := New(m, l, Config{Encoders: 1, CallTimeout: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		ran := make(chan outcome)
		go func() { // ends with Run
			err := e.Run(ctx)
			ran <- outcome{err, time.Since(m.born).Truncate(time.Millisecond)}
		}()
		got := ends(e, unguided(10, 4), unguided(11, 100), unguided(12, 100))
		run := <-ran
		if want := 100*time.Millisecond + time.Minute; !errors.Is(run.err, ErrHung) || run.at != want {
			t.Errorf("Run returned %v after %v, want ErrHung after %v", run.err, run.at, want)
		}
		all := got()
		wantError(t, all[0].err, "timeout", "has not returned")
		for _, o := range all[1:] {
			if wantError(t, o.err, "interrupted", "the engine stopped"); o.at != time.Second {
				t.Errorf("a sample that could end with Run's context ended after %v", o.at)
			}
		}
		release()
		l.Close()
	})
}

// TestHungEncoderAndDecoder: they are watched, too, in a lane and beside the lanes. Their own Generate cannot return, but the others' do, and Run.
func TestHungEncoderAndDecoder(t *testing.T) {
	for _, beside := range []int{0, 1} {
		for _, part := range []string{"a text encoding", "a VAE decoding"} {
			synctest.Test(t, func(t *testing.T) {
				released := make(chan struct{})
				m := &hungParts{fakeModel: newFakeModel(t), released: released, encoder: part == "a text encoding"}
				m.delay = 100 * time.Millisecond
				e, stop := start(t, m, 2, Config{Encoders: beside, Decoders: beside, CallTimeout: time.Second})
				good := unguided(12, 100)
				good.Prompt = "a good one"
				got := ends(e, good)
				time.Sleep(150 * time.Millisecond)
				rest := ends(e, unguided(10, 1)) // hangs in its encoding or its decoding
				time.Sleep(300 * time.Millisecond)
				for i, o := range append(ends(e, unguided(10, 1), unguided(13, 1))(), got()...) { // wait for that text, for an encoder, for a decoder; and one is drawn
					if wantError(t, o.err, "interrupted", part+" has not returned for 1s"); o.at > 2*time.Second {
						t.Errorf("%d ended after %v", i, o.at)
					}
				}
				close(released)
				rest()
				if err := stop(); !errors.Is(err, ErrHung) {
					t.Errorf("Run returned %v, want ErrHung", err)
				}
			})
		}
	}
}

// hungParts is a model whose VAE, or text encoder with one prompt, hangs.
type hungParts struct {
	*fakeModel

	released chan struct{}
	encoder  bool
}

func (m *hungParts) Encode(ctx context.Context, t Tokens) (*Embedding, error) {
	if m.encoder && t.Count == len("the same")+2 {
		<-m.released
	}
	return m.fakeModel.Encode(ctx, t)
}

func (m *hungParts) Decode(ctx context.Context, latents []float32, s Size) ([]float32, error) {
	<-m.released
	return m.fakeModel.Decode(ctx, latents, s)
}
