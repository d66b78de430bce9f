package infer

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"
)

func TestWarm(t *testing.T) {
	lanes := NewLanes(1)
	defer lanes.Close()
	m := newFakeModel(t)
	e, err := New(m, lanes, Config{MaxRows: 3, RowShapes: []int{1, 2, 4}, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Warm(context.Background()); err != nil {
		t.Fatal(err)
	}
	var pads []int
	for _, c := range m.calls {
		pads = append(pads, c.pad)
	}
	if !slices.Equal(pads, []int{2, 2, 2, 1, 2, 4}) {
		t.Errorf("warmed with calls padded to %v, want a pair and each timestep alone, then every shape once", pads)
	}
	m.fault = func(*Call) error { return errors.New("no kernel") }
	if err := e.Warm(context.Background()); err == nil || !strings.Contains(err.Error(), "UNet with 1 rows: no kernel") {
		t.Errorf("got %v", err)
	}
	m.fault, m.corrupt = nil, func(c *Call) { c.Rows[len(c.Rows)-1].Out[3] = float32(math.NaN()) }
	if err := e.Warm(context.Background()); err == nil || !strings.Contains(err.Error(), "UNet with 1 rows: it makes NaN") {
		t.Errorf("got %v", err)
	}
	m.fault = func(*Call) error { panic("boom") }
	if err := e.Warm(context.Background()); err == nil || !strings.Contains(err.Error(), "boom") {
		t.Errorf("got %v", err)
	}
}

// TestWarmKeepsTimestepsApart: a UNet that was exported with one timestep for all rows is found, and samples ride alone, or rows where even equal timesteps fail.
func TestWarmKeepsTimestepsApart(t *testing.T) {
	for _, c := range []struct {
		name    string
		fault   func(*Call) error
		first   bool // the first timestep stands for all
		samples bool // rows of several samples share calls
		rows    int
	}{
		{"each row has its own", nil, false, true, 4},
		{"the first counts", nil, true, false, 4},
		{"two timesteps fail", func(c *Call) error {
			if slices.ContainsFunc(c.Rows, func(r Row) bool { return r.Timestep != c.Rows[0].Timestep }) {
				return errors.New("cannot be reshaped")
			}
			return nil
		}, false, false, 4},
		{"two rows fail", func(c *Call) error {
			if c.Pad > 1 {
				return errors.New("cannot be reshaped")
			}
			return nil
		}, false, true, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newFakeModel(t)
			m.fault, m.firstTimestep = c.fault, c.first
			var log bytes.Buffer
			lanes := NewLanes(1)
			defer lanes.Close()
			e, err := New(m, lanes, Config{MaxRows: 4, RowShapes: []int{4}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			if err != nil {
				t.Fatal(err)
			}
			if err := e.Warm(context.Background()); err != nil {
				t.Fatal(err)
			}
			if e.Info().OneSample == c.samples || e.cfg.MaxRows != c.rows {
				t.Errorf("one sample a call: %v, at most %d rows; want %v and %d", e.Info().OneSample, e.cfg.MaxRows, !c.samples, c.rows)
			}
			if warned := strings.Contains(log.String(), "level=WARN"); warned == (c.samples && c.rows > 1) {
				t.Errorf("the log is %q", log.String())
			}
		})
	}
}

// TestWarmStops: a context that ends meanwhile is no reason to fall back.
func TestWarmStops(t *testing.T) {
	m := newFakeModel(t)
	ctx, cancel := context.WithCancel(context.Background())
	m.fault = func(*Call) error { cancel(); return context.Canceled }
	lanes := NewLanes(1)
	defer lanes.Close()
	e, err := New(m, lanes, Config{MaxRows: 4})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Warm(ctx); !errors.Is(err, context.Canceled) || e.cfg.MaxRows != 4 || e.Info().OneSample {
		t.Errorf("got %v, at most %d rows, one sample a call: %v", err, e.cfg.MaxRows, e.Info().OneSample)
	}
}
