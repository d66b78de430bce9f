package rng

import (
	"bytes"
	"encoding"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	_ encoding.BinaryMarshaler   = (*Generator)(nil)
	_ encoding.BinaryUnmarshaler = (*Generator)(nil)
)

func marshal(tb testing.TB, g *Generator) []byte {
	tb.Helper()
	b, err := g.MarshalBinary()
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestStateRoundTrip(t *testing.T) {
	for _, tc := range []struct {
		name  string
		draws []int
	}{
		{"fresh", nil},
		{"cached normal", []int{1}},
		{"no cached normal", []int{2}},
		{"between advances", []int{100, 3}},
		{"at an advance", []int{mtSize - mtSize%16}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := New(99)
			for _, n := range tc.draws {
				draw(g, n)
			}
			state := marshal(t, g)
			var restored Generator
			if err := restored.UnmarshalBinary(state); err != nil {
				t.Fatal(err)
			}
			for _, n := range []int{1, 16, 700, 2, 5000} {
				if diff := cmp.Diff(draw(g, n), draw(&restored, n)); diff != "" {
					t.Fatalf("draw of %d after restoring (-original +restored):\n%s", n, diff)
				}
			}
		})
	}
}

func TestUnmarshalRefuses(t *testing.T) {
	odd := New(5)
	draw(odd, 1)
	with := func(change func(b []byte) []byte) []byte { return change(marshal(t, odd)) }
	for name, state := range map[string][]byte{
		"nothing":               nil,
		"another version":       with(func(b []byte) []byte { b[0] = 2; return b }),
		"short":                 with(func(b []byte) []byte { return b[:len(b)-1] }),
		"long":                  with(func(b []byte) []byte { return append(b, 0) }),
		"unknown flag":          with(func(b []byte) []byte { b[1] = 2; return b }),
		"normal without flag":   with(func(b []byte) []byte { b[1] = 0; return b }),
		"normal not a number":   with(func(b []byte) []byte { copy(b[2:], "\xff\xff\xff\xff\xff\xff\xff\xff"); return b }),
		"position out of range": with(func(b []byte) []byte { b[10], b[11] = 0x71, 0x02; return b }),
		"engine all zero":       with(func(b []byte) []byte { clear(b[12:]); return b }),
	} {
		t.Run(name, func(t *testing.T) {
			g := New(1)
			if err := g.UnmarshalBinary(state); err == nil {
				t.Fatal("no error")
			}
			if diff := cmp.Diff(draw(New(1), 16), draw(g, 16)); diff != "" {
				t.Errorf("a refused state changed the generator:\n%s", diff)
			}
		})
	}
}

func FuzzUnmarshalBinary(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(marshal(f, New(0)))
	odd := New(1)
	draw(odd, 17)
	draw(odd, 3)
	f.Add(marshal(f, odd))
	f.Fuzz(func(t *testing.T, state []byte) {
		var g Generator
		if err := g.UnmarshalBinary(state); err != nil {
			return
		}
		if written := marshal(t, &g); !bytes.Equal(state, written) {
			t.Fatalf("accepted state %x is written as %x", state, written)
		}
		for _, v := range append(draw(&g, 3), draw(&g, 1300)...) {
			if !(v > -10 && v < 10) {
				t.Fatalf("drew %v", v)
			}
		}
	})
}
