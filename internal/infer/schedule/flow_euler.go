package schedule

import "math"

// flowEuler is Euler's method for flow matching (Esser et al. 2024, "Scaling Rectified Flow Transformers
// for High-Resolution Image Synthesis"): samples lie on a line between picture and noise, and the model
// predicts its direction.
type flowEuler struct {
	table
	stochastic bool // put the predicted picture back into fresh noise at each step
}

func flowEulerClass() class {
	return class{
		name: "FlowMatchEulerDiscreteScheduler",
		fields: "num_train_timesteps " + sigmaFields + "shift use_dynamic_shifting base_shift max_shift base_image_seq_len max_image_seq_len " +
			"invert_sigmas shift_terminal time_shift_type stochastic_sampling",
		defaults: defaults(),
		build:    newFlowEuler,
	}
}

func newFlowEuler(p Params, steps int) (Sampler, error) {
	levels := p.flowLevels(steps)
	if p.ShiftTerminal != nil && *p.ShiftTerminal != 0 {
		stretch(levels, *p.ShiftTerminal)
	}
	if p.respaced() {
		levels = p.respace(levels[0], levels[steps-1], steps)
	}
	sigmas := append(float32s(levels), 0)
	if p.InvertSigmas {
		for i, v := range sigmas {
			sigmas[i] = 1 - v
		}
	}
	timesteps := make([]float32, steps)
	for i := range timesteps {
		timesteps[i] = sigmas[i] * float32(p.NumTrainTimesteps)
	}
	s := &flowEuler{table: table{timesteps: timesteps, sigmas: sigmas, initSigma: 1}, stochastic: p.StochasticSampling}
	return s, s.seal("flow_euler", 0, sigmas[:steps], sigmas[1:])
}

// flowLevels spaces the levels from noise to picture and shifts them. With dynamic shifting the
// shift depends on the picture's size, which a schedule does not know: max_shift, that of the largest,
// stands for all.
func (p Params) flowLevels(steps int) []float64 {
	total := float64(p.NumTrainTimesteps)
	if p.UseDynamicShifting {
		levels := linspace(1, 1/float64(steps), steps)
		ratio := float32(math.Exp(p.MaxShift))
		if p.TimeShiftType == "linear" {
			ratio = float32(p.MaxShift)
		}
		for i, v := range levels {
			levels[i] = float64(ratio / (ratio + (1/float32(v) - 1)))
		}
		return levels
	}
	// The bounds are shifted once where diffusers builds its training table, and all levels again here.
	shift32 := func(s float32) float64 {
		shift := float32(p.Shift)
		return float64(shift * s / (1 + float32((shift-1)*s)))
	}
	levels := linspace(shift32(1)*total, shift32(1/float32(total))*total, steps)
	for i, v := range levels {
		levels[i] = shifted(v/total, p.Shift)
	}
	return levels
}

// stretch moves falling levels, in place, so that the last becomes terminal.
func stretch(levels []float64, terminal float64) {
	scale := (1 - levels[len(levels)-1]) / (1 - terminal)
	for i, v := range levels {
		levels[i] = 1 - (1-v)/scale
	}
}

// Step implements [Sampler]. It draws noise once if sampling is stochastic.
func (s *flowEuler) Step(x, out []float32, i int, noise func(dst []float32)) {
	s.begin(x, out, i)
	sigma, next := s.sigmas[i], s.sigmas[i+1]
	if !s.stochastic {
		addScaled(x, out, next-sigma)
		return
	}
	fresh := s.scratchRow(0)
	noise(fresh)
	for j, v := range x {
		x0 := v - float32(sigma*out[j])
		x[j] = float32((1-next)*x0) + float32(next*fresh[j])
	}
}
