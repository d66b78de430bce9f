package tune

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/stipple-ai/stipple/internal/infer"
	"github.com/stipple-ai/stipple/internal/infer/schedule"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What the parts of fakeModel take, on the fake clock of synctest.
const (
	encodeTime = 8 * time.Millisecond
	callTime   = 20 * time.Millisecond
	rowTime    = 2 * time.Millisecond
	decodeTime = 12 * time.Millisecond
)

// fakeModel takes a known time for every call and draws noise.
type fakeModel struct {
	infer.Model // of what is not called

	info      infer.Info
	mostRows  int  // more are out of memory; 0 is no limit
	bareFails bool // no bare calls are to be had
	open      *int // bare calls made and not closed
}

func newFakeModel(t *testing.T) *fakeModel {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "..", "models", "tiny-emoji", "scheduler", "scheduler_config.json"))
	if err != nil {
		t.Fatal(err)
	}
	config, err := schedule.ParseConfig(data)
	if err != nil {
		t.Fatal(err)
	}
	return &fakeModel{info: infer.Info{LatentChannels: 4, ScaleFactor: 8, SizeMultiple: 8, Width: 64, Height: 64, Schedule: config}, open: new(int)}
}

func (m *fakeModel) Info() infer.Info { return m.info }

func (m *fakeModel) Tokenize(text string, _ bool) infer.Tokens {
	var ids []int64
	for _, b := range []byte(text) {
		ids = append(ids, int64(b))
	}
	return infer.Tokens{IDs: [][]int64{ids}, Count: len(ids)}
}

func (m *fakeModel) Encode(context.Context, infer.Tokens) (*infer.Embedding, error) {
	time.Sleep(encodeTime)
	return &infer.Embedding{Hidden: make([]float32, 8)}, nil
}

func (m *fakeModel) Denoise(_ context.Context, c *infer.Call) error {
	if err := m.memory(c.Pad); err != nil {
		return err
	}
	for _, r := range c.Rows {
		for i, x := range r.Latent {
			r.Out[i] = x * (0.5 + r.Timestep/2000)
		}
	}
	time.Sleep(callTime + time.Duration(c.Pad)*rowTime)
	return nil
}

func (m *fakeModel) memory(rows int) error {
	if m.mostRows > 0 && rows > m.mostRows {
		return &infer.Error{Type: "out_of_memory", Err: errors.New("failed to allocate memory")}
	}
	return nil
}

func (m *fakeModel) Decode(_ context.Context, latents []float32, s infer.Size) ([]float32, error) {
	time.Sleep(decodeTime)
	pixels := make([]float32, 3*64*s.Width*s.Height)
	for i := range pixels {
		pixels[i] = latents[i%len(latents)]
	}
	return pixels, nil
}

func (m *fakeModel) bare(_, _, rows int) (Bare, error) {
	if m.bareFails {
		return nil, errors.New("no bare calls")
	}
	*m.open++
	return &fakeBare{model: m, rows: rows}, nil
}

type fakeBare struct {
	model *fakeModel
	rows  int
}

func (b *fakeBare) Encode(context.Context) error { time.Sleep(encodeTime); return nil }
func (b *fakeBare) Decode(context.Context) error { time.Sleep(decodeTime); return nil }
func (b *fakeBare) Denoise(context.Context) error {
	if err := b.model.memory(b.rows); err != nil {
		return err
	}
	time.Sleep(callTime + time.Duration(b.rows)*rowTime)
	return nil
}

func (b *fakeBare) Close() error {
	*b.model.open--
	return nil
}

// fox is a picture to try settings with.
var fox = infer.Request{Prompt: "a fox", Steps: 4, Guidance: 7.5, Width: 64, Height: 64}

// config tries m with fox, and holds that everything was closed.
func config(t *testing.T, m *fakeModel) Config {
	t.Helper()
	t.Cleanup(func() {
		if *m.open != 0 {
			t.Errorf("%d bare calls were not closed", *m.open)
		}
	})
	return Config{
		Load:   func(context.Context, int) (Model, error) { return Model{m, fox, m.bare}, nil },
		Shapes: func(rows int) []int { return []int{rows} },
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}
