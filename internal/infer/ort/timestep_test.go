package ort

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stipple-ai/stipple/internal/infer"
)

// withUNet copies sd15 with a UNet of testdata/graphs.py, which answers sample · timestep + mean(encoder_hidden_states).
func withUNet(t *testing.T, graph string) string {
	t.Helper()
	dir := copyPipeline(t, "sd15")
	data, err := os.ReadFile(filepath.Join("testdata", "graphs", graph+".onnx"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "unet/model.onnx"), string(data))
	return dir
}

// TestTimestepTypes: each row's timestep reaches the graph, in the type and shape that it wants.
func TestTimestepTypes(t *testing.T) {
	for _, c := range []struct {
		graph  string
		want   [2]float32 // of 500.75 and 3.25
		single bool
	}{
		{"float32", [2]float32{500.75, 3.25}, false},
		{"float16", [2]float32{500.75, 3.25}, false},
		{"int64", [2]float32{500, 3}, false},
		{"int32", [2]float32{500, 3}, false},
		{"scalar_float32", [2]float32{500.75, 500.75}, true},
		{"scalar_int64", [2]float32{500, 500}, true},
		{"single_int64", [2]float32{500, 500}, true},
		{"half", [2]float32{500.75, 3.25}, false},
	} {
		t.Run(c.graph, func(t *testing.T) {
			p := load(t, withUNet(t, c.graph))
			if p.Info().OneSample != c.single {
				t.Errorf("one sample a call: %v", p.Info().OneSample)
			}
			pair := call(p, 2, 1)
			for i, timestep := range []float32{500.75, 3.25} {
				r := &pair.Rows[i]
				r.Timestep = timestep
				for j := range r.Latent { // 1, 2, 3: exact in float16, so that the timestep shows
					r.Latent[j] = float32(1 + j%3)
				}
				clear(r.Text.Hidden)
			}
			if err := p.Denoise(context.Background(), pair); err != nil {
				t.Fatal(err)
			}
			for i, r := range pair.Rows {
				for j, got := range r.Out {
					if want := r.Latent[j] * c.want[i]; max(got-want, want-got) > want/1000 || (c.graph != "half" && got != want) {
						t.Fatalf("row %d: %v · timestep gave %v, want %v", i, r.Latent[j], got, want)
					}
				}
			}
		})
	}
}

// TestTracedWithOneTimestep: Warm finds such UNets, and pictures are then what they are alone.
func TestTracedWithOneTimestep(t *testing.T) {
	for _, graph := range []string{"int64", "first_timestep", "one_timestep", "one_row"} {
		t.Run(graph, func(t *testing.T) {
			p := load(t, withUNet(t, graph))
			var log bytes.Buffer
			lanes := infer.NewLanes(1)
			e, err := infer.New(p, lanes, infer.Config{MaxRows: 4, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			if err != nil {
				t.Fatal(err)
			}
			if err := e.Warm(context.Background()); err != nil {
				t.Fatal(err)
			}
			if warned := strings.Contains(log.String(), "level=WARN"); warned != (graph != "int64") {
				t.Errorf("the log of the warm-up is %q", log.String())
			}
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error, 1)
			go func() { done <- e.Run(ctx) }() // ends with ctx
			defer func() {
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
				lanes.Close()
			}()
			alone := start(t, p, 1, infer.Config{})
			var wg sync.WaitGroup
			for i := range 4 {
				wg.Go(func() {
					r := infer.Request{Prompt: "a fox", Steps: 3 + i, Guidance: 5, Seed: uint64(i), Width: 64, Height: 64, Scheduler: "euler"}
					got, err := e.Generate(context.Background(), r)
					if err != nil {
						t.Error(err)
						return
					}
					want, err := alone.Generate(context.Background(), r)
					if err != nil {
						t.Error(err)
					} else if !slices.Equal(got.Image.Pix, want.Image.Pix) {
						t.Errorf("picture %d is another than alone", i)
					}
				})
			}
			wg.Wait()
			if calls := strings.Count(log.String(), "a UNet call failed"); calls > 0 {
				t.Errorf("%d calls failed after the warm-up: %s", calls, log.String())
			}
		})
	}
}

// TestRuntimeRefuses: what only ONNX Runtime can judge is said with what to do about it.
func TestRuntimeRefuses(t *testing.T) {
	for graph, want := range map[string][]string{
		"opset_99":      {"opset 99", "export it again at opset 17"},
		"gpu_operation": {"NhwcConv", "optimizing for a GPU"},
	} {
		dir := withUNet(t, graph)
		refused(t, dir, append(want, filepath.Join(dir, "unet/model.onnx"), "ONNX Runtime "+shared.Version()+" refuses")...)
	}
}

// TestNaNFromTheUNet: it is said to be the UNet, and the picture is not decoded.
func TestNaNFromTheUNet(t *testing.T) {
	e := start(t, load(t, withUNet(t, "nan")), 1, infer.Config{})
	_, err := e.Generate(context.Background(), infer.Request{Prompt: "a fox", Steps: 3, Guidance: 5, Seed: 1, Width: 64, Height: 64})
	var typed *infer.Error
	if !errors.As(err, &typed) || typed.Type != "bad_image" || !strings.Contains(err.Error(), "the UNet gives NaN") {
		t.Errorf("got %v, want bad_image of the UNet", err)
	}
}
