package schedule

// eulerAncestral is Euler's method with ancestral noise: each step goes below the next noise level and
// draws the rest anew (k-diffusion's sample_euler_ancestral with eta 1).
type eulerAncestral struct {
	table
	prediction prediction
	down, up   []float32 // where each step goes, and how much noise is added there
}

func eulerAncestralClass() class {
	return class{
		name:        "EulerAncestralDiscreteScheduler",
		fields:      betaFields + spacingFields + "rescale_betas_zero_snr",
		defaults:    defaults(),
		predictions: "epsilon v_prediction",
		build:       newEulerAncestral,
	}
}

func newEulerAncestral(p Params, steps int) (Sampler, error) {
	bar, err := p.flooredAlphasCumprod()
	if err != nil {
		return nil, err
	}
	timesteps, sigmas := p.sigmaSchedule(bar, steps)
	sigmas = append(sigmas, 0)
	s := &eulerAncestral{
		table:      newSigmaTable(p, timesteps, sigmas),
		prediction: newSigmaPrediction(p, sigmas[:steps]),
		down:       make([]float32, steps), up: make([]float32, steps),
	}
	for i := range s.up {
		s.down[i], s.up[i] = ancestral(sigmas[i], sigmas[i+1])
	}
	return s, s.seal("euler_a", 0, s.prediction.coefficients(), inverse(sigmas[:steps]), s.down, s.up)
}

// ancestral splits a step from one noise level to the next into a deterministic part that ends at down
// and fresh noise of deviation up, so that down² + up² = to².
func ancestral(from, to float32) (down, up float32) {
	from2, to2 := from*from, to*to
	up = sqrt32(to2 * (from2 - to2) / from2)
	return sqrt32(to2 - float32(up*up)), up
}

// Step implements [Sampler]. It draws noise once.
func (s *eulerAncestral) Step(x, out []float32, i int, noise func(dst []float32)) {
	s.begin(x, out, i)
	x0, fresh := s.scratchRow(0), s.scratchRow(1)
	s.prediction.predict(x0, x, out, i)
	eulerStep(x, x, x0, s.sigmas[i], s.down[i]-s.sigmas[i])
	noise(fresh)
	addScaled(x, fresh, s.up[i])
}
