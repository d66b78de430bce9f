package schedule

import "fmt"

// ddim is the deterministic sampler of Song et al. 2020, "Denoising Diffusion Implicit Models"
// (formula 12 with eta 0).
type ddim struct {
	table
	prediction     prediction
	picture, noise []float32 // weights of both in the next sample
}

func ddimClass() class {
	d := defaults()
	d.ClipSample, d.SetAlphaToOne, d.TimestepSpacing = true, true, "leading"
	return class{
		name:        "DDIMScheduler",
		fields:      betaFields + spacingFields + thresholdFields + "clip_sample clip_sample_range set_alpha_to_one rescale_betas_zero_snr",
		defaults:    d,
		predictions: "epsilon v_prediction sample",
		build:       newDDIM,
	}
}

func newDDIM(p Params, steps int) (Sampler, error) {
	bar, err := p.alphasCumprod()
	if err != nil {
		return nil, err
	}
	t := round(p.timesteps(steps))
	s := &ddim{table: table{timesteps: float32s(t), initSigma: 1}, picture: make([]float32, steps), noise: make([]float32, steps)}
	alphas, sigmas := make([]float32, steps), make([]float32, steps)
	for i := range t {
		now, err := barAt(bar, int(t[i]))
		if err != nil {
			return nil, err
		}
		next := p.barBefore(bar, int(t[i])-p.NumTrainTimesteps/steps)
		alphas[i], sigmas[i] = sqrt32(now), sqrt32(1-now)
		s.picture[i], s.noise[i] = sqrt32(next), sqrt32(1-next)
	}
	s.prediction = newPrediction(p, alphas, sigmas)
	return s, s.seal("ddim", 0, s.prediction.coefficients(), s.picture, s.noise)
}

// barAt is alphasCumprod at a timestep of the schedule. One past the end comes of a steps_offset with
// about as many steps as training timesteps.
func barAt(bar []float32, t int) (float32, error) {
	if t >= len(bar) {
		return 0, fmt.Errorf("timestep %d lies past the model's %d: take fewer steps or another timestep_spacing", t, len(bar))
	}
	return bar[t], nil
}

// barBefore is alphasCumprod at the timestep a step goes to; below 0 set_alpha_to_one says whether that
// is the clean picture or the first timestep.
func (p Params) barBefore(bar []float32, t int) float32 {
	switch {
	case t >= 0:
		return bar[t]
	case p.SetAlphaToOne:
		return 1
	}
	return bar[0]
}

// Step implements [Sampler].
func (s *ddim) Step(x, out []float32, i int, _ func(dst []float32)) {
	s.begin(x, out, i)
	x0, eps := s.scratchRow(0), s.scratchRow(1)
	s.prediction.predict(x0, x, out, i)
	s.prediction.noise[i].apply(eps, x, out)
	for j := range x {
		x[j] = float32(s.picture[i]*x0[j]) + float32(s.noise[i]*eps[j])
	}
}
