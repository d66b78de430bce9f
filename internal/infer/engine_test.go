package infer

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestNewRefuses(t *testing.T) {
	lanes := NewLanes(1)
	defer lanes.Close()
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{MaxRows: -1}, "max rows"},
		{Config{MaxRows: 4, RowShapes: []int{1, 2}}, "row shapes"},
		{Config{RowShapes: []int{0}}, "row shapes"},
	} {
		if _, err := New(newFakeModel(t), lanes, c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want an error about %s", c.cfg, err, c.want)
		}
	}
}

func TestValidate(t *testing.T) {
	info := newFakeModel(t).Info()
	ok := request(1)
	for _, c := range []struct {
		name   string
		change func(*Request)
		want   string
	}{
		{"ok", func(*Request) {}, ""},
		{"no steps", func(r *Request) { r.Steps = 0 }, "num_inference_steps is 0"},
		{"many steps", func(r *Request) { r.Steps = 1001 }, "num_inference_steps is 1001"},
		{"guidance", func(r *Request) { r.Guidance = 50.5 }, "guidance_scale is 50.5"},
		{"negative guidance", func(r *Request) { r.Guidance = -1 }, "guidance_scale is -1"},
		{"width", func(r *Request) { r.Width = 60 }, "width is 60: must be a positive multiple of 8"},
		{"height", func(r *Request) { r.Height = 0 }, "height is 0"},
		{"negative", func(r *Request) { r.Height = -8 }, "height is -8"},
		{"large", func(r *Request) { r.Width = 64 * 1024 }, "at most 16384 pixels"},
		{"overflow", func(r *Request) { r.Width, r.Height = 1<<40, 1<<40 }, "at most 16384 pixels"},
		{"scheduler", func(r *Request) { r.Scheduler = "eular" }, "euler"},
		{"prompt", func(r *Request) { r.Prompt = strings.Repeat("fox ", 1<<18) }, "prompt has 1048576 bytes: must be at most 16384"},
		{"negative prompt", func(r *Request) { r.NegativePrompt = strings.Repeat("x", 16<<10+1) }, "negative_prompt has 16385 bytes"},
		{"longest prompt", func(r *Request) { r.Prompt = strings.Repeat("x", 16<<10) }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := ok
			c.change(&r)
			err := Validate(r, info, Limits{})
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var typed *Error
			if !errors.As(err, &typed) || typed.Type != "invalid_job" || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want invalid_job with %q", err, c.want)
			}
		})
	}
}

func TestCancelLeavesAtAStepBoundary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newFakeModel(t)
		m.delay = 10 * time.Millisecond
		e, _ := start(t, m, 1, Config{MaxRows: 8})
		ctx, cancel := context.WithCancel(context.Background())
		other := make(chan *Result)
		go func() { other <- draw(t, e, request(2)) }() // ends with the engine's answer
		var steps, begun atomic.Int64
		q := request(1)
		q.Steps = 100
		q.OnBegin = func() { begun.Add(1) }
		q.OnStep = func(done, total int) {
			if steps.Store(int64(done)); done == 3 {
				cancel()
			}
		}
		_, err := e.Generate(ctx, q)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want canceled", err)
		}
		if n := begun.Load(); n != 1 {
			t.Errorf("OnBegin was called %d times", n)
		}
		if n := steps.Load(); n > 4 {
			t.Errorf("%d steps were taken after the caller left at 3", n)
		}
		solo, _ := start(t, newFakeModel(t), 1, Config{})
		if res := <-other; !same(res.Image, draw(t, solo, request(2)).Image) {
			t.Error("the neighbour's picture changed")
		}
		if l := e.Load(context.Background()); l.Samples != 0 || l.Rows != 0 {
			t.Errorf("the engine still holds %+v", l)
		}
	})
}

// TestStop: when Run's context ends, every sample gets ErrStopped, whether it waits at the door or rides.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newFakeModel(t)
		m.delay = time.Second
		e, stop := start(t, m, 1, Config{})
		errs := make(chan error)
		for i := range 3 {
			q := request(uint64(i))
			go func() { // ends with Generate
				_, err := e.Generate(context.Background(), q)
				errs <- err
			}()
		}
		time.Sleep(5500 * time.Millisecond)
		go func() { stop() }() // ends when Run has
		for range 3 {
			if err := <-errs; !errors.Is(err, ErrStopped) {
				t.Errorf("got %v, want ErrStopped", err)
			}
		}
		if _, err := e.Generate(context.Background(), request(9)); !errors.Is(err, ErrStopped) {
			t.Errorf("after the stop: got %v, want ErrStopped", err)
		}
	})
}

// TestStopIsNoFailure: calls that come back with an error because they were told to stop are no sign of a broken device, in whatever order Run hears of it.
func TestStopIsNoFailure(t *testing.T) {
	for range 30 {
		synctest.Test(t, func(t *testing.T) {
			m := newFakeModel(t)
			m.delay = time.Second
			e, stop := start(t, m, 4, Config{Encoders: 8})
			var wg sync.WaitGroup
			for i := range 4 {
				wg.Go(func() {
					if _, err := e.Generate(context.Background(), request(uint64(i))); !errors.Is(err, ErrStopped) || errors.Is(err, ErrBroken) {
						t.Errorf("got %v, want ErrStopped", err)
					}
				})
			}
			time.Sleep(4500 * time.Millisecond) // all lanes fly
			m.mu.Lock()
			flying := m.flying
			m.mu.Unlock()
			if flying != 4 {
				t.Errorf("%d calls fly, want 4", flying)
			}
			if err := stop(); err != nil {
				t.Errorf("Run returned %v", err)
			}
			wg.Wait()
		})
	}
}

func TestOneSampleACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newFakeModel(t)
		m.delay = time.Millisecond
		m.info.OneSample = true
		e, _ := start(t, m, 1, Config{MaxRows: 8})
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() { draw(t, e, request(uint64(i))) })
		}
		wg.Wait()
		for _, c := range m.calls {
			if c.rows > 2 || (c.rows == 2 && c.seeds[0] != c.seeds[1]) {
				t.Fatalf("a call had rows of several samples: %+v", c)
			}
		}
	})
}

// TestLedger: the parts of the ledger are the whole time, to the last moment of the fake clock.
func TestLedger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newFakeModel(t)
		m.delay = 10 * time.Millisecond
		e, _ := start(t, m, 1, Config{})
		var wg sync.WaitGroup
		for i := range 5 {
			wg.Go(func() {
				begin := time.Now()
				res := draw(t, e, request(uint64(i)))
				l := res.Ledger
				if sum, took := l.TextEncode+l.Wait+l.Denoise+l.Decode, time.Since(begin); sum != took {
					t.Errorf("the ledger %+v sums to %v of %v", l, sum, took)
				}
				if l.Denoise != 80*time.Millisecond || l.Decode != 10*time.Millisecond {
					t.Errorf("job %d: %+v, want 80 ms of denoising (4 steps, 2 rows, one lane) and 10 ms of decoding", i, l)
				}
				if res.Calls != 8 || res.RowsMean != 1 {
					t.Errorf("%d calls of %v rows, want 8 of 1", res.Calls, res.RowsMean)
				}
			})
		}
		wg.Wait()
	})
}
