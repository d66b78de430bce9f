package schedule

import "math"

// tcd is strategic stochastic sampling (Zheng et al. 2024, "Trajectory Consistency Distillation",
// algorithm 4) with diffusers' gamma of 0.3: each call goes past the next timestep, and all but the
// last come back to it with fresh noise.
type tcd struct {
	table
	prediction     prediction
	picture, noise []float32 // weights of the predicted picture and noise at the timestep gone to
	back, fresh    []float32 // weights of that sample and of fresh noise in the next one
}

func tcdClass() class {
	return class{
		name:        "TCDScheduler",
		fields:      betaFields + spacingFields + "original_inference_steps set_alpha_to_one rescale_betas_zero_snr",
		defaults:    consistencyDefaults(),
		predictions: "epsilon v_prediction sample",
		build:       newTCD,
	}
}

func newTCD(p Params, steps int) (Sampler, error) {
	bar, err := p.alphasCumprod()
	if err != nil {
		return nil, err
	}
	t, err := p.consistencyTimesteps(steps)
	if err != nil {
		return nil, err
	}
	const gamma = 0.3
	s := &tcd{table: table{initSigma: 1}}
	var alphas, sigmas []float32
	for i, at := range t {
		s.timesteps = append(s.timesteps, float32(at))
		alphas, sigmas = append(alphas, sqrt32(bar[at])), append(sigmas, sqrt32(1-bar[at]))
		next := 0
		if i+1 < steps {
			next = t[i+1]
		}
		past := bar[int(math.Floor(float64(float32(1-gamma)*float32(next))))]
		s.picture, s.noise = append(s.picture, sqrt32(past)), append(s.noise, sqrt32(1-past))
		back, fresh := float32(1), float32(0)
		if i+1 < steps {
			back, fresh = sqrt32(bar[next]/past), sqrt32(1-bar[next]/past)
		}
		s.back, s.fresh = append(s.back, back), append(s.fresh, fresh)
	}
	s.prediction = newPrediction(p, alphas, sigmas)
	return s, s.seal("tcd", 0, s.prediction.coefficients(), s.picture, s.noise, s.back, s.fresh)
}

// Step implements [Sampler]. It draws noise once, but not at the last call.
func (s *tcd) Step(x, out []float32, i int, noise func(dst []float32)) {
	s.begin(x, out, i)
	x0, eps := s.scratchRow(0), s.scratchRow(1)
	s.prediction.predict(x0, x, out, i)
	s.prediction.predictNoise(eps, x, out, i)
	for j := range x {
		x[j] = s.back[i] * (float32(s.picture[i]*x0[j]) + float32(s.noise[i]*eps[j]))
	}
	if i < s.Len()-1 {
		fresh := s.scratchRow(2)
		noise(fresh)
		addScaled(x, fresh, s.fresh[i])
	}
}
