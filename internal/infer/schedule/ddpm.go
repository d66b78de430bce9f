package schedule

import (
	"fmt"
	"math"
)

// ddpm is ancestral sampling from the posterior of Ho et al. 2020, "Denoising Diffusion Probabilistic
// Models" (formulas 6 and 7).
type ddpm struct {
	table
	prediction      prediction
	picture, sample []float32 // weights of the predicted picture and of the sample in the posterior's mean
	deviation       []float32 // of the posterior; at timestep 0 nothing is drawn
}

func ddpmClass() class {
	d := defaults()
	d.ClipSample, d.TimestepSpacing, d.VarianceType = true, "leading", "fixed_small"
	return class{
		name: "DDPMScheduler",
		fields: betaFields + spacingFields + thresholdFields + "variance_type clip_sample clip_sample_range " +
			"rescale_betas_zero_snr",
		defaults:    d,
		predictions: "epsilon v_prediction sample",
		adopt:       adoptDDPM,
		build:       newDDPM,
	}
}

func adoptDDPM(p *Params) error {
	switch p.VarianceType {
	case "fixed_small", "fixed_small_log", "fixed_large":
		return nil
	case "fixed_large_log": // its deviation in diffusers is the root of a negative number
		return fmt.Errorf("variance_type is fixed_large_log: use fixed_large")
	}
	if err := refuseLearnedVariance(p); err != nil {
		return err
	}
	return fmt.Errorf("variance_type is %q: must be fixed_small, fixed_small_log or fixed_large", p.VarianceType)
}

func newDDPM(p Params, steps int) (Sampler, error) {
	bar, err := p.alphasCumprod()
	if err != nil {
		return nil, err
	}
	t := round(p.timesteps(steps))
	s := &ddpm{table: table{timesteps: float32s(t), initSigma: 1}}
	var alphas, sigmas []float32
	for i := range t {
		now, err := barAt(bar, int(t[i]))
		if err != nil {
			return nil, err
		}
		next := float32(1)
		if i+1 < steps {
			next = bar[int(t[i+1])]
		}
		alphas, sigmas = append(alphas, sqrt32(now)), append(sigmas, sqrt32(1-now))
		alpha := now / next
		beta := 1 - alpha
		s.picture = append(s.picture, sqrt32(next)*beta/(1-now))
		s.sample = append(s.sample, sqrt32(alpha)*(1-next)/(1-now))
		variance := max((1-next)/(1-now)*beta, 1e-20)
		if p.VarianceType == "fixed_large" {
			variance = beta
		}
		s.deviation = append(s.deviation, float32(math.Sqrt(float64(variance))))
	}
	s.prediction = newPrediction(p, alphas, sigmas)
	return s, s.seal("ddpm", 0, s.prediction.coefficients(), s.picture, s.sample, s.deviation)
}

// Step implements [Sampler]. It draws noise once, but not at timestep 0.
func (s *ddpm) Step(x, out []float32, i int, noise func(dst []float32)) {
	s.begin(x, out, i)
	x0 := s.scratchRow(0)
	s.prediction.predict(x0, x, out, i)
	for j, v := range x {
		x[j] = float32(s.picture[i]*x0[j]) + float32(s.sample[i]*v)
	}
	if s.timesteps[i] > 0 {
		fresh := s.scratchRow(1)
		noise(fresh)
		addScaled(x, fresh, s.deviation[i])
	}
}
