package infer

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/stipple-ai/stipple/internal/infer/schedule"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeModel is a row-wise model of plain arithmetic: what a row gives depends on that row alone, and on every part of it.
type fakeModel struct {
	info  Info
	delay time.Duration // of a call, on the fake clock of synctest
	born  time.Time

	// firstTimestep says that the first row's timestep is taken for all, as in some exports.
	firstTimestep bool

	// fault, if set, is asked about every call.
	fault func(c *Call) error

	// corrupt, if set, changes what the UNet gives.
	corrupt func(c *Call)

	// spoil, if set, changes what Decode gives.
	spoil func(pixels []float32)

	mu        sync.Mutex
	calls     []fakeCall
	flying    int
	most      int // calls at once
	encodes   map[string]int
	decodes32 int
}

// fakeCall is what a call looked like from inside.
type fakeCall struct {
	rows, pad int
	size      Size
	seeds     []float32 // the first latent of each row: tells samples apart
	texts     []float32
}

const fakeChannels = 4

func newFakeModel(t testing.TB) *fakeModel {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "models", "tiny-emoji", "scheduler", "scheduler_config.json"))
	if err != nil {
		t.Fatal(err)
	}
	config, err := schedule.ParseConfig(data)
	if err != nil {
		t.Fatal(err)
	}
	return &fakeModel{
		info:    Info{LatentChannels: fakeChannels, ScaleFactor: 8, SizeMultiple: 8, Width: 64, Height: 64, Schedule: config},
		encodes: map[string]int{},
		born:    time.Now(),
	}
}

func (m *fakeModel) Info() Info { return m.info }

func (m *fakeModel) Tokenize(text string, negative bool) Tokens {
	if negative && text == "" {
		return Tokens{Zero: true}
	}
	ids := make([]int64, 0, len(text))
	for _, b := range []byte(text) {
		ids = append(ids, int64(b))
	}
	return Tokens{IDs: [][]int64{ids}, Count: len(ids) + 2, Truncated: len(ids) > 75}
}

func (m *fakeModel) Encode(ctx context.Context, t Tokens) (*Embedding, error) {
	if err := sleep(ctx, m.delay); err != nil {
		return nil, err
	}
	h := fnv.New32()
	fmt.Fprint(h, t.IDs)
	m.mu.Lock()
	m.encodes[tokensKey(t)]++
	m.mu.Unlock()
	if t.Zero {
		return &Embedding{Hidden: make([]float32, 8)}, nil
	}
	e := &Embedding{Hidden: make([]float32, 8)}
	for i := range e.Hidden {
		e.Hidden[i] = float32(h.Sum32()>>(4*i)&15) / 16
	}
	return e, nil
}

func (m *fakeModel) Denoise(ctx context.Context, c *Call) error {
	m.mu.Lock()
	m.flying++
	m.most = max(m.most, m.flying)
	call := fakeCall{rows: len(c.Rows), pad: c.Pad, size: c.Size}
	for _, r := range c.Rows {
		call.seeds = append(call.seeds, r.Latent[0])
		call.texts = append(call.texts, r.Text.Hidden[0])
	}
	m.calls = append(m.calls, call)
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		m.flying--
		m.mu.Unlock()
	}()
	if err := sleep(ctx, m.delay); err != nil {
		return err
	}
	if m.fault != nil {
		if err := m.fault(c); err != nil {
			for _, r := range c.Rows { // "the contents of Out are undefined"
				for i := range r.Out {
					r.Out[i] = float32(math.NaN())
				}
			}
			return err
		}
	}
	for _, r := range c.Rows {
		if m.firstTimestep {
			r.Timestep = c.Rows[0].Timestep
		}
		for i, x := range r.Latent {
			h := float64(r.Text.Hidden[i%len(r.Text.Hidden)])
			r.Out[i] = float32(0.6*float64(x) + 0.3*math.Sin(3*float64(x)+float64(r.Timestep)/250+h))
		}
	}
	if m.corrupt != nil {
		m.corrupt(c)
	}
	return nil
}

func (m *fakeModel) Decode(ctx context.Context, latents []float32, s Size) ([]float32, error) {
	out, err := m.decode(ctx, latents, s)
	if err == nil && m.spoil != nil {
		m.spoil(out)
	}
	return out, err
}

func (m *fakeModel) decode(ctx context.Context, latents []float32, s Size) ([]float32, error) {
	if err := sleep(ctx, m.delay); err != nil {
		return nil, err
	}
	f := m.info.ScaleFactor
	w, h := s.Width*f, s.Height*f
	out := make([]float32, 3*w*h)
	for c := range 3 {
		for y := range h {
			for x := range w {
				out[(c*h+y)*w+x] = latents[(c*s.Height+y/f)*s.Width+x/f] / 4
			}
		}
	}
	return out, nil
}

func (m *fakeModel) DecodeFloat32(ctx context.Context, latents []float32, s Size) ([]float32, error) {
	m.mu.Lock()
	m.decodes32++
	m.mu.Unlock()
	return m.decode(ctx, latents, s)
}

func sleep(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return ctx.Err()
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// start runs an engine until the test ends, after what is to be done to it before; stop ends it and says what Run returned.
func start(t testing.TB, m Model, lanes int, cfg Config, before ...func(*Engine)) (e *Engine, stop func() error) {
	t.Helper()
	l := NewLanes(lanes)
	cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	e, err := New(m, l, cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range before {
		f(e)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }() // ends at stop
	var once sync.Once
	var result error
	stop = func() error {
		once.Do(func() {
			cancel()
			result = <-done
		})
		return result
	}
	t.Cleanup(func() {
		if err := stop(); err != nil && !errors.Is(err, ErrBroken) {
			t.Error(err)
		}
		l.Close()
	})
	return e, stop
}

func request(seed uint64) Request {
	return Request{Prompt: fmt.Sprintf("prompt %d", seed%3), Steps: 4, Guidance: 5, Seed: seed, Width: 64, Height: 64}
}

// draw is Generate for a test that expects a picture.
func draw(t testing.TB, e *Engine, r Request) *Result {
	t.Helper()
	res, err := e.Generate(context.Background(), r)
	if err != nil {
		t.Fatalf("seed %d: %v", r.Seed, err)
	}
	return res
}

func same(a, b Image) bool {
	return a.Width == b.Width && a.Height == b.Height && slices.Equal(a.Pix, b.Pix)
}
