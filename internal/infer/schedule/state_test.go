package schedule

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// TestStateResumes cuts every golden run after every call and goes on with a fresh sampler: the bits
// must be those of the uncut run.
func TestStateResumes(t *testing.T) {
	for _, file := range []string{"schedulers", "options"} {
		for _, g := range readGoldens(t, "testdata/"+file+".json") {
			t.Run(g.String(), func(t *testing.T) { g.resume(t) })
		}
	}
}

func (g golden) resume(t *testing.T) {
	type cut struct {
		state, noise []byte
		x            []float32
	}
	s := g.sampler(t)
	x, noise := g.start(s)
	var cuts []cut
	save := func(int) {
		n, err := noise.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		cuts = append(cuts, cut{s.AppendState([]byte("before"))[len("before"):], n, slices.Clone(x)})
	}
	save(-1)
	drive(s, x, 0, noise.Normal, save)
	for call, c := range cuts {
		s, noise := g.sampler(t), noise
		if err := s.RestoreState(c.state); err != nil {
			t.Fatalf("cut before call %d: %v", call, err)
		}
		if again := s.AppendState(nil); !bytes.Equal(again, c.state) {
			t.Fatalf("cut before call %d: the restored state is written differently", call)
		}
		if err := noise.UnmarshalBinary(c.noise); err != nil {
			t.Fatal(err)
		}
		drive(s, c.x, call, noise.Normal, func(int) {})
		if !slices.Equal(c.x, x) {
			t.Fatalf("cut before call %d: other bits at the end", call)
		}
	}
}

func TestRestoreStateRefuses(t *testing.T) {
	model := readModel(t, "sd15")
	sampler := func(name string, steps int) Sampler {
		s, err := New(name, model, steps)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := sampler("dpmpp_2m", 5)
	x := make([]float32, 16)
	drive(s, x, 0, nil, func(int) {})
	state := s.AppendState(nil)
	edit := func(i int, b byte) []byte {
		c := slices.Clone(state)
		c[i] = b
		return c
	}
	tests := []struct {
		name  string
		into  Sampler
		state []byte
		want  string
	}{
		{"nothing", sampler("dpmpp_2m", 5), nil, "too few"},
		{"half a header", sampler("dpmpp_2m", 5), state[:8], "too few"},
		{"another version", sampler("dpmpp_2m", 5), edit(0, 9), "version 9"},
		{"another sampler", sampler("dpmpp_3m", 5), state, "another sampler"},
		{"another spacing", sampler("dpmpp_2m_karras", 5), state, "another sampler"},
		{"another number of steps", sampler("dpmpp_2m", 6), state, "another sampler"},
		{"too many steps taken", sampler("dpmpp_2m", 5), edit(9, 6), "6 steps taken of 5"},
		{"no history", sampler("dpmpp_2m", 5), state[:13], "do not make 2 equal rows"},
		{"a value cut off", sampler("dpmpp_2m", 5), state[:len(state)-4], "do not make 2 equal rows"},
		{"history at the start", sampler("dpmpp_2m", 5), edit(9, 0), "where none belong"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := test.into.AppendState(nil)
			err := test.into.RestoreState(test.state)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want one with %q", err, test.want)
			}
			if !bytes.Equal(test.into.AppendState(nil), before) {
				t.Error("the sampler has changed")
			}
		})
	}
}

func FuzzRestoreState(f *testing.F) {
	c := parse(f, `{"_class_name": "PNDMScheduler", "skip_prk_steps": true}`)
	names := Names()
	for i, name := range names {
		s, err := New(name, c, 6)
		if err != nil {
			continue // flow_euler does not take this model
		}
		f.Add(uint8(i), s.AppendState(nil))
		x := make([]float32, 4)
		drive(s, x, 0, func(dst []float32) { clear(dst) }, func(call int) {
			if call == 2 {
				f.Add(uint8(i), s.AppendState(nil))
			}
		})
	}
	f.Fuzz(func(t *testing.T, which uint8, state []byte) {
		s, err := New(names[int(which)%len(names)], c, 6)
		if err != nil {
			return
		}
		fresh := s.AppendState(nil)
		if err := s.RestoreState(state); err != nil {
			if !bytes.Equal(s.AppendState(nil), fresh) {
				t.Fatalf("refused (%v), but changed", err)
			}
			return
		}
		if !bytes.Equal(s.AppendState(nil), state) {
			t.Fatal("written differently")
		}
	})
}
