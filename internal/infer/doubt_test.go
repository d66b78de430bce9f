package infer

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// failingModel has parts that fail from some time on, as all calls of a process do whose GPU is lost.
type failingModel struct {
	*fakeModel

	encode, denoise, decode atomic.Bool
}

var errCUDA = errors.New("CUDA failure 719: unspecified launch failure")

func (m *failingModel) Encode(ctx context.Context, t Tokens) (*Embedding, error) {
	if m.encode.Load() {
		return nil, errCUDA
	}
	return m.fakeModel.Encode(ctx, t)
}

func (m *failingModel) Denoise(ctx context.Context, c *Call) error {
	if m.denoise.Load() {
		return errCUDA
	}
	return m.fakeModel.Denoise(ctx, c)
}

func (m *failingModel) Decode(ctx context.Context, latents []float32, s Size) ([]float32, error) {
	if m.decode.Load() {
		return nil, errCUDA
	}
	return m.fakeModel.Decode(ctx, latents, s)
}

// other is a request whose text was not encoded before.
func other(i int) Request {
	q := request(uint64(i))
	q.Prompt = fmt.Sprintf("another %d", i)
	return q
}

// TestLostDevice: where every call fails, jobs do not get as far as the UNet. The engine finds out all the same, before it has failed a queue of them.
func TestLostDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &failingModel{fakeModel: newFakeModel(t)}
		m.delay = time.Millisecond
		e, stop := start(t, m, 1, Config{}, func(e *Engine) {
			if err := e.Warm(context.Background()); err != nil {
				t.Fatal(err)
			}
		})
		draw(t, e, other(0))
		m.encode.Store(true)
		m.denoise.Store(true)
		m.decode.Store(true)
		for i := range 2 {
			_, err := e.Generate(context.Background(), other(i+1))
			wantError(t, err, "model_error", "CUDA failure 719")
			synctest.Wait()
		}
		if _, err := e.Generate(context.Background(), other(3)); !errors.Is(err, errCUDA) && !errors.Is(err, ErrStopped) {
			t.Errorf("got %v", err)
		}
		select {
		case <-e.stopped:
		default:
			t.Error("the device is not taken for broken")
		}
		if err := stop(); !errors.Is(err, ErrBroken) || !errors.Is(err, errCUDA) {
			t.Errorf("Run ends with %v, want %v", err, ErrBroken)
		}
	})
}

// TestOnePartIsNotTheDevice: a text encoder or a decoder that fails by itself, however often, ends nothing but its samples.
func TestOnePartIsNotTheDevice(t *testing.T) {
	for name, part := range map[string]func(*failingModel) *atomic.Bool{
		"text": func(m *failingModel) *atomic.Bool { return &m.encode }, "decoder": func(m *failingModel) *atomic.Bool { return &m.decode },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &failingModel{fakeModel: newFakeModel(t)}
				m.delay = time.Millisecond
				e, _ := start(t, m, 1, Config{}, func(e *Engine) {
					if err := e.Warm(context.Background()); err != nil {
						t.Fatal(err)
					}
				})
				part(m).Store(true)
				for i := range 6 {
					_, err := e.Generate(context.Background(), other(i))
					wantError(t, err, "model_error", "CUDA failure 719")
				}
				part(m).Store(false)
				draw(t, e, other(6))
			})
		})
	}
}
