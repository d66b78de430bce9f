package schedule

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// memory is what a sampler keeps from call to call: its position and a few rows as long as the latent,
// whose meaning is the sampler's. It is the whole of a sampler's state; all else follows from New.
type memory struct {
	fingerprint uint64    // of all coefficients: a state fits only the schedule it was saved from
	calls       int       // Len
	taken       int       // steps taken; the next Step is this one
	rows        int       // rows of history; set once, by seal
	n           int       // values in a row, the length of the latent; 0 before the first step
	history     []float32 // rows*n values
	scratch     []float32 // scratchRows*n values; mean nothing between steps
}

// scratchRows are enough for any step: a prediction of the picture, one of the noise, fresh noise.
const scratchRows = 3

// begin opens step i. It makes room at the first one.
func (m *memory) begin(x, out []float32, i int) {
	switch {
	case i != m.taken || i >= m.calls:
		panic(fmt.Sprintf("schedule: step %d called, want step %d of %d", i, m.taken, m.calls))
	case len(x) == 0 || len(x) != len(out) || m.n != 0 && m.n != len(x):
		panic(fmt.Sprintf("schedule: step with a latent of %d and a model output of %d values after steps with %d", len(x), len(out), m.n))
	}
	m.n = len(x)
	if len(m.history) != m.rows*m.n {
		m.history = make([]float32, m.rows*m.n)
	}
	if len(m.scratch) != scratchRows*m.n {
		m.scratch = make([]float32, scratchRows*m.n)
	}
	m.taken++
}

// row is a row of history. A ring of r rows keeps that of step i at i%r.
func (m *memory) row(k int) []float32 { return m.history[k*m.n : (k+1)*m.n : (k+1)*m.n] }

// scratchRow is a row that is forgotten after the step.
func (m *memory) scratchRow(k int) []float32 { return m.scratch[k*m.n : (k+1)*m.n : (k+1)*m.n] }

// stateVersion is the first byte of a saved state; it changes when the layout or the meaning of a row does.
const stateVersion = 1

const stateHeader = 1 + 8 + 4

// AppendState implements [State]. The layout, little endian: version byte, fingerprint (uint64),
// steps taken (uint32), then the rows of history as float32, none before the first step.
func (m *memory) AppendState(b []byte) []byte {
	b = append(b, stateVersion)
	b = binary.LittleEndian.AppendUint64(b, m.fingerprint)
	b = binary.LittleEndian.AppendUint32(b, uint32(m.taken))
	for _, v := range m.history {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

// RestoreState implements [State].
func (m *memory) RestoreState(b []byte) error {
	if len(b) < stateHeader {
		return fmt.Errorf("restoring sampler state: %d bytes are too few", len(b))
	}
	if b[0] != stateVersion {
		return fmt.Errorf("restoring sampler state: version %d, this program writes %d", b[0], stateVersion)
	}
	if binary.LittleEndian.Uint64(b[1:]) != m.fingerprint {
		return errors.New("restoring sampler state: it belongs to another sampler, schedule or number of steps")
	}
	taken := binary.LittleEndian.Uint32(b[9:])
	if int64(taken) > int64(m.calls) {
		return fmt.Errorf("restoring sampler state: %d steps taken of %d", taken, m.calls)
	}
	values := b[stateHeader:]
	switch {
	case m.rows == 0 || taken == 0:
		if len(values) != 0 {
			return fmt.Errorf("restoring sampler state: %d bytes of history where none belong", len(values))
		}
	case len(values) == 0 || len(values)%(4*m.rows) != 0:
		return fmt.Errorf("restoring sampler state: %d bytes of history do not make %d equal rows", len(values), m.rows)
	}
	m.taken = int(taken)
	m.history = make([]float32, len(values)/4)
	for i := range m.history {
		m.history[i] = math.Float32frombits(binary.LittleEndian.Uint32(values[4*i:]))
	}
	m.n = 0
	if m.rows > 0 {
		m.n = len(m.history) / m.rows
	}
	return nil
}
