package infer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
)

// State is all of a sample between two steps: another process goes on from it with exactly the same pixels, given the same request, model, provider and row shapes.
// Text embeddings are not in it: the prompt is encoded again.
type State struct {
	Request [32]byte  // SHA-256 of what decides the picture, the model aside: see Request.identity
	Step    int       // calls of the model done, from 1; with the last one done, only the decoding is left
	Size    Size      // of the latents
	Latents []float32 // [C,H,W]
	Sampler []byte    // schedule.State
	Noise   []byte    // rng.Generator, in binary
}

// ErrState says that a checkpoint is damaged or of another request: start over.
var ErrState = errors.New("the checkpoint is of no use, start over")

// The binary form, little-endian:
//
//	0      magic
//	8      version, uint32
//	12     request
//	44     step, width, height, values of latents, bytes of sampler and of noise, each uint32
//	68     latents, IEEE 754 single; sampler; noise
//	-4     CRC-32C of all before
const (
	stateMagic   = "STPLCKPT"
	stateVersion = 1
	stateHeader  = len(stateMagic) + 4 + 32 + 6*4
	stateTrailer = 4
)

// MarshalBinary returns the checkpoint as [State.UnmarshalBinary] reads it. It refuses what that refuses.
func (s State) MarshalBinary() ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("writing a checkpoint: %w", err)
	}
	b := make([]byte, 0, stateHeader+4*len(s.Latents)+len(s.Sampler)+len(s.Noise)+stateTrailer)
	b = append(b, stateMagic...)
	b = binary.LittleEndian.AppendUint32(b, stateVersion)
	b = append(b, s.Request[:]...)
	for _, n := range []int{s.Step, s.Size.Width, s.Size.Height, len(s.Latents), len(s.Sampler), len(s.Noise)} {
		b = binary.LittleEndian.AppendUint32(b, uint32(n))
	}
	for _, v := range s.Latents {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	b = append(b, s.Sampler...)
	b = append(b, s.Noise...)
	return sealed(b), nil
}

// sealed is b with its checksum.
func sealed(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}

// UnmarshalBinary reads what MarshalBinary wrote. An error is an [ErrState] that says what is wrong, and leaves s as it was. Whether the checkpoint is the one
// of a request is only seen when that is resumed.
func (s *State) UnmarshalBinary(b []byte) error {
	read, err := parseState(b)
	if err != nil {
		return fmt.Errorf("reading a checkpoint: %w: %w", err, ErrState)
	}
	*s = read
	return nil
}

func parseState(b []byte) (State, error) {
	var s State
	if len(b) < len(stateMagic)+4 || string(b[:len(stateMagic)]) != stateMagic {
		return s, errors.New("it does not begin as one")
	}
	if v := binary.LittleEndian.Uint32(b[len(stateMagic):]); v != stateVersion {
		return s, fmt.Errorf("it is of version %d, this program reads %d", v, stateVersion)
	}
	if len(b) < stateHeader+stateTrailer {
		return s, fmt.Errorf("%d bytes are too few", len(b))
	}
	body := b[:len(b)-stateTrailer]
	if got, want := crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)), binary.LittleEndian.Uint32(b[len(body):]); got != want {
		return s, fmt.Errorf("its checksum is %08x and should be %08x: it is damaged", got, want)
	}
	rest := body[len(stateMagic)+4:]
	rest = rest[copy(s.Request[:], rest):]
	var sizes [6]int
	for i := range sizes {
		sizes[i] = int(binary.LittleEndian.Uint32(rest))
		rest = rest[4:]
	}
	latents, sampler, noise := sizes[3], sizes[4], sizes[5]
	if want := 4*latents + sampler + noise; len(rest) != want {
		return s, fmt.Errorf("%d bytes follow its header, which speaks of %d", len(rest), want)
	}
	s.Step, s.Size = sizes[0], Size{Width: sizes[1], Height: sizes[2]}
	s.Latents = make([]float32, latents)
	for i := range s.Latents {
		s.Latents[i] = math.Float32frombits(binary.LittleEndian.Uint32(rest))
		rest = rest[4:]
	}
	s.Sampler, s.Noise = slices.Clone(rest[:sampler]), slices.Clone(rest[sampler:])
	return s, s.check()
}

// check holds a state against itself.
func (s State) check() error {
	area := s.Size.Width * s.Size.Height
	switch {
	case s.Step < 1 || s.Step > math.MaxUint32:
		return fmt.Errorf("step %d is none after which there is something to keep", s.Step)
	case s.Size.Width < 1 || s.Size.Height < 1 || area/s.Size.Width != s.Size.Height || len(s.Latents) == 0 || len(s.Latents)%area != 0:
		return fmt.Errorf("%d latents do not make planes of %d × %d", len(s.Latents), s.Size.Width, s.Size.Height)
	case max(s.Size.Width, s.Size.Height, len(s.Latents), len(s.Sampler), len(s.Noise)) > math.MaxUint32:
		return errors.New("it is too large")
	case !finite(s.Latents):
		return errors.New("its latents have NaN or infinite values")
	}
	return nil
}
