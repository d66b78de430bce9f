package infer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stipple-ai/stipple/internal/infer/rng"
)

// someState is the state of request(1) after its second step.
func someState(t testing.TB) State {
	t.Helper()
	s, err := newSample(request(1), newFakeModel(t).info)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for i := range s.rows {
			copy(s.rows[i].out, s.in)
		}
		if err := s.advance(); err != nil {
			t.Fatal(err)
		}
	}
	return s.state()
}

func marshal(t testing.TB, s State) []byte {
	t.Helper()
	b, err := s.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestStateRoundTrip(t *testing.T) {
	want := someState(t)
	want.Latents[3] = float32(math.Copysign(0, -1))
	b := marshal(t, want)
	var got State
	if err := got.UnmarshalBinary(b); err != nil {
		t.Fatal(err)
	}
	clear(b) // the state keeps nothing of it
	if diff := cmp.Diff(want, got); diff != "" || !math.Signbit(float64(got.Latents[3])) {
		t.Errorf("another state (-want +got):\n%s", diff)
	}
}

func TestMarshalRefuses(t *testing.T) {
	for _, c := range []struct {
		change func(*State)
		want   string
	}{
		{func(s *State) { s.Step = 0 }, "step 0"},
		{func(s *State) { s.Size.Width = 7 }, "256 latents do not make planes of 7 × 8"},
		{func(s *State) { s.Size = Size{} }, "planes of 0 × 0"},
		{func(s *State) { s.Latents = nil }, "0 latents"},
		{func(s *State) { s.Latents[9] = float32(math.Inf(1)) }, "infinite"},
	} {
		s := someState(t)
		c.change(&s)
		if _, err := s.MarshalBinary(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}

func TestUnmarshalRefuses(t *testing.T) {
	good := marshal(t, someState(t))
	body := good[:len(good)-stateTrailer]
	set := func(at int, v uint32) []byte { // with the checksum mended
		b := bytes.Clone(body)
		binary.LittleEndian.PutUint32(b[at:], v)
		return sealed(b)
	}
	flipped := bytes.Clone(good)
	flipped[200] ^= 1
	for _, c := range []struct {
		name string
		b    []byte
		want string
	}{
		{"nothing", nil, "does not begin as one"},
		{"a picture", []byte("\x89PNG\r\n\x1a\n and so on"), "does not begin as one"},
		{"the magic alone", good[:12], "12 bytes are too few"},
		{"a newer version", set(8, 2), "it is of version 2, this program reads 1"},
		{"cut", good[:len(good)-9], "its checksum is"},
		{"a flipped bit", flipped, "its checksum is"},
		{"bytes behind", sealed(append(bytes.Clone(body), 0)), "bytes follow its header"},
		{"more latents", set(56, math.MaxUint32), "bytes follow its header"},
		{"a large sampler", set(60, math.MaxUint32), "bytes follow its header"},
		{"no step", set(44, 0), "step 0"},
		{"wide", set(48, math.MaxUint32), "do not make planes"},
		{"no width", set(48, 0), "do not make planes"},
		{"NaN", set(stateHeader+8, math.Float32bits(float32(math.NaN()))), "NaN"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := State{Step: 7}
			if err := s.UnmarshalBinary(c.b); !errors.Is(err, ErrState) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want ErrState with %q", err, c.want)
			}
			if s.Step != 7 || s.Latents != nil {
				t.Error("the state has changed")
			}
		})
	}
}

// FuzzState: whatever comes back from storage is read or refused, and what is read is written the same again, and resumed or refused. The checksum is put right, so
// that what lies behind it is tried.
func FuzzState(f *testing.F) {
	good := marshal(f, someState(f))
	f.Add(good[:len(good)-stateTrailer])
	f.Add(good[:stateHeader])
	short := someState(f) // a generator's state is long, and says little
	short.Noise = nil
	b := marshal(f, short)
	f.Add(b[:len(b)-stateTrailer])
	f.Add([]byte(stateMagic))
	f.Add([]byte{})
	info := newFakeModel(f).info
	f.Fuzz(func(t *testing.T, body []byte) {
		b := sealed(bytes.Clone(body))
		var s State
		if err := s.UnmarshalBinary(b); err != nil {
			if !errors.Is(err, ErrState) {
				t.Fatalf("%v is no ErrState", err)
			}
			return
		}
		if again := marshal(t, s); !bytes.Equal(again, b) {
			t.Fatal("written differently")
		}
		q := request(1)
		q.Resume = &s
		if _, err := newSample(q, info); err != nil && !errors.Is(err, ErrState) {
			t.Fatalf("%v is no ErrState", err)
		}
	})
}

// TestResumeRefuses: a checkpoint that does not fit is refused before anything is encoded, and told apart from what is wrong with the job.
func TestResumeRefuses(t *testing.T) {
	m := newFakeModel(t)
	e, _ := start(t, m, 1, Config{})
	for _, c := range []struct {
		name   string
		change func(q *Request, s *State)
		want   string
	}{
		{"another width", func(q *Request, _ *State) { q.Width = 96 }, "256 latents of 8 × 8, the request has 384 of 12 × 8"},
		{"turned", func(q *Request, s *State) { q.Width, s.Size = 96, Size{8, 12}; s.Latents = make([]float32, 384) }, "384 latents of 8 × 12, the request has 384 of 12 × 8"},
		{"more steps", func(q *Request, _ *State) { q.Steps++ }, "another sampler, schedule or number of steps"},
		{"another sampler", func(q *Request, _ *State) { q.Scheduler = "dpmpp_2m" }, "another sampler, schedule or number of steps"},
		{"a sampler cut off", func(_ *Request, s *State) { s.Sampler = s.Sampler[:5] }, "restoring sampler state"},
		{"another prompt", func(q *Request, _ *State) { q.Prompt = "x" }, "another prompt"},
		{"another negative prompt", func(q *Request, _ *State) { q.NegativePrompt = "x" }, "another prompt"},
		{"another guidance", func(q *Request, _ *State) { q.Guidance = 5.5 }, "another prompt, guidance_scale"},
		{"another seed", func(q *Request, _ *State) { q.Seed = 2 }, "another prompt, guidance_scale, seed"},
		{"a step more than taken", func(_ *Request, s *State) { s.Step++ }, "its sampler's memory does not fit"},
		{"a step beyond", func(_ *Request, s *State) { s.Step = 5 }, "the sampler has only 4"},
		{"no step", func(_ *Request, s *State) { s.Step = 0 }, "step 0"},
		{"no generator", func(_ *Request, s *State) { s.Noise = nil }, "restoring random generator"},
		{"NaN", func(_ *Request, s *State) { s.Latents[0] = float32(math.NaN()) }, "NaN"},
	} {
		t.Run(c.name, func(t *testing.T) {
			q, s := request(1), someState(t)
			c.change(&q, &s)
			q.Resume = &s
			_, err := e.Generate(t.Context(), q)
			if !errors.Is(err, ErrState) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want ErrState with %q", err, c.want)
			}
		})
	}
	t.Run("a history of another size", func(t *testing.T) {
		q := request(1)
		q.Scheduler = "lms"
		s, err := newSample(q, m.info)
		if err != nil {
			t.Fatal(err)
		}
		s.sampler.Step(make([]float32, 8), make([]float32, 8), 0, rng.New(1).Normal)
		s.step = 1
		state := s.state()
		q.Resume = &state
		if _, err := e.Generate(t.Context(), q); !errors.Is(err, ErrState) || !strings.Contains(err.Error(), "memory does not fit") {
			t.Errorf("got %v, want ErrState", err)
		}
	})
	if len(m.encodes) != 0 || len(m.calls) != 0 {
		t.Errorf("%d texts were encoded, %d calls made", len(m.encodes), len(m.calls))
	}
	q := request(1)
	q.Width, q.Resume = 60, &State{}
	if _, err := e.Generate(t.Context(), q); errors.Is(err, ErrState) {
		t.Errorf("got %v, want what is wrong with the job", err)
	}
}
