package schedule

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
)

// table is what all samplers have in common: the lists a schedule is made of, and the memory. Samplers
// embed it, so that an algorithm's file holds a constructor and Step.
type table struct {
	timesteps  []float32 // one for each model call
	sigmas     []float32 // noise levels as diffusers lists them; nil where it does not
	inputScale []float32 // what the model's input is divided by at each call; nil for 1
	initSigma  float32
	memory
}

// Len implements [Sampler].
func (t *table) Len() int { return len(t.timesteps) }

// Timestep implements [Sampler].
func (t *table) Timestep(i int) float32 { return t.timesteps[i] }

// InitNoiseSigma implements [Sampler].
func (t *table) InitNoiseSigma() float32 { return t.initSigma }

// ScaleInput implements [Sampler].
func (t *table) ScaleInput(dst, x []float32, i int) {
	if t.inputScale == nil {
		copy(dst, x)
		return
	}
	scale := t.inputScale[i]
	for j, v := range x {
		dst[j] = v / scale
	}
}

// seal completes a table once its lists are filled: it sets how many rows of history a step needs,
// refuses any coefficient that is not finite, and takes the fingerprint that ties saved states to this
// algorithm and schedule. coefficients are all that Step will use beside the sigmas, call by call,
// equally many for each.
func (t *table) seal(algorithm string, rows int, coefficients ...[]float32) error {
	t.calls = len(t.timesteps)
	t.rows = rows
	if t.calls == 0 {
		return errors.New("no timesteps are left of the schedule")
	}
	for _, list := range append(coefficients, t.timesteps, t.inputScale, []float32{t.initSigma}) {
		for i, v := range list {
			if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
				call := i * t.calls / len(list)
				return fmt.Errorf("call %d of %d, at timestep %g, has no finite update, since it would divide by 0: "+
					"take fewer steps or another timestep_spacing", call+1, t.calls, t.timesteps[call])
			}
		}
	}
	h := fnv.New64a()
	fmt.Fprintf(h, "%s %d", algorithm, rows)
	for _, list := range append(coefficients, t.timesteps, t.sigmas, t.inputScale) {
		var b []byte
		for _, v := range list {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		}
		h.Write(binary.LittleEndian.AppendUint32(b, uint32(len(list))))
	}
	t.fingerprint = h.Sum64()
	return nil
}
