package schedule

import "math"

// kdpm2 is the second-order DPM-Solver in sigma (k-diffusion's sample_dpm_2 and, with ancestral noise,
// sample_dpm_2_ancestral). Even calls step to the middle, on a logarithmic scale, of the way to the
// next noise level; odd calls take the whole way with the derivative found in the middle. The last
// step, to level 0, has no second call.
type kdpm2 struct {
	table
	prediction prediction
	level      []float32 // noise level at each call
	dt         []float32 // how far each call moves, from the level of its step
	up         []float32 // noise added after each call; nil without ancestral noise
}

func kdpm2Class() class {
	d := defaults()
	d.BetaStart, d.BetaEnd = 0.00085, 0.012
	return class{
		name:        "KDPM2DiscreteScheduler",
		fields:      betaFields + sigmaFields + spacingFields,
		defaults:    d,
		predictions: "epsilon v_prediction",
		build:       func(p Params, steps int) (Sampler, error) { return newKDPM2(p, steps, false) },
	}
}

func kdpm2AncestralClass() class {
	c := kdpm2Class()
	c.name = "KDPM2AncestralDiscreteScheduler"
	c.build = func(p Params, steps int) (Sampler, error) { return newKDPM2(p, steps, true) }
	return c
}

func newKDPM2(p Params, steps int, noisy bool) (Sampler, error) {
	bar, err := p.alphasCumprod()
	if err != nil {
		return nil, err
	}
	t, sigmas := p.sigmaSchedule(bar, steps)
	sigmas = append(sigmas, 0)
	logs := logSigmas(trainSigmas(bar))
	s := &kdpm2{}
	for k := range steps {
		if p.UseKarrasSigmas {
			t[k] = float32(math.RoundToEven(float64(t[k])))
		}
		from, down, up := sigmas[k], sigmas[k+1], float32(0)
		var middle float32
		if noisy {
			down, up = ancestral(from, sigmas[k+1])
			middle = geometricMean(from, down)
		} else {
			middle = geometricMean(down, from)
		}
		s.add(t[k], from, middle-from)
		if k < steps-1 {
			s.add(timestepOf32(middle, logs), middle, down-from)
		}
		if noisy {
			s.up = append(s.up, 0, up)
		}
	}
	shown := append(make([]float32, 0, 2*steps+2), sigmas[0])
	for _, v := range sigmas[1:] {
		shown = append(shown, v, v)
	}
	timesteps := s.timesteps
	s.table = newSigmaTable(p, timesteps, append(shown, 0))
	for i, v := range s.level {
		s.inputScale[i] = inputScale(v)
	}
	s.prediction = newSigmaPrediction(p, s.level)
	return s, s.seal("kdpm2", 1, s.prediction.coefficients(), inverse(s.level), s.dt, s.up)
}

// add appends a call.
func (s *kdpm2) add(timestep, level, dt float32) {
	s.timesteps = append(s.timesteps, timestep)
	s.level = append(s.level, level)
	s.dt = append(s.dt, dt)
}

// geometricMean is exp of torch.lerp of the logarithms. It is 0 if either is.
func geometricMean(a, b float32) float32 {
	if a == 0 || b == 0 {
		return 0
	}
	la, lb := float32(math.Log(float64(a))), float32(math.Log(float64(b)))
	return float32(math.Exp(float64(lb - (lb-la)/2)))
}

// timestepOf32 is timestepOf in float32 throughout, as diffusers looks up the middles.
func timestepOf32(sigma float32, logs []float32) float32 {
	l := log32(max(sigma, 1e-10))
	if len(logs) == 1 {
		return 0
	}
	j := bracket(float64(l), logs)
	w := (logs[j] - l) / (logs[j] - logs[j+1])
	w = min(max(w, 0), 1)
	return float32((1-w)*float32(j)) + float32(w*float32(j+1))
}

// Step implements [Sampler]. With ancestral noise it draws once after each odd call, so not at the end.
func (s *kdpm2) Step(x, out []float32, i int, noise func(dst []float32)) {
	s.begin(x, out, i)
	x0, sample := s.scratchRow(0), s.row(0)
	s.prediction.predict(x0, x, out, i)
	if i%2 == 0 {
		copy(sample, x)
	}
	for j, v := range x {
		x[j] = sample[j] + float32((v-x0[j])/s.level[i]*s.dt[i])
	}
	if i%2 == 1 && s.up != nil {
		fresh := s.scratchRow(1)
		noise(fresh)
		addScaled(x, fresh, s.up[i])
	}
}
