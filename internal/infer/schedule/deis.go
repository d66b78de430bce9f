package schedule

import (
	"fmt"
	"math"
)

// deis is the diffusion exponential integrator sampler of Zhang and Chen 2022, "Fast Sampling of
// Diffusion Models with Exponential Integrator", with polynomials in log rho, the logarithm of the
// noise level.
type deis struct {
	table
	prediction prediction
	order      int
	steps      []combination
}

func deisClass() class {
	d := defaults()
	d.AlgorithmType, d.SolverType, d.LowerOrderFinal = "deis", "logrho", true
	d.FinalSigmasType = "sigma_min" // it has no choice
	return class{
		name: "DEISMultistepScheduler",
		fields: betaFields + sigmaFields + spacingFields + thresholdFields + "solver_order algorithm_type solver_type lower_order_final " +
			"use_flow_sigmas flow_shift use_dynamic_shifting time_shift_type",
		defaults:    d,
		predictions: "epsilon v_prediction sample flow_prediction",
		adopt:       adoptDEIS,
		build:       newDEIS,
	}
}

func adoptDEIS(p *Params) error {
	switch p.AlgorithmType {
	case "deis", "dpmsolver", "dpmsolver++":
		p.AlgorithmType = "deis"
	default:
		return fmt.Errorf("algorithm_type is %q: must be deis", p.AlgorithmType)
	}
	switch p.SolverType {
	case "logrho", "midpoint", "heun", "bh1", "bh2":
		p.SolverType = "logrho"
	default:
		return fmt.Errorf("solver_type is %q: must be logrho", p.SolverType)
	}
	return nil
}

func newDEIS(p Params, steps int) (Sampler, error) {
	bar, err := p.alphasCumprod()
	if err != nil {
		return nil, err
	}
	timesteps, levels, err := p.dpmSchedule(bar, steps, true)
	if err != nil {
		return nil, err
	}
	last := levels[len(levels)-1] // respaced levels end where they are
	if !p.respaced() && !p.UseFlowSigmas {
		last = float64(sigmaOf(bar[0]))
	}
	sigmas := float32s(append(levels, last))
	s := &deis{order: p.SolverOrder, steps: make([]combination, len(timesteps))}
	s.table, s.prediction = p.newSolverTable(timesteps, sigmas)
	points := p.dpmPoints(sigmas)
	for i := range s.steps {
		s.steps[i] = deisStep(points, i, p.multistepOrder(i, len(timesteps)))
	}
	return s, s.seal("deis", p.SolverOrder, s.prediction.coefficients(), inverse(s.prediction.sigmas), weights(s.steps))
}

// deisStep returns the combination of call i: the weights of the predicted noises are integrals of
// Lagrange polynomials in log rho from one level to the next.
func deisStep(points []dpmPoint, i, order int) combination {
	from, to := points[i], points[i+1]
	c := combination{x: float32(to.alpha / from.alpha)}
	if order == 1 {
		c.m[0] = float32(-to.sigma * math.Expm1(to.lambda-from.lambda))
		return c
	}
	rho := func(p dpmPoint) float64 { return p.sigma / p.alpha }
	var logs [maxOrder]float64
	for k := range order {
		logs[k] = math.Log(rho(points[i-k]))
	}
	for k := range order {
		var others []float64
		denominator := 1.0
		for j := range order {
			if j != k {
				others = append(others, logs[j])
				denominator *= logs[k] - logs[j]
			}
		}
		integral := logIntegral(rho(to), others) - logIntegral(rho(from), others)
		c.m[k] = float32(to.alpha * integral / denominator)
	}
	return c
}

// logIntegral is the antiderivative, at rho, of the product of (log rho - r) over one or two roots r.
func logIntegral(rho float64, roots []float64) float64 {
	l := math.Log(rho)
	if len(roots) == 1 {
		return rho * (l - roots[0] - 1)
	}
	return rho * (roots[0]*(roots[1]-l+1) - roots[1]*l + roots[1] + l*l - 2*l + 2)
}

// Step implements [Sampler].
func (s *deis) Step(x, out []float32, i int, _ func(dst []float32)) {
	s.begin(x, out, i)
	var m [maxTerms][]float32
	s.last(&m, i, s.order)
	s.prediction.predict(m[0], x, out, i)
	s.prediction.noiseOf(m[0], x, i)
	s.steps[i].apply(x, x, &m, nil)
}
