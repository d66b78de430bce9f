package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/stipple-ai/stipple/internal/infer"
	"github.com/stipple-ai/stipple/internal/infer/ort"
	"github.com/stipple-ai/stipple/internal/infer/tune"
	"github.com/stipple-ai/stipple/internal/worker"
)

// small is a pipeline that costs nothing to draw with.
var small = filepath.Join("..", "..", "testdata", "pipelines", "sd15")

// runBench runs `worker bench` with env, and nothing else of the surroundings but the library.
func runBench(ctx context.Context, env map[string]string, args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = run(ctx, func() {}, append([]string{"bench"}, args...), func(name string) string {
		if name == "ONNXRUNTIME_LIB" && env[name] == "" {
			return os.Getenv(name)
		}
		return env[name]
	}, &out, &err)
	return code, out.String(), err.String()
}

// TestBench measures a real model, with nothing to connect to.
func TestBench(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent()) // servers that other tests have stopped end a while later
	code, stdout, stderr := runBench(t.Context(), map[string]string{"MODELS": "small=" + small}, "--rows", "1,2", "--lanes", "1,2", "--steps", "2", "--rounds", "2", "--duration", "20ms", "--json")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	var r benchReport
	d := json.NewDecoder(strings.NewReader(stdout))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		t.Fatalf("%v in %s", err, stdout)
	}
	if r.Model != "small" || len(r.Digest) != 64 || r.Width != 128 || r.Height != 128 || r.Steps != 2 || r.Guidance != 7.5 || r.Provider != "cpu" || r.Runtime == "" || r.Rounds != 2 {
		t.Errorf("got %+v", r)
	}
	var tried [][3]int
	cores := runtime.GOMAXPROCS(0)
	for _, s := range r.Settings {
		tried = append(tried, [3]int{s.MaxRows, s.Lanes, s.Threads})
		if s.Error != "" {
			t.Errorf("%d rows, %d lanes: %s", s.MaxRows, s.Lanes, s.Error)
		}
		if s.StepMS <= 0 || s.ImagesPerSecond <= 0 || s.Bare <= 0 || s.Efficiency <= 0 || s.RowsMean < 1 || s.RowsMean > float64(s.MaxRows) || len(s.Rounds) != 2 || s.Memory < 10<<20 {
			t.Errorf("%d rows, %d lanes: got %+v", s.MaxRows, s.Lanes, s)
		}
		if diff := cmp.Diff([]int{s.MaxRows}, s.RowShapes); diff != "" {
			t.Error(diff)
		}
	}
	if diff := cmp.Diff([][3]int{{1, 1, cores}, {2, 1, cores}, {1, 2, max(1, cores/2)}, {2, 2, max(1, cores/2)}}, tried); diff != "" {
		t.Error(diff)
	}
	if r.Best == nil {
		t.Fatal("none is the best")
	}
	want := map[string]string{"LANES": strconv.Itoa(r.Best.Lanes), "MAX_ROWS": strconv.Itoa(r.Best.MaxRows), "ROW_SHAPES": strconv.Itoa(r.Best.MaxRows)}
	if diff := cmp.Diff(want, r.Set); diff != "" {
		t.Error(diff)
	}
	if n := strings.Count(stderr, "images/s"); n != 8 {
		t.Errorf("%d lines of progress, want one for each of 4 settings in 2 rounds:\n%s", n, stderr)
	}
	// What is said to be set is what a worker takes.
	cmd := command(func(s *settings) error {
		_, err := s.finish()
		return err
	}, func(name string) string {
		return map[string]string{"MODELS": small, "S3_BUCKET": "b", "LANES": r.Set["LANES"], "MAX_ROWS": r.Set["MAX_ROWS"], "ROW_SHAPES": r.Set["ROW_SHAPES"]}[name]
	})
	cmd.SetArgs(nil)
	if err := cmd.Execute(); err != nil {
		t.Error(err)
	}
}

// TestBenchUsesTheModelsOwn: what no flag says, the folder does; the table names the variables.
func TestBenchUsesTheModelsOwn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "own")
	if err := os.CopyFS(dir, os.DirFS(small)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "stipple.json"), []byte(`{"num_inference_steps": 3, "guidance_scale": 0}`), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := runBench(t.Context(), nil, "--model", dir, "--rows", "1", "--lanes", "1", "--rounds", "1", "--duration", "1ms")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	for _, want := range []string{"own: 128 × 128 pixels, 3 steps, the model's own sampler, guidance 0\n", "\n* LANES=1 MAX_ROWS=1 ROW_SHAPES=1\n"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q lacks %q", stdout, want)
		}
	}
}

func TestBenchBadInput(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		env  map[string]string
		want []string
	}{
		{"no model", nil, nil, []string{"MODELS", "--model"}},
		{"several models", nil, map[string]string{"MODELS": "a=/x,b=/y"}, []string{"2 models", "--model"}},
		{"missing folder", []string{"--model", "/nonexistent/m"}, nil, []string{"/nonexistent/m", "is not there"}},
		{"argument", []string{"fast"}, nil, []string{`"fast"`}},
		{"unknown flag", []string{"--row", "1"}, nil, []string{"--row", "worker bench -h"}},
		{"rows", []string{"--model", small, "--rows", "1;2"}, nil, []string{"--rows", "1;2"}},
		{"no rows", []string{"--model", small, "--rows", "0"}, nil, []string{"--rows", `"0"`}},
		{"lanes", []string{"--model", small, "--lanes", "two"}, nil, []string{"--lanes", "two"}},
		{"rounds", []string{"--model", small, "--rounds", "0"}, nil, []string{"--rounds", "at least 1"}},
		{"negative", []string{"--model", small, "--steps", "-1"}, nil, []string{"--steps", "-1"}},
		{"duration", []string{"--model", small, "--duration", "0s"}, nil, []string{"--duration", "positive"}},
		{"steps", []string{"--model", small, "--steps", "2000"}, nil, []string{"num_inference_steps", "1 to 1000"}},
		{"guidance", []string{"--model", small, "--guidance", "51"}, nil, []string{"guidance_scale", "51"}},
		{"size", []string{"--model", small, "--width", "100"}, nil, []string{"width is 100", "multiple of 16"}},
		{"scheduler", []string{"--model", small, "--scheduler", "magic"}, nil, []string{"magic", "euler_a"}},
		{"provider", []string{"--model", small}, map[string]string{"PROVIDER": "tpu"}, []string{"PROVIDER", "tpu"}},
		{"arena", []string{"--model", small}, map[string]string{"ARENA_LIMIT": "much"}, []string{"ARENA_LIMIT", "much"}},
		{"library", []string{"--model", small}, map[string]string{"ONNXRUNTIME_LIB": "/nonexistent.so"}, []string{"ONNXRUNTIME_LIB", "/nonexistent.so"}},
		{"level", []string{"--model", small, "--log-level", "loud"}, nil, []string{"LOG_LEVEL", "loud"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := runBench(t.Context(), c.env, c.args...)
			if code != exitConfig || stdout != "" {
				t.Errorf("exit code %d, want %d; printed %q", code, exitConfig, stdout)
			}
			for _, want := range c.want {
				if !strings.Contains(stderr, want) {
					t.Errorf("%q lacks %q", stderr, want)
				}
			}
		})
	}
}

// TestBenchInterrupted: a signal ends it, with the exit code of what broke off.
func TestBenchInterrupted(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent()) // servers that other tests have stopped end a while later
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	begin := time.Now()
	code, stdout, stderr := runBench(ctx, nil, "--model", small, "--duration", "1h")
	if took := time.Since(begin); code != exitBroken || stdout != "" || !strings.Contains(stderr, "worker: interrupted") || took > 30*time.Second {
		t.Errorf("exit code %d after %v, printed %q and %q", code, took, stdout, stderr)
	}
}

func TestBenchHelpIsTheManual(t *testing.T) {
	code, stdout, stderr := runBench(t.Context(), nil, "-h")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	for _, want := range []string{"LANES", "MAX_ROWS", "ROW_SHAPES", "[$MODELS]", "[$PROVIDER]", "[$DEVICE]", "[$ONNXRUNTIME_LIB]", "--width", "--height", "--steps", "--rows", "--duration", "--images", "--json", "EXIT CODES"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("-h does not name %s", want)
		}
	}
}

// results are of a GPU, on which the fastest setting is not to be used and the next are alike.
func results() []tune.Result {
	ms := func(n float64) time.Duration { return time.Duration(n * float64(time.Millisecond)) }
	result := func(rows int, shapes []int, speed, bare float64, call time.Duration, resident, device int64, err error) tune.Result {
		r := tune.Result{Setting: tune.Setting{Rows: rows, Lanes: 1, Threads: 16}, Shapes: shapes, Err: err}
		if err == nil {
			t := tune.Trial{ImagesPerSecond: speed, Bare: bare, Call: call, RowsMean: float64(rows)}
			r.Trials, r.Median, r.Efficiency, r.Memory = []tune.Trial{t, t, t}, t, t.Efficiency(), tune.Memory{Resident: resident, Device: device}
		}
		return r
	}
	return []tune.Result{
		result(1, []int{1}, 0.8134, 0.8251, ms(29.04), 2<<30, 8<<30, nil),
		result(8, []int{1, 2, 4, 8}, 2.917, 2.903, ms(67.5), 3<<30, 14<<30, nil),
		result(16, []int{1, 2, 4, 8, 16}, 2.95, 2.98, ms(133), 3<<30+5<<20, 22<<30, nil),
		result(32, []int{1, 2, 4, 8, 16, 32}, 0, 0, 0, 0, 0, errors.New("running unet/model.onnx: failed to allocate memory")),
	}
}

func TestBenchReport(t *testing.T) {
	b := &bench{model: worker.ModelPath{Name: "sdxl"}, runtime: ort.Options{Provider: "cuda"}, tune: tune.Config{Rounds: 3}}
	request := infer.Request{Width: 1024, Height: 1024, Steps: 30, Guidance: 5, Scheduler: "euler_a"}
	r := b.report(request, results())
	r.Digest, r.Runtime, r.Cores = strings.Repeat("0", 64), "1.28.0", 16
	none := b.report(request, results()[3:])
	none.Runtime = "1.28.0"
	cpu := (&bench{model: worker.ModelPath{Name: "tiny"}, runtime: ort.Options{Provider: "cpu"}, tune: tune.Config{Rounds: 1}}).report(infer.Request{Width: 256, Height: 128, Steps: 20, Guidance: 7.5}, []tune.Result{{
		Setting: tune.Setting{Rows: 2, Lanes: 2, Threads: 1}, Shapes: []int{2}, Trials: make([]tune.Trial, 1), Median: tune.Trial{ImagesPerSecond: 12.345, Bare: 12.5, Call: 1234 * time.Microsecond, RowsMean: 2}, Efficiency: 0.9876,
	}})
	cpu.Runtime, cpu.Cores = "1.28.0", 2
	for _, c := range []struct {
		name   string
		report *benchReport
		write  func(*benchReport, *bytes.Buffer) error
	}{
		{"bench-gpu.txt", r, func(r *benchReport, w *bytes.Buffer) error { return r.writeTable(w) }},
		{"bench-gpu.json", r, func(r *benchReport, w *bytes.Buffer) error { return r.writeJSON(w) }},
		{"bench-none.txt", none, func(r *benchReport, w *bytes.Buffer) error { return r.writeTable(w) }},
		{"bench-cpu.txt", cpu, func(r *benchReport, w *bytes.Buffer) error { return r.writeTable(w) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got bytes.Buffer
			if err := c.write(c.report, &got); err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(filepath.Join("testdata", c.name))
			if err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("%s\n%s", diff, &got)
			}
		})
	}
}

func TestMemory(t *testing.T) {
	dir := t.TempDir()
	script := "#!/bin/sh\necho 'GPU-1a, NVIDIA H200, 570.1, 37, [N/A], 143771, 41, 121.5, 0'\necho 'GPU-2b, NVIDIA H200, 570.1, 37, 4242, 143771, 41, 121.5, 0'\n"
	if err := os.WriteFile(filepath.Join(dir, "nvidia-smi"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	for _, c := range []struct {
		name    string
		gpu     bool
		device  int
		visible string
		want    int64
	}{
		{"no GPU", false, 1, "", 0},
		{"by number", true, 1, "", 4242 << 20},
		{"by place among the visible", true, 2, "3, 0,1", 4242 << 20},
		{"by its name", true, 0, "GPU-2b", 4242 << 20},
		{"one that does not say", true, 0, "", 0},
		{"one that is not there", true, 2, "", 0},
	} {
		m := memory(t.Context(), c.gpu, c.device, c.visible)
		if m.Device != c.want {
			t.Errorf("%s: %d bytes on the device, want %d", c.name, m.Device, c.want)
		}
		if runtime.GOOS == "linux" && (m.Resident < 1<<20 || m.Resident > math.MaxInt32*64) {
			t.Errorf("%s: %d bytes resident", c.name, m.Resident)
		}
	}
	for statm, want := range map[string]int64{"": 0, "5": 0, "9 x 1": 0, "900 12 3 4": 12 * int64(os.Getpagesize())} {
		if got := residentOf(statm); got != want {
			t.Errorf("%q: %d, want %d", statm, got, want)
		}
	}
}
