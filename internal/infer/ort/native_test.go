package ort

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"weak"

	"github.com/stipple-ai/stipple/internal/infer"
	"github.com/stipple-ai/stipple/internal/infer/rng"
)

// call returns a UNet call of n rows for p, with its own memory.
func call(p *Pipeline, n int, seed uint64) *infer.Call {
	info := p.Info()
	size := infer.Size{Width: info.Width / info.ScaleFactor, Height: info.Height / info.ScaleFactor}
	c := &infer.Call{Size: size, Pad: n}
	g := rng.New(seed)
	for range n {
		values := info.LatentChannels * size.Width * size.Height
		r := infer.Row{Latent: make([]float32, values), Out: make([]float32, values), Timestep: 500,
			Text: &infer.Embedding{Hidden: make([]float32, p.MaxTokens()*p.unet.textWidth)}}
		g.Normal(r.Latent)
		g.Normal(r.Text.Hidden)
		c.Rows = append(c.Rows, r)
	}
	return c
}

func tiny() string { return filepath.Join(root, "models", "tiny-emoji") }

// TestTensorsOutliveTheCall: the binding keeps C pointers only, so a collector that runs all the time would free what the call reads. Frames forbid it.
func TestTensorsOutliveTheCall(t *testing.T) {
	p := load(t, tiny())
	want := call(p, 1, 7)
	if err := p.Denoise(context.Background(), want); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var storm sync.WaitGroup
	storm.Go(func() { // ends with ctx
		var litter [][]float32
		for ctx.Err() == nil {
			litter = append(litter[:0], make([]float32, 1<<16))
			runtime.GC()
		}
		runtime.KeepAlive(litter)
	})
	defer storm.Wait()
	defer cancel()
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for range 10 {
				got := call(p, 1, 7)
				if err := p.Denoise(context.Background(), got); err != nil {
					t.Error(err)
				} else if !slices.Equal(got.Rows[0].Out, want.Rows[0].Out) {
					t.Error("the same call gave another answer while the collector ran")
				}
			}
		})
	}
	wg.Wait()
}

// TestFramesKeepNoTexts: tensors that lie idle keep no embedding alive that the engine's cache has dropped.
func TestFramesKeepNoTexts(t *testing.T) {
	p := load(t, tiny())
	first := func() weak.Pointer[infer.Embedding] { // whose call is gone when it returns
		c := call(p, 2, 7)
		if err := p.Denoise(context.Background(), c); err != nil {
			t.Fatal(err)
		}
		return weak.Make(c.Rows[1].Text)
	}()
	runtime.GC()
	if first.Value() != nil {
		t.Error("an embedding that nobody has is still there")
	}
	if len(p.unet.session.frames.idle) != 1 {
		t.Errorf("%d frames are idle, want that of the call", len(p.unet.session.frames.idle))
	}
}

// TestTerminate: when the context ends, the call stops between two nodes, is waited for, and the session goes on to work.
func TestTerminate(t *testing.T) {
	p := load(t, tiny())
	full := call(p, 8, 1)
	if err := p.Denoise(context.Background(), full); err != nil {
		t.Fatal(err)
	}
	stopped := 0
	for i := range 20 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i+1)*time.Millisecond)
		err := p.Denoise(ctx, call(p, 8, 1))
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			stopped++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if stopped == 0 {
		t.Error("no call was stopped")
	}
	again := call(p, 8, 1)
	if err := p.Denoise(context.Background(), again); err != nil {
		t.Fatal(err)
	}
	for i := range again.Rows {
		if !slices.Equal(again.Rows[i].Out, full.Rows[i].Out) {
			t.Fatal("after a stop the session gives another answer")
		}
	}
}

// TestRowsDoNotMix: on one row shape a row's answer does not depend on its neighbours, padding included.
func TestRowsDoNotMix(t *testing.T) {
	p := load(t, tiny())
	whole := call(p, 4, 3)
	for i := range whole.Rows {
		whole.Rows[i].Timestep = float32(100 + 200*i)
	}
	if err := p.Denoise(context.Background(), whole); err != nil {
		t.Fatal(err)
	}
	for i, r := range whole.Rows {
		alone := &infer.Call{Size: whole.Size, Pad: 4, Rows: []infer.Row{r}}
		alone.Rows[0].Out = make([]float32, len(r.Out))
		if err := p.Denoise(context.Background(), alone); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(alone.Rows[0].Out, r.Out) {
			t.Errorf("row %d gives another answer padded to 4 than among 4", i)
		}
	}
}

// TestOutOfMemory: a call too large for the arena is out_of_memory, and a smaller one works after it. It runs in a process of its own, since the arena is the process's.
func TestOutOfMemory(t *testing.T) {
	out := subprocess(t, "TestOutOfMemoryChild", arenaLimit+"=50000000")
	if !strings.Contains(out, "--- PASS: TestOutOfMemoryChild") {
		t.Errorf("the child did not pass:\n%s", out)
	}
}

// TestOutOfMemoryChild is the child of TestOutOfMemory; by itself it only sees that it is not.
func TestOutOfMemoryChild(t *testing.T) {
	if os.Getenv(arenaLimit) == "" {
		return
	}
	p := load(t, tiny())
	if err := p.Denoise(context.Background(), call(p, 1, 1)); err != nil {
		t.Fatalf("one row: %v", err)
	}
	err := p.Denoise(context.Background(), call(p, 64, 1))
	var typed *infer.Error
	if !errors.As(err, &typed) || typed.Type != "out_of_memory" || strings.Contains(err.Error(), "\n") {
		t.Fatalf("64 rows: got %v, want out_of_memory in one line", err)
	}
	if err := p.Denoise(context.Background(), call(p, 1, 1)); err != nil {
		t.Fatalf("one row after it: %v", err)
	}
}

// TestBatchShrinks: when the rows of several pictures do not fit into the arena together, those pictures are drawn all the same, row by row, and are what they are alone.
// It runs in a process of its own, as TestOutOfMemory does.
func TestBatchShrinks(t *testing.T) {
	out := subprocess(t, "TestBatchShrinksChild", arenaLimit+"=50000000")
	if !strings.Contains(out, "--- PASS: TestBatchShrinksChild") {
		t.Errorf("the child did not pass:\n%s", out)
	}
}

// TestBatchShrinksChild is the child of TestBatchShrinks; by itself it only sees that it is not.
func TestBatchShrinksChild(t *testing.T) {
	if os.Getenv(arenaLimit) == "" {
		return
	}
	const pictures = 32
	p := load(t, tiny())
	m := &watched{Pipeline: p}
	crowd, alone := start(t, m, 1, infer.Config{MaxRows: 2 * pictures}), start(t, p, 1, infer.Config{})
	var wg sync.WaitGroup
	for i := range pictures {
		wg.Go(func() {
			info := p.Info()
			r := infer.Request{Prompt: "a red apple", Seed: uint64(i), Steps: 2, Guidance: 5, Width: info.Width, Height: info.Height}
			got, err := crowd.Generate(context.Background(), r)
			if err != nil {
				t.Error(err)
				return
			}
			want, err := alone.Generate(context.Background(), r)
			if err != nil {
				t.Error(err)
				return
			}
			for j, v := range got.Image.Pix {
				if w := want.Image.Pix[j]; int(v)-int(w) > 1 || int(w)-int(v) > 1 {
					t.Errorf("picture %d has %d for %d", i, v, w)
					return
				}
			}
		})
	}
	wg.Wait()
	if n := m.full.Load(); n == 0 {
		t.Error("no call ran out of memory: the arena is too large for this test")
	}
	if n := m.single.Load(); n < 2 {
		t.Errorf("%d rows were run alone, want those of the calls that failed", n)
	}
}

// watched counts the calls of several rows that ran out of memory, and those of one row that did not.
type watched struct {
	*Pipeline
	full, single atomic.Int64
}

func (m *watched) Denoise(ctx context.Context, c *infer.Call) error {
	err := m.Pipeline.Denoise(ctx, c)
	typed, failed := errors.AsType[*infer.Error](err)
	switch {
	case failed && typed.Type == "out_of_memory" && len(c.Rows) > 1:
		m.full.Add(1)
	case err == nil && len(c.Rows) == 1:
		m.single.Add(1)
	}
	return err
}

// TestOddSizes: a traced UNet cannot draw a latent whose sides it cannot halve, so such a job is invalid, and breaks neither its neighbours nor the engine.
func TestOddSizes(t *testing.T) {
	p := load(t, filepath.Join(root, "testdata/pipelines/sd15"))
	if m := p.Info().SizeMultiple; m != 16 {
		t.Fatalf("sizes must be multiples of %d, want 16: 8 of the VAE, and one halving", m)
	}
	e := start(t, p, 1, infer.Config{})
	for _, width := range []int{72, 24, 8} {
		r := infer.Request{Prompt: "a fox", Steps: 1, Guidance: 5, Width: width, Height: 64}
		_, err := e.Generate(context.Background(), r)
		var typed *infer.Error
		if !errors.As(err, &typed) || typed.Type != "invalid_job" || !strings.Contains(err.Error(), "multiple of 16") {
			t.Errorf("width %d: got %v, want invalid_job", width, err)
		}
		odd := &infer.Call{Size: infer.Size{Width: width / 8, Height: 8}, Pad: 1, Rows: call(p, 1, 1).Rows}
		if err := p.Denoise(context.Background(), odd); err == nil {
			t.Errorf("the UNet draws %d pixels: is the rule too strict?", width)
		}
	}
	if _, err := e.Generate(context.Background(), infer.Request{Prompt: "a fox", Steps: 1, Guidance: 5, Width: 48, Height: 64}); err != nil {
		t.Error(err)
	}
}
