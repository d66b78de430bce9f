package worker

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stipple-ai/stipple/internal/infer/ort"
	"github.com/stipple-ai/stipple/internal/queue"
)

func TestParseModels(t *testing.T) {
	for _, c := range []struct {
		in   string
		want []ModelPath
		err  string
	}{
		{"models/tiny-emoji", []ModelPath{{"tiny-emoji", "models/tiny-emoji"}}, ""},
		{" models/tiny-emoji/ , sd=/data/sd15,", []ModelPath{{"tiny-emoji", "models/tiny-emoji/"}, {"sd", "/data/sd15"}}, ""},
		{"hf://acme/toy@v1, sd=https://host/a.tar.gz?sig=x=,s3://b/sdxl/", []ModelPath{{"toy", "hf://acme/toy@v1"}, {"sd", "https://host/a.tar.gz?sig=x="}, {"sdxl", "s3://b/sdxl/"}}, ""},
		{"https://host/b.zip?sig=x=", []ModelPath{{"b", "https://host/b.zip?sig=x="}}, ""},
		{"hf://toy,x=ftp://host/y", nil, "hf://org/repo"},
		{"https://host/", nil, "not a model name"},
		{"", nil, "none given"},
		{" , ", nil, "none given"},
		{"/", nil, "not a model name"},
		{"-x=/data", nil, `"-x" is not a model name`},
		{"x=", nil, "x has no path"},
		{"a.b=/1,a_b=/2", nil, "a.b and a_b are one name"},
		{"a=/1,a=/2", nil, "a and a are one name"},
		{"bad name=/1,also bad=/2", nil, "also bad"},
	} {
		got, err := ParseModels(c.in)
		if c.err == "" {
			if err != nil {
				t.Errorf("%q: %v", c.in, err)
			} else if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%q: %s", c.in, diff)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.err) {
			t.Errorf("%q: got %v, want an error with %q", c.in, err, c.err)
		}
	}
}

func TestNormalize(t *testing.T) {
	cores := runtime.GOMAXPROCS(0)
	base := Config{Models: []ModelPath{{"m", "/m"}}}
	for _, c := range []struct {
		name              string
		change            func(*Config)
		rows, lanes, slot int
		shapes            []int
		threads           int
	}{
		{"cpu", func(*Config) {}, 2, cores, 2*cores + 2, []int{2}, 1},
		{"cpu, one lane", func(c *Config) { c.Lanes = 1 }, 2, 1, 4, []int{2}, cores},
		{"cpu, one row", func(c *Config) { c.MaxRows = 1 }, 1, cores, cores + 2, []int{1}, 1},
		{"cpu, rows", func(c *Config) { c.MaxRows, c.Lanes = 4, 1 }, 4, 1, 6, []int{4}, cores},
		{"gpu", func(c *Config) { c.Runtime.Provider = "cuda" }, 16, 1, 18, []int{1, 2, 4, 8, 16}, cores},
		{"gpu, six rows", func(c *Config) { c.Runtime.Provider, c.MaxRows = "tensorrt", 6 }, 6, 1, 8, []int{1, 2, 4, 6}, cores},
		{"gpu, always eight", func(c *Config) { c.Runtime.Provider, c.RowShapes = "cuda", []int{8} }, 8, 1, 10, []int{8}, cores},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := base
			c.change(&in)
			got, err := in.Normalize()
			if err != nil {
				t.Fatal(err)
			}
			if got.MaxRows != c.rows || got.Lanes != c.lanes || got.Slots != c.slot || got.Runtime.Threads != c.threads {
				t.Errorf("got rows %d, lanes %d, slots %d, threads %d; want %d, %d, %d, %d", got.MaxRows, got.Lanes, got.Slots, got.Runtime.Threads, c.rows, c.lanes, c.slot, c.threads)
			}
			if diff := cmp.Diff(c.shapes, got.RowShapes); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNormalizeNamesEveryProblem(t *testing.T) {
	_, err := Config{MaxRows: -1, Lanes: -1, Slots: -1, AckWait: time.Millisecond, DrainTimeout: -1, Runtime: ort.Options{Provider: "tpu"}}.Normalize()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"MAX_ROWS", "LANES", "SLOTS", "ACK_WAIT", "DRAIN_TIMEOUT", "PROVIDER", "MODELS"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not name %s", err, want)
		}
	}
}

func TestDefaultName(t *testing.T) {
	a, b := defaultName(), defaultName()
	if a == b || strings.ContainsAny(a, ". *>\t") || len(a) > 64 {
		t.Errorf("names %q and %q: must differ and be one token of a subject", a, b)
	}
}

func TestSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(3)
		if n, err := s.take(t.Context()); n != 3 || err != nil {
			t.Fatalf("took %d, %v; want all three", n, err)
		}
		go func() {
			time.Sleep(time.Second)
			s.give(2)
		}() // ends after a second
		begin := time.Now()
		n, err := s.take(t.Context())
		if err != nil || n < 1 || n > 2 || time.Since(begin) != time.Second {
			t.Errorf("took %d, %v after %v; want what was given after a second", n, err, time.Since(begin))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		synctest.Wait()
		if rest := 2 - n; rest > 0 {
			if _, err := s.take(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if _, err := s.take(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want canceled", err)
		}
	})
}

func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		if err := g.wait(t.Context()); err != nil || g.reason() != nil {
			t.Fatalf("a new gate is shut: %v, %v", err, g.reason())
		}
		away := errors.New("away")
		g.close("a", away)
		g.close("b", away)
		g.close("a", away)
		opened := make(chan struct{})
		go func() {
			defer close(opened)
			if err := g.wait(t.Context()); err != nil {
				t.Error(err)
			}
		}() // ends when the gate opens
		for _, who := range []string{"a", "b"} {
			synctest.Wait()
			select {
			case <-opened:
				t.Fatal("it opened while somebody had it shut")
			default:
			}
			if !errors.Is(g.reason(), away) {
				t.Errorf("reason %v, want %v", g.reason(), away)
			}
			g.open(who)
		}
		<-opened
		g.close("a", away)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := g.wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the context's end", err)
		}
		g.open("a")
	})
}

// TestPhases: whatever is entered and moved, the parts are the whole time.
func TestPhases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		s := startPhases(begin)
		time.Sleep(5 * time.Second)
		s.move(denoising, 3*time.Second)
		s.move(decoding, time.Second)
		s.enter(uploading)
		time.Sleep(2 * time.Second)
		s.enter(waiting)
		time.Sleep(time.Second)
		s.enter(waiting)
		want := [phaseCount]time.Duration{waiting: 2 * time.Second, denoising: 3 * time.Second, decoding: time.Second, uploading: 2 * time.Second}
		if diff := cmp.Diff(want, s.spent); diff != "" {
			t.Error(diff)
		}
		var sum time.Duration
		for _, d := range s.spent {
			sum += d
		}
		if sum != time.Since(begin) {
			t.Errorf("the parts sum to %v of %v", sum, time.Since(begin))
		}
	})
}

// The messages of whoever publishes without a Nats-Msg-Id have a name on their spans all the same.
func TestMessageID(t *testing.T) {
	for _, tt := range []struct {
		header map[string][]string
		want   string
	}{
		{map[string][]string{"Nats-Msg-Id": {"b/1#2"}}, "b/1#2"},
		{nil, "JOBS:7"},
	} {
		d := &queue.Delivery{Header: tt.header, StreamSeq: 7}
		if got := messageID(d, "JOBS"); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.header, got, tt.want)
		}
	}
}
