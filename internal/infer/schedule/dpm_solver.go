package schedule

import (
	"errors"
	"fmt"
	"math"
	"strings"
)

// dpmPoint is a noise level as the DPM-Solver family sees it: a sample is alpha·picture + sigma·noise,
// and lambda is half the logarithm of the signal-to-noise ratio.
type dpmPoint struct{ alpha, sigma, lambda float64 }

// dpmPoints computes the points in float32, as torch does: a step is a difference of two lambdas, and
// its rounding is part of the result.
func (p Params) dpmPoints(sigmas []float32) []dpmPoint {
	points := make([]dpmPoint, len(sigmas))
	for i, s := range sigmas {
		alpha := 1 / inputScale(s)
		sigma := s * alpha
		if p.UseFlowSigmas {
			alpha, sigma = 1-s, s
		}
		lambda := float32(math.Log(float64(alpha))) - float32(math.Log(float64(sigma)))
		points[i] = dpmPoint{float64(alpha), float64(sigma), float64(lambda)}
	}
	return points
}

// dpmTerms are the weights, in an exponential integrator step from one point to another, of the sample,
// of the solver's variable (the predicted picture or the predicted noise), of its first and second
// derivative in units of the step, and of fresh noise.
type dpmTerms struct{ x, d0, d1, d2, noise float64 }

// dpmStep returns the terms of a step: formulas of Lu et al. 2022, "DPM-Solver" (dpmsolver) and
// "DPM-Solver++" (dpmsolver++, algorithm 2, and the SDE variants of its section 6). solver_type heun
// integrates the first derivative exactly, midpoint takes half of d0 for it.
func (p Params) dpmStep(from, to dpmPoint) dpmTerms {
	h := to.lambda - from.lambda
	var t dpmTerms
	switch p.AlgorithmType {
	case "dpmsolver":
		e := math.Expm1(h)
		t = dpmTerms{x: to.alpha / from.alpha, d0: -to.sigma * e, d1: -to.sigma * (e/h - 1), d2: -to.sigma * ((e-h)/(h*h) - 0.5)}
	case "sde-dpmsolver":
		e := math.Expm1(h)
		t = dpmTerms{x: to.alpha / from.alpha, d0: -2 * to.sigma * e, d1: -2 * to.sigma * (e/h - 1), noise: to.sigma * math.Sqrt(math.Expm1(2*h))}
	case "sde-dpmsolver++":
		e := math.Expm1(-2 * h)
		t = dpmTerms{x: to.sigma / from.sigma * math.Exp(-h), d0: -to.alpha * e, d1: to.alpha * (e/(2*h) + 1),
			d2: to.alpha * ((-e-2*h)/(4*h*h) - 0.5), noise: to.sigma * math.Sqrt(-e)}
	default: // dpmsolver++
		e := math.Expm1(-h)
		t = dpmTerms{x: to.sigma / from.sigma, d0: -to.alpha * e, d1: to.alpha * (e/h + 1), d2: -to.alpha * ((e+h)/(h*h) - 0.5)}
	}
	return t
}

// predictsPicture says whether the solver's variable is the predicted picture and not the noise.
func (p Params) predictsPicture() bool {
	return p.AlgorithmType == "dpmsolver++" || p.AlgorithmType == "sde-dpmsolver++"
}

// stochastic says whether the solver draws noise at each step.
func (p Params) stochastic() bool {
	return p.AlgorithmType == "sde-dpmsolver" || p.AlgorithmType == "sde-dpmsolver++"
}

// adoptDPM reads the solver settings of the sibling classes as diffusers does, and refuses what the
// DPM-Solver classes cannot do.
func adoptDPM(p *Params) error {
	switch p.AlgorithmType {
	case "dpmsolver", "dpmsolver++", "sde-dpmsolver", "sde-dpmsolver++":
	case "deis":
		p.AlgorithmType = "dpmsolver++"
	default:
		return fmt.Errorf("algorithm_type is %q: must be dpmsolver, dpmsolver++, sde-dpmsolver or sde-dpmsolver++", p.AlgorithmType)
	}
	switch p.SolverType {
	case "midpoint", "heun":
	case "logrho", "bh1", "bh2":
		p.SolverType = "midpoint"
	default:
		return fmt.Errorf("solver_type is %q: must be midpoint or heun", p.SolverType)
	}
	switch {
	case !p.predictsPicture() && p.FinalSigmasType == "zero":
		return fmt.Errorf("algorithm_type %s cannot end at noise level 0: set final_sigmas_type to sigma_min", p.AlgorithmType)
	case !p.predictsPicture() && p.PredictionType == "flow_prediction":
		return fmt.Errorf("algorithm_type %s does not take flow_prediction: use dpmsolver++", p.AlgorithmType)
	case p.AlgorithmType == "sde-dpmsolver" && p.SolverOrder > 2:
		return errors.New("algorithm_type sde-dpmsolver has no third order: set solver_order to 1 or 2")
	}
	return refuseLearnedVariance(p)
}

// refuseLearnedVariance refuses models whose output has the variance in further channels: a sampler
// sees as many values as the latent has.
func refuseLearnedVariance(p *Params) error {
	if strings.HasPrefix(p.VarianceType, "learned") {
		return fmt.Errorf("variance_type is %q: models that also predict their variance are not supported", p.VarianceType)
	}
	return nil
}
