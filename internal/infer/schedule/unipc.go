package schedule

import (
	"fmt"
	"math"
	"slices"
)

// unipc is the unified predictor-corrector of Zhao et al. 2023, "UniPC" (UniP-p and UniC-p with B(h) of
// type bh1 or bh2): the output at a noise level first corrects the sample that was predicted there.
type unipc struct {
	table
	prediction  prediction
	predictsX0  bool
	ring        int           // remembered outputs: those of the order, and the new one
	corrections []combination // over the last sample and the outputs, the new one first; x is 0 for none
	steps       []combination // over the corrected sample and the outputs
}

func unipcClass() class {
	d := defaults()
	d.SolverType, d.LowerOrderFinal = "bh2", true
	return class{
		name: "UniPCMultistepScheduler",
		fields: betaFields + sigmaFields + spacingFields + thresholdFields + "solver_order predict_x0 solver_type lower_order_final " +
			"disable_corrector use_flow_sigmas flow_shift final_sigmas_type rescale_betas_zero_snr use_dynamic_shifting time_shift_type shift_terminal",
		defaults:    d,
		predictions: "epsilon v_prediction sample flow_prediction",
		adopt:       adoptUniPC,
		build:       newUniPC,
	}
}

func adoptUniPC(p *Params) error {
	switch p.SolverType {
	case "bh1", "bh2":
	case "midpoint", "heun", "logrho":
		p.SolverType = "bh2"
	default:
		return fmt.Errorf("solver_type is %q: must be bh1 or bh2", p.SolverType)
	}
	if !p.PredictX0 && p.PredictionType == "flow_prediction" {
		return fmt.Errorf("flow_prediction needs predict_x0")
	}
	return nil
}

func newUniPC(p Params, steps int) (Sampler, error) {
	bar, err := p.flooredAlphasCumprod()
	if err != nil {
		return nil, err
	}
	timesteps, sigmas, err := p.unipcSchedule(bar, steps)
	if err != nil {
		return nil, err
	}
	n := len(timesteps)
	s := &unipc{predictsX0: p.PredictX0, ring: p.SolverOrder + 1, corrections: make([]combination, n), steps: make([]combination, n)}
	s.table, s.prediction = p.newSolverTable(timesteps, sigmas)
	points := p.dpmPoints(sigmas)
	orderBefore := 0
	for i := range n {
		order := min(p.SolverOrder, i+1)
		if p.LowerOrderFinal {
			order = min(order, n-i)
		}
		if i > 0 && !slices.Contains(p.DisableCorrector, i-1) {
			s.corrections[i] = p.unipcStep(points, i-1, orderBefore, true)
		}
		s.steps[i] = p.unipcStep(points, i, order, false)
		orderBefore = order
	}
	return s, s.seal("unipc", s.ring+1, s.prediction.coefficients(), weights(s.corrections), weights(s.steps))
}

// unipcSchedule is dpmSchedule with the final level, and with UniPC's own flow-matching levels.
func (p Params) unipcSchedule(bar []float32, steps int) (timesteps, sigmas []float32, err error) {
	var levels []float64
	if p.UseFlowSigmas && !p.UseDynamicShifting {
		levels = linspace(1, 1/float64(p.NumTrainTimesteps), steps+1)[:steps]
		for i, v := range levels {
			levels[i] = shifted(v, p.FlowShift)
		}
		if p.ShiftTerminal != nil && *p.ShiftTerminal != 0 {
			stretch(levels, *p.ShiftTerminal)
		}
		const epsilon = 1e-6 // keeps the first level, all noise, from an infinite lambda
		if math.Abs(levels[0]-1) < epsilon {
			levels[0] -= epsilon
		}
		for _, v := range levels {
			timesteps = append(timesteps, float32(math.Trunc(v*float64(p.NumTrainTimesteps))))
		}
	} else if timesteps, levels, err = p.dpmSchedule(bar, steps, true); err != nil {
		return nil, nil, err
	}
	last := 0.0
	if p.FinalSigmasType == "sigma_min" {
		last = levels[len(levels)-1]
		if !p.respaced() && !p.UseFlowSigmas {
			last = float64(sigmaOf(bar[0]))
		}
	}
	return timesteps, float32s(append(levels, last)), nil
}

// unipcStep returns the weights of the step from level i to i+1 of a given order: UniP over the outputs
// at levels i, i-1, …, or, as a corrector, UniC over those and, first, the output at level i+1.
func (p Params) unipcStep(points []dpmPoint, i, order int, corrector bool) combination {
	from, to := points[i], points[i+1]
	h := to.lambda - from.lambda
	x, scale, hh := to.sigma/from.sigma, to.alpha, -h
	if !p.PredictX0 {
		x, scale, hh = to.alpha/from.alpha, to.sigma, h
	}
	growth := math.Expm1(hh)
	bh := growth
	if p.SolverType == "bh1" {
		bh = hh
	}

	// Places of the other outputs relative to level i, in steps; the corrector's own is at 1.
	var places []float64
	for k := 1; k < order; k++ {
		places = append(places, (points[i-k].lambda-from.lambda)/h)
	}
	if corrector {
		places = append(places, 1)
	}
	rhos := unipcRhos(places, hh, growth, bh)
	if len(places) == 1 && (corrector && order == 1 || !corrector && order == 2) {
		rhos = []float64{0.5}
	}

	var w [maxTerms]float64 // of the outputs at levels i, i-1, … and, last, i+1
	w[0] = -scale * growth
	for k, place := range places {
		term := -scale * bh * rhos[k] / place
		w[0] -= term
		w[k+1] += term
	}
	c := combination{x: float32(x)}
	for k := range order {
		c.m[k] = float32(w[k])
	}
	if corrector {
		copy(c.m[1:], c.m[:order])
		c.m[0] = float32(w[order])
	}
	return c
}

// unipcRhos solves formula 11 of the paper: the powers of the places, weighted, give the first terms
// of the exponential integrator.
func unipcRhos(places []float64, hh, growth, bh float64) []float64 {
	n := len(places)
	matrix, right := make([][]float64, n), make([]float64, n)
	phi, factorial := growth/hh-1, 1.0
	for row := range n {
		matrix[row] = make([]float64, n)
		for k, place := range places {
			matrix[row][k] = math.Pow(place, float64(row))
		}
		right[row] = phi * factorial / bh
		factorial *= float64(row + 2)
		phi = phi/hh - 1/factorial
	}
	return solve(matrix, right)
}

// Step implements [Sampler].
func (s *unipc) Step(x, out []float32, i int, _ func(dst []float32)) {
	s.begin(x, out, i)
	var m [maxTerms][]float32
	s.last(&m, i, s.ring)
	if s.predictsX0 {
		s.prediction.predict(m[0], x, out, i)
	} else {
		s.prediction.noise[i].apply(m[0], x, out)
	}
	sample := s.row(s.ring)
	if c := &s.corrections[i]; c.x != 0 {
		c.apply(x, sample, &m, nil)
	}
	copy(sample, x)
	s.steps[i].apply(x, x, &m, nil)
}
