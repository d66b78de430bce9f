package schedule

import "math"

// euler is Euler's method on the probability flow ODE (Karras et al. 2022, "Elucidating the Design
// Space of Diffusion-Based Generative Models", algorithm 2 without churn).
type euler struct {
	table
	prediction prediction
}

func eulerClass() class {
	return class{
		name:        "EulerDiscreteScheduler",
		fields:      betaFields + sigmaFields + spacingFields + "interpolation_type timestep_type rescale_betas_zero_snr final_sigmas_type",
		defaults:    defaults(),
		predictions: "epsilon v_prediction sample original_sample",
		build:       newEuler,
	}
}

func newEuler(p Params, steps int) (Sampler, error) {
	bar, err := p.flooredAlphasCumprod()
	if err != nil {
		return nil, err
	}
	timesteps, sigmas := p.sigmaSchedule(bar, steps)
	if p.FinalSigmasType == "sigma_min" {
		sigmas = append(sigmas, sigmaOf(bar[0]))
	} else {
		sigmas = append(sigmas, 0)
	}
	if p.TimestepType == "continuous" && p.PredictionType == "v_prediction" {
		for i := range timesteps {
			timesteps[i] = float32(0.25 * math.Log(float64(sigmas[i])))
		}
	}
	s := &euler{table: newSigmaTable(p, timesteps, sigmas), prediction: newSigmaPrediction(p, sigmas[:steps])}
	return s, s.seal("euler", 0, s.prediction.coefficients(), inverse(sigmas[:steps]))
}

// Step implements [Sampler].
func (s *euler) Step(x, out []float32, i int, _ func(dst []float32)) {
	s.begin(x, out, i)
	x0 := s.scratchRow(0)
	s.prediction.predict(x0, x, out, i)
	eulerStep(x, x, x0, s.sigmas[i], s.sigmas[i+1]-s.sigmas[i])
}

// eulerStep moves x by dt along the derivative that points away from the predicted picture.
func eulerStep(dst, x, x0 []float32, sigma, dt float32) {
	for j, v := range x {
		dst[j] = v + float32((v-x0[j])/sigma*dt)
	}
}
