package schedule

import (
	"fmt"
	"math"
)

// lcm is multistep consistency sampling (Luo et al. 2023, "Latent Consistency Models", algorithm 3):
// each call predicts the picture, and all but the last put it back into fresh noise.
type lcm struct {
	table
	prediction    prediction
	out, skip     []float32 // weights of the predicted picture and of the sample in the denoised one
	signal, noise []float32 // weights of the denoised picture and of fresh noise in the next sample
}

func lcmClass() class {
	return class{
		name: "LCMScheduler",
		fields: betaFields + spacingFields + thresholdFields + "original_inference_steps clip_sample clip_sample_range " +
			"set_alpha_to_one timestep_scaling rescale_betas_zero_snr",
		defaults:    consistencyDefaults(),
		predictions: "epsilon v_prediction sample",
		build:       newLCM,
	}
}

// consistencyDefaults are those of the schedulers for distilled models.
func consistencyDefaults() Params {
	d := defaults()
	d.BetaStart, d.BetaEnd, d.BetaSchedule = 0.00085, 0.012, "scaled_linear"
	d.SetAlphaToOne, d.TimestepSpacing = true, "leading"
	return d
}

// consistencyTimesteps picks steps of the original_inference_steps that the model was distilled on,
// evenly, the latest first.
func (p Params) consistencyTimesteps(steps int) ([]int, error) {
	original := p.OriginalInferenceSteps
	switch {
	case original > p.NumTrainTimesteps:
		return nil, fmt.Errorf("original_inference_steps is %d: must be at most num_train_timesteps, %d", original, p.NumTrainTimesteps)
	case steps > original:
		return nil, fmt.Errorf("num_inference_steps is %d: must be at most the original_inference_steps the model was distilled on, %d", steps, original)
	}
	stride := p.NumTrainTimesteps / original
	t := make([]int, steps)
	for i := range t {
		skipped := int(math.Floor(float64(i) * (float64(original) / float64(steps))))
		t[i] = (original-skipped)*stride - 1
	}
	return t, nil
}

func newLCM(p Params, steps int) (Sampler, error) {
	bar, err := p.alphasCumprod()
	if err != nil {
		return nil, err
	}
	t, err := p.consistencyTimesteps(steps)
	if err != nil {
		return nil, err
	}
	s := &lcm{table: table{initSigma: 1}}
	var alphas, sigmas []float32
	for i, at := range t {
		s.timesteps = append(s.timesteps, float32(at))
		alphas, sigmas = append(alphas, sqrt32(bar[at])), append(sigmas, sqrt32(1-bar[at]))

		// The boundary condition of consistency models: at timestep 0 the sample is the picture.
		const dataDeviation = 0.5
		scaled := float32(at) * float32(p.TimestepScaling)
		square := float32(scaled*scaled) + dataDeviation*dataDeviation
		s.out, s.skip = append(s.out, scaled/sqrt32(square)), append(s.skip, dataDeviation*dataDeviation/square)

		signal, noise := float32(1), float32(0)
		if i+1 < steps {
			signal, noise = sqrt32(bar[t[i+1]]), sqrt32(1-bar[t[i+1]])
		}
		s.signal, s.noise = append(s.signal, signal), append(s.noise, noise)
	}
	s.prediction = newPrediction(p, alphas, sigmas)
	return s, s.seal("lcm", 0, s.prediction.coefficients(), s.out, s.skip, s.signal, s.noise)
}

// Step implements [Sampler]. It draws noise once, but not at the last call.
func (s *lcm) Step(x, out []float32, i int, noise func(dst []float32)) {
	s.begin(x, out, i)
	x0 := s.scratchRow(0)
	s.prediction.predict(x0, x, out, i)
	for j, v := range x {
		denoised := float32(s.out[i]*x0[j]) + float32(s.skip[i]*v)
		x[j] = s.signal[i] * denoised
	}
	if i < s.Len()-1 {
		fresh := s.scratchRow(1)
		noise(fresh)
		addScaled(x, fresh, s.noise[i])
	}
}
