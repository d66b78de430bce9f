package rng

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// The binary state, little-endian:
//
//	0      version, 1
//	1      1 if a cached normal follows, else 0
//	2:10   cached normal, IEEE 754 double; 0 if there is none
//	10:12  next word of the engine, 0..624
//	12:    the 624 words
const (
	stateVersion = 1
	stateSize    = 12 + 4*mtSize
)

// MarshalBinary returns the whole state, [encoding.BinaryMarshaler]: a generator restored from it
// goes on with the same values. It never fails.
func (g *Generator) MarshalBinary() ([]byte, error) {
	b := make([]byte, 0, stateSize)
	b = append(b, stateVersion)
	if g.has {
		b = append(b, 1)
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(g.cached))
	} else {
		b = append(b, 0)
		b = binary.LittleEndian.AppendUint64(b, 0)
	}
	b = binary.LittleEndian.AppendUint16(b, uint16(g.engine.next))
	for _, w := range g.engine.state {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	return b, nil
}

// UnmarshalBinary restores what MarshalBinary wrote, [encoding.BinaryUnmarshaler]. Bytes that no
// generator can have written are an error and leave g as it was.
func (g *Generator) UnmarshalBinary(b []byte) error {
	const doing = "restoring random generator"
	if len(b) == 0 || b[0] != stateVersion {
		return errors.New(doing + ": not a version 1 state: it was written by another version of stipple or is damaged")
	}
	if len(b) != stateSize {
		return fmt.Errorf("%s: %d bytes of state, want %d: it is damaged", doing, len(b), stateSize)
	}
	var n Generator
	n.cached = math.Float64frombits(binary.LittleEndian.Uint64(b[2:]))
	switch {
	case b[1] == 1 && math.Abs(n.cached) < 10: // sqrt(-2 ln 2^-53) = 8.6 is the largest that is drawn
		n.has = true
	case b[1] == 0 && math.Float64bits(n.cached) == 0:
	default:
		return fmt.Errorf("%s: cached normal %v with flag %d is impossible: it is damaged", doing, n.cached, b[1])
	}
	n.engine.next = int(binary.LittleEndian.Uint16(b[10:]))
	if n.engine.next > mtSize {
		return fmt.Errorf("%s: position %d of %d is impossible: it is damaged", doing, n.engine.next, mtSize)
	}
	var bits uint32
	for i := range n.engine.state {
		n.engine.state[i] = binary.LittleEndian.Uint32(b[12+4*i:])
		bits |= n.engine.state[i]
	}
	if bits == 0 {
		return errors.New(doing + ": the engine's words are all zero, which it never leaves: it is damaged")
	}
	*g = n
	return nil
}
