package schedule

import (
	"errors"
	"fmt"
	"math"
)

// dpmSchedule returns the timesteps and the noise levels of the DPM-Solver family (DPM-Solver, DEIS,
// UniPC), falling, without the final level. The model is told whole timesteps: fractions are cut off,
// but those of Karras and Lu levels are rounded if rounded is set.
func (p Params) dpmSchedule(bar []float32, steps int, rounded bool) (timesteps []float32, sigmas []float64, err error) {
	if p.UseDynamicShifting {
		return nil, nil, errors.New("use_dynamic_shifting is only supported by FlowMatchEulerDiscreteScheduler")
	}
	table := trainSigmas(bar)
	var t []float64
	switch {
	case p.UseFlowSigmas:
		t, sigmas = p.flowSigmas(steps)
	case p.UseLuLambdas:
		sigmas = luSigmas(logSigmas(table), steps)
	case p.respaced():
		sigmas = p.respace(float64(table[len(table)-1]), float64(table[0]), steps)
	default:
		last := p.NumTrainTimesteps - clipped(bar, float64(p.LambdaMinClipped))
		if last < 1 {
			return nil, nil, fmt.Errorf("lambda_min_clipped is %g: no timestep is left", p.LambdaMinClipped)
		}
		t = p.solverTimesteps(last, steps)
		for _, v := range t {
			sigmas = append(sigmas, interp(v, table))
		}
	}
	if t == nil {
		logs := logSigmas(table)
		for _, s := range sigmas {
			t = append(t, timestepOf(s, logs))
		}
		if rounded && (p.UseKarrasSigmas || p.UseLuLambdas) {
			round(t)
		}
	}
	for i := range t {
		t[i] = math.Trunc(t[i])
	}
	return float32s(t), sigmas, nil
}

// clipped counts the noisiest timesteps, whose lambda lies below lambda_min_clipped.
func clipped(bar []float32, lambda float64) int {
	n := 0
	if math.IsInf(lambda, -1) {
		return n
	}
	for _, b := range bar {
		l := float32(math.Log(float64(sqrt32(b)))) - float32(math.Log(float64(sqrt32(1-b))))
		if float64(l) < lambda {
			n++
		}
	}
	return n
}

// luSigmas spaces lambda evenly (Lu et al. 2022, "DPM-Solver", section 3.4).
func luSigmas(logs []float32, n int) []float64 {
	from, to := float64(logs[len(logs)-1]), float64(logs[0])
	s := linspace(0, 1, n)
	for i := range s {
		s[i] = math.Exp(from + float64(s[i]*(to-from)))
	}
	return s
}

// flowSigmas spaces the noise levels of flow matching evenly and shifts them towards noise by
// flow_shift (Esser et al. 2024, "Scaling Rectified Flow Transformers", equation 23).
func (p Params) flowSigmas(n int) (timesteps, sigmas []float64) {
	sigmas = linspace(1, 1/float64(p.NumTrainTimesteps), n+1)
	for i, a := range sigmas {
		sigmas[i] = shifted(1-a, p.FlowShift)
	}
	reverse(sigmas)
	sigmas = sigmas[:n]
	for _, s := range sigmas {
		timesteps = append(timesteps, s*float64(p.NumTrainTimesteps))
	}
	return timesteps, sigmas
}

// shifted moves a flow-matching noise level towards 1 for shift > 1.
func shifted(sigma, shift float64) float64 { return shift * sigma / (1 + (shift-1)*sigma) }

// newSolverTable is the table of a sampler of the DPM-Solver family, whose model input is the sample.
// The prediction is for the samples at the calls.
func (p Params) newSolverTable(timesteps, sigmas []float32) (table, prediction) {
	var alphas, deviations []float32
	for _, point := range p.dpmPoints(sigmas[:len(timesteps)]) {
		alphas = append(alphas, float32(point.alpha))
		deviations = append(deviations, float32(point.sigma))
	}
	return table{timesteps: timesteps, sigmas: sigmas, initSigma: 1}, newPrediction(p, alphas, deviations)
}
