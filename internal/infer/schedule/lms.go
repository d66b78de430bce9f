package schedule

import "math"

// lms is the linear multistep method in sigma (k-diffusion's sample_lms): an Adams-Bashforth formula
// of order four whose weights are integrated over the uneven noise levels.
type lms struct {
	table
	prediction prediction
	steps      []combination
}

const lmsOrder = 4

func lmsClass() class {
	return class{
		name:        "LMSDiscreteScheduler",
		fields:      betaFields + sigmaFields + spacingFields,
		defaults:    defaults(),
		predictions: "epsilon v_prediction sample",
		build:       newLMS,
	}
}

func newLMS(p Params, steps int) (Sampler, error) {
	bar, err := p.alphasCumprod()
	if err != nil {
		return nil, err
	}
	if p.UseKarrasSigmas { // the one class whose Karras sigmas do not look at these
		p.SigmaMin, p.SigmaMax = nil, nil
	}
	timesteps, sigmas := p.sigmaSchedule(bar, steps)
	sigmas = append(sigmas, 0)
	s := &lms{
		table:      newSigmaTable(p, timesteps, sigmas),
		prediction: newSigmaPrediction(p, sigmas[:steps]),
		steps:      make([]combination, steps),
	}
	for i := range s.steps {
		s.steps[i].x = 1
		order := min(lmsOrder, i+1)
		for k := range order {
			s.steps[i].m[k] = float32(lmsWeight(sigmas, i, k, order))
		}
	}
	return s, s.seal("lms", lmsOrder, s.prediction.coefficients(), inverse(sigmas[:steps]), weights(s.steps))
}

// lmsWeight integrates, from level i to the next, the Lagrange polynomial that is 1 at level i-k and 0
// at the other levels of the last order ones. Its degree is at most three, so Gauss's rule with two
// points is exact.
func lmsWeight(sigmas []float32, i, k, order int) float64 {
	polynomial := func(at float64) float64 {
		product := 1.0
		for j := range order {
			if j != k {
				product *= (at - float64(sigmas[i-j])) / (float64(sigmas[i-k]) - float64(sigmas[i-j]))
			}
		}
		return product
	}
	middle := (float64(sigmas[i]) + float64(sigmas[i+1])) / 2
	half := (float64(sigmas[i+1]) - float64(sigmas[i])) / 2
	offset := half / math.Sqrt(3)
	return half * (polynomial(middle-offset) + polynomial(middle+offset))
}

// Step implements [Sampler].
func (s *lms) Step(x, out []float32, i int, _ func(dst []float32)) {
	s.begin(x, out, i)
	var m [maxTerms][]float32
	s.last(&m, i, lmsOrder)
	s.prediction.predict(m[0], x, out, i)
	for j, x0 := range m[0] {
		m[0][j] = (x[j] - x0) / s.sigmas[i]
	}
	s.steps[i].apply(x, x, &m, nil)
}
