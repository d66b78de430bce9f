package schedule

import (
	"fmt"
	"math"
)

// betas returns the training noise variances, one a training timestep (Ho et al. 2020, "Denoising
// Diffusion Probabilistic Models"), in float32 as torch computes them.
func (p Params) betas() []float32 {
	n := p.NumTrainTimesteps
	switch {
	case p.TrainedBetas != nil:
		b := make([]float32, n)
		for i, v := range p.TrainedBetas {
			b[i] = float32(v)
		}
		return b
	case p.BetaSchedule == "squaredcos_cap_v2":
		return cosineBetas(n)
	case p.BetaSchedule == "scaled_linear":
		b := linspace32(float32(math.Sqrt(p.BetaStart)), float32(math.Sqrt(p.BetaEnd)), n)
		for i := range b {
			b[i] *= b[i]
		}
		return b
	}
	return linspace32(float32(p.BetaStart), float32(p.BetaEnd), n)
}

// cosineBetas is squaredcos_cap_v2 (Nichol and Dhariwal 2021, "Improved Denoising Diffusion
// Probabilistic Models", eq. 17), capped at 0.999.
func cosineBetas(n int) []float32 {
	alphaBar := func(t float64) float64 {
		c := math.Cos((t + 0.008) / 1.008 * math.Pi / 2)
		return c * c
	}
	b := make([]float32, n)
	for i := range b {
		t0, t1 := float64(i)/float64(n), float64(i+1)/float64(n)
		b[i] = float32(min(1-alphaBar(t1)/alphaBar(t0), 0.999))
	}
	return b
}

// zeroTerminalSNR rescales betas so that nothing of the picture is left at the last timestep (Lin et
// al. 2023, "Common Diffusion Noise Schedules and Sample Steps are Flawed", algorithm 1).
func zeroTerminalSNR(betas []float32) {
	bar := cumprod(betas)
	for i, v := range bar {
		bar[i] = sqrt32(v)
	}
	first, last := bar[0], bar[len(bar)-1]
	scale := first / (first - last)
	for i, v := range bar {
		v = (v - last) * scale
		bar[i] = v * v
	}
	betas[0] = 1 - bar[0]
	for i := 1; i < len(bar); i++ {
		betas[i] = 1 - bar[i]/bar[i-1]
	}
}

// cumprod is torch.cumprod(1 - betas), which multiplies in float64 and keeps float32.
func cumprod(betas []float32) []float32 {
	bar := make([]float32, len(betas))
	product := 1.0
	for i, b := range betas {
		product *= float64(1 - b)
		bar[i] = float32(product)
	}
	return bar
}

// alphasCumprod returns how much of the picture's variance is left at each training timestep: it
// falls from almost 1 to almost 0, or to 0 with rescale_betas_zero_snr.
func (p Params) alphasCumprod() ([]float32, error) {
	betas := p.betas()
	for i, b := range betas {
		if !(b >= 0 && b < 1) {
			return nil, fmt.Errorf("beta of training timestep %d is %g: must be at least 0 and below 1; check beta_start, beta_end and trained_betas", i, b)
		}
	}
	if p.RescaleBetasZeroSNR {
		zeroTerminalSNR(betas)
	}
	return cumprod(betas), nil
}

// flooredAlphasCumprod is alphasCumprod for the samplers that divide by it: with zero terminal SNR the
// last value is 2^-24, the smallest positive float16, so that sigma stays finite.
func (p Params) flooredAlphasCumprod() ([]float32, error) {
	bar, err := p.alphasCumprod()
	if err != nil {
		return nil, err
	}
	if p.RescaleBetasZeroSNR {
		bar[len(bar)-1] = 1.0 / (1 << 24)
	}
	return bar, nil
}
