package ort

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"go.uber.org/goleak"

	"github.com/stipple-ai/stipple/internal/infer"
)

// root is the repository's.
var root = filepath.Join("..", "..", "..")

// shared is ONNX Runtime for all tests of the package: there is one environment a process.
var shared *Runtime

// arenaLimit is the variable that caps the arena of a child process.
const arenaLimit = "STIPPLE_TEST_ARENA_LIMIT"

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	library := os.Getenv("ONNXRUNTIME_LIB")
	if library == "" {
		fmt.Fprintln(os.Stderr, "these tests need ONNX Runtime: run `make test`, or set ONNXRUNTIME_LIB to what `make ort` prints")
		return 1
	}
	var err error
	limit, _ := strconv.ParseInt(os.Getenv(arenaLimit), 10, 64) // set by TestOutOfMemory for its child
	shared, err = Open(Options{Library: library, Threads: 1, ArenaLimit: limit, Logger: quiet()})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := shared.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func load(t testing.TB, dir string) *Pipeline {
	t.Helper()
	p, err := shared.Load(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// start runs an engine over m until the test ends.
func start(t testing.TB, m infer.Model, lanes int, cfg infer.Config) *infer.Engine {
	t.Helper()
	l := infer.NewLanes(lanes)
	cfg.Logger = quiet()
	e, err := infer.New(m, l, cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }() // ends at the cleanup
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		l.Close()
	})
	return e
}
