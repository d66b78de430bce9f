package infer

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestWarm(t *testing.T) {
	lanes := NewLanes(1)
	defer lanes.Close()
	m := newFakeModel(t)
	e, err := New(m, lanes, Config{MaxRows: 3, RowShapes: []int{1, 2, 4}})
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
	if !slices.Equal(pads, []int{1, 2, 4}) {
		t.Errorf("warmed with calls padded to %v, want every shape once", pads)
	}
	m.fault = func(*Call) error { return errors.New("no kernel") }
	if err := e.Warm(context.Background()); err == nil || !strings.Contains(err.Error(), "UNet with 1 rows: no kernel") {
		t.Errorf("got %v", err)
	}
	m.fault = func(*Call) error { panic("boom") }
	if err := e.Warm(context.Background()); err == nil || !strings.Contains(err.Error(), "boom") {
		t.Errorf("got %v", err)
	}
}
