package schedule

// heun is Heun's method (Karras et al. 2022, algorithm 2 without churn). Even calls take Euler's step
// to the next noise level; odd calls look at the derivative there and repeat the step with the mean of
// both. The last step, to level 0, has no second call.
type heun struct {
	table
	prediction prediction
}

// Rows of history: the sample before the step and the derivative there.
const (
	heunSample = iota
	heunDerivative
	heunRows
)

func heunClass() class {
	d := defaults()
	d.BetaStart, d.BetaEnd = 0.00085, 0.012
	return class{
		name:        "HeunDiscreteScheduler",
		fields:      betaFields + sigmaFields + spacingFields + "clip_sample clip_sample_range",
		defaults:    d,
		predictions: "epsilon v_prediction sample",
		build:       newHeun,
	}
}

func newHeun(p Params, steps int) (Sampler, error) {
	bar, err := p.alphasCumprod()
	if err != nil {
		return nil, err
	}
	t, levels := p.sigmaSchedule(bar, steps)
	timesteps, sigmas := t[:1:1], levels[:1:1]
	for i := 1; i < steps; i++ {
		timesteps = append(timesteps, t[i], t[i])
		sigmas = append(sigmas, levels[i], levels[i])
	}
	sigmas = append(sigmas, 0)
	s := &heun{table: newSigmaTable(p, timesteps, sigmas), prediction: newSigmaPrediction(p, sigmas[:len(timesteps)])}
	return s, s.seal("heun", heunRows, s.prediction.coefficients(), inverse(sigmas[:len(timesteps)]))
}

// Step implements [Sampler].
func (s *heun) Step(x, out []float32, i int, _ func(dst []float32)) {
	s.begin(x, out, i)
	x0, sample, derivative := s.scratchRow(0), s.row(heunSample), s.row(heunDerivative)
	s.prediction.predict(x0, x, out, i)
	sigma := s.sigmas[i]
	if i%2 == 0 {
		dt := s.sigmas[i+1] - sigma
		copy(sample, x)
		for j, v := range x {
			derivative[j] = (v - x0[j]) / sigma
			x[j] = v + float32(derivative[j]*dt)
		}
		return
	}
	dt := sigma - s.sigmas[i-1]
	for j, v := range x {
		mean := (derivative[j] + (v-x0[j])/sigma) / 2
		x[j] = sample[j] + float32(mean*dt)
	}
}
