package schedule

import "fmt"

// dpmSinglestep is the singlestep DPM-Solver++ (Lu et al. 2022, algorithm 1). Its steps come in groups
// of one to three calls; each call starts again from the sample at the beginning of its group.
type dpmSinglestep struct {
	table
	prediction prediction
	params     Params
	points     []dpmPoint
	orders     []int // place of each call in its group, from 1
	steps      []combination
}

func dpmSinglestepClass() class {
	d := defaults()
	d.AlgorithmType, d.SolverType = "dpmsolver++", "midpoint"
	return class{
		name: "DPMSolverSinglestepScheduler",
		fields: betaFields + sigmaFields + thresholdFields + "solver_order algorithm_type solver_type lower_order_final use_flow_sigmas " +
			"flow_shift final_sigmas_type lambda_min_clipped variance_type use_dynamic_shifting time_shift_type",
		defaults:    d,
		predictions: "epsilon v_prediction sample flow_prediction",
		adopt:       adoptDPMSinglestep,
		build:       newDPMSinglestep,
	}
}

func adoptDPMSinglestep(p *Params) error {
	if p.AlgorithmType == "sde-dpmsolver" {
		return fmt.Errorf("algorithm_type is %q: must be dpmsolver, dpmsolver++ or sde-dpmsolver++", p.AlgorithmType)
	}
	return adoptDPM(p)
}

func newDPMSinglestep(p Params, steps int) (Sampler, error) {
	bar, err := p.alphasCumprod()
	if err != nil {
		return nil, err
	}
	timesteps, levels, err := p.dpmSchedule(bar, steps, true)
	if err != nil {
		return nil, err
	}
	sigmas := append(float32s(levels), 0)
	if p.FinalSigmasType == "sigma_min" {
		sigmas[len(levels)] = sigmaOf(bar[0])
	}
	s := &dpmSinglestep{params: p, points: p.dpmPoints(sigmas), orders: p.singlestepOrders(len(timesteps)), steps: make([]combination, len(timesteps))}
	s.table, s.prediction = p.newSolverTable(timesteps, sigmas)
	for i := range s.steps {
		s.steps[i] = s.step(i, s.orders[i])
	}
	return s, s.seal("dpm_singlestep", p.SolverOrder+1, s.prediction.coefficients(), weights(s.steps))
}

// singlestepOrders cuts n calls into groups of solver_order. A last call of its own, of order one, ends
// the schedule where the last level is 0 or lower_order_final asks for it. (Diffusers turns
// lower_order_final on where n does not fit, which then changes nothing.)
func (p Params) singlestepOrders(n int) []int {
	orders := make([]int, n)
	for i := range orders {
		orders[i] = i%p.SolverOrder + 1
	}
	if p.FinalSigmasType == "zero" || p.LowerOrderFinal && n%p.SolverOrder == 0 {
		orders[n-1] = 1
	}
	return orders
}

// step returns the combination of call i, the order-th of its group, over the predictions of the group.
// The derivatives are divided differences over lambda against the first of them.
func (s *dpmSinglestep) step(i, order int) combination {
	start := s.points[i-order+1]
	t := s.params.dpmStep(start, s.points[i+1])
	h := s.points[i+1].lambda - start.lambda
	midpoint := s.params.SolverType == "midpoint"
	var w [maxOrder]float64
	w[order-1] = t.d0
	switch order {
	case 2:
		r0 := (s.points[i].lambda - start.lambda) / h
		d1 := t.d1
		if midpoint {
			d1 = t.d0 / 2
		}
		w[0] += d1 / r0
		w[1] -= d1 / r0
	case 3:
		r0, r1 := (s.points[i].lambda-start.lambda)/h, (s.points[i-1].lambda-start.lambda)/h
		near, far := t.d1, 0.0 // of the differences of the third and of the second prediction to the first
		if !midpoint {
			near, far = (2*t.d2-r1*t.d1)/(r0-r1), (r0*t.d1-2*t.d2)/(r0-r1)
		}
		w[0] += near / r0
		w[1] += far / r1
		w[2] -= near/r0 + far/r1
	}
	return combination{x: float32(t.x), m: [maxTerms]float32{float32(w[0]), float32(w[1]), float32(w[2])}, noise: float32(t.noise)}
}

// Step implements [Sampler]. The SDE variant draws noise once.
func (s *dpmSinglestep) Step(x, out []float32, i int, noise func(dst []float32)) {
	s.begin(x, out, i)
	var m [maxTerms][]float32
	s.last(&m, i, s.params.SolverOrder)
	if s.params.predictsPicture() {
		s.prediction.predict(m[0], x, out, i)
	} else {
		s.prediction.predictNoise(m[0], x, out, i)
	}
	fresh := s.scratchRow(0)
	if s.params.stochastic() {
		noise(fresh)
	}
	start := s.row(s.params.SolverOrder)
	if s.orders[i] == 1 {
		copy(start, x)
	}
	s.steps[i].apply(x, start, &m, fresh)
}
