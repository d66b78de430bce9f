package schedule

import "math"

// sigmaOf is the noise level, relative to the picture, where alphasCumprod is bar.
func sigmaOf(bar float32) float32 { return sqrt32((1 - bar) / bar) }

// trainSigmas are the noise levels of the training timesteps, rising.
func trainSigmas(bar []float32) []float32 {
	s := make([]float32, len(bar))
	for i, b := range bar {
		s[i] = sigmaOf(b)
	}
	return s
}

// respaced says whether sigmas are chosen by a curve and not by timestep.
func (p Params) respaced() bool {
	return p.UseKarrasSigmas || p.UseExponentialSigmas || p.UseBetaSigmas
}

// respace returns n noise levels from high down to low, or from sigma_max down to sigma_min where the
// model's configuration sets them.
func (p Params) respace(high, low float64, n int) []float64 {
	if p.SigmaMax != nil {
		high = *p.SigmaMax
	}
	if p.SigmaMin != nil {
		low = *p.SigmaMin
	}
	switch {
	case p.UseKarrasSigmas:
		return karras(high, low, n)
	case p.UseExponentialSigmas:
		s := linspace(math.Log(high), math.Log(low), n)
		for i := range s {
			s[i] = math.Exp(s[i])
		}
		return s
	default: // Lee et al. 2024, "Beta Sampling is All You Need"
		s := linspace(0, 1, n)
		for i := range s {
			s[i] = low + float64(betaQuantile(1-s[i], 0.6)*(high-low))
		}
		return s
	}
}

// karras is equation 5 of Karras et al. 2022, with its rho of 7.
func karras(high, low float64, n int) []float64 {
	const rho = 7
	from, to := math.Pow(high, 1.0/rho), math.Pow(low, 1.0/rho)
	s := linspace(0, 1, n)
	for i := range s {
		s[i] = math.Pow(from+float64(s[i]*(to-from)), rho)
	}
	return s
}

// sigmaSchedule returns steps timesteps and their noise levels, falling, for the samplers that step in
// sigma (Euler, Heun, LMS, KDPM2). With respaced sigmas the timesteps are looked up by sigma.
func (p Params) sigmaSchedule(bar []float32, steps int) (timesteps, sigmas []float32) {
	table := trainSigmas(bar)
	t := p.timesteps(steps)
	timesteps = float32s(t)
	s := make([]float64, steps)
	for i := range s {
		s[i] = interp(float64(timesteps[i]), table)
	}
	if p.InterpolationType == "log_linear" {
		s = logLinear(table, steps)
	}
	if p.respaced() {
		low := s[len(s)-1]
		if p.TimestepSpacing == "trailing" && overshoots(p.NumTrainTimesteps, steps) {
			low = float64(table[0]) // the level of the timestep too many
		}
		s = p.respace(s[0], low, steps)
		logs := logSigmas(table)
		for i := range timesteps {
			timesteps[i] = float32(timestepOf(s[i], logs))
		}
	}
	return timesteps, float32s(s)
}

// logLinear is interpolation_type log_linear. Diffusers spaces one value more than there are steps, so
// that the last step goes to the lowest sigma and the final one is never reached.
func logLinear(table []float32, steps int) []float64 {
	low, high := log32(table[0]), log32(table[len(table)-1])
	s := make([]float64, steps+1)
	for i, v := range linspace32(high, low, steps+1) {
		s[i] = float64(float32(math.Exp(float64(v))))
	}
	return s
}

func logSigmas(table []float32) []float32 {
	l := make([]float32, len(table))
	for i, s := range table {
		l[i] = log32(s)
	}
	return l
}

// timestepOf finds the timestep, with a fraction, at which a noise level stands in a table of logarithms
// that rises but for its end, see bracket. Beyond its ends it gives the first or the last.
func timestepOf(sigma float64, logs []float32) float64 {
	if len(logs) == 1 {
		return 0
	}
	l := math.Log(max(sigma, 1e-10))
	j := bracket(l, logs)
	w := (float64(logs[j]) - l) / float64(logs[j]-logs[j+1])
	w = min(max(w, 0), 1)
	return float64((1-w)*float64(j)) + float64(w*float64(j+1))
}

// bracket is the index of the last entry not above l, but never of the last of all. The table may fall at its
// end, where zero terminal SNR puts a finite level (see flooredAlphasCumprod): so it is looked at from there.
func bracket(l float64, logs []float32) int {
	i := len(logs) - 1
	for i > 0 && float64(logs[i]) > l {
		i--
	}
	return min(i, len(logs)-2)
}

// newSigmaTable is the table of a sampler that steps in sigma and scales the model's input. sigmas has
// the level at each call and what follows it.
func newSigmaTable(p Params, timesteps, sigmas []float32) table {
	t := table{timesteps: timesteps, sigmas: sigmas, inputScale: make([]float32, len(timesteps))}
	top := sigmas[0]
	for _, s := range sigmas {
		top = max(top, s)
	}
	t.initSigma = top
	if p.TimestepSpacing == "leading" {
		t.initSigma = inputScale(top)
	}
	for i := range timesteps {
		t.inputScale[i] = inputScale(sigmas[i])
	}
	return t
}

// inputScale is the standard deviation of a sample of noise level sigma around data of variance 1.
func inputScale(sigma float32) float32 { return sqrt32(float32(sigma*sigma) + 1) }
