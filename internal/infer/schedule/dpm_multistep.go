package schedule

// dpmMultistep is the multistep DPM-Solver++ (Lu et al. 2022) with its SDE variants, and DPM-Solver.
type dpmMultistep struct {
	table
	prediction prediction
	params     Params
	points     []dpmPoint
	steps      []combination
}

func dpmMultistepClass() class {
	d := defaults()
	d.AlgorithmType, d.SolverType, d.LowerOrderFinal = "dpmsolver++", "midpoint", true
	return class{
		name: "DPMSolverMultistepScheduler",
		fields: betaFields + sigmaFields + spacingFields + thresholdFields + "solver_order algorithm_type solver_type lower_order_final " +
			"euler_at_final use_lu_lambdas use_flow_sigmas flow_shift final_sigmas_type lambda_min_clipped variance_type " +
			"rescale_betas_zero_snr use_dynamic_shifting time_shift_type",
		defaults:    d,
		predictions: "epsilon v_prediction sample flow_prediction",
		adopt:       adoptDPM,
		build:       newDPMMultistep,
	}
}

func newDPMMultistep(p Params, steps int) (Sampler, error) {
	bar, err := p.flooredAlphasCumprod()
	if err != nil {
		return nil, err
	}
	timesteps, levels, err := p.dpmSchedule(bar, steps, p.BetaSchedule != "squaredcos_cap_v2")
	if err != nil {
		return nil, err
	}
	sigmas := append(float32s(levels), 0)
	if p.FinalSigmasType == "sigma_min" {
		sigmas[len(levels)] = sigmaOf(bar[0])
	}
	s := &dpmMultistep{params: p, points: p.dpmPoints(sigmas), steps: make([]combination, len(timesteps))}
	s.table, s.prediction = p.newSolverTable(timesteps, sigmas)
	for i := range s.steps {
		s.steps[i] = s.step(i, p.multistepOrder(i, len(timesteps)))
	}
	return s, s.seal("dpm_multistep", p.SolverOrder, s.prediction.coefficients(), weights(s.steps))
}

// multistepOrder is the order of step i of n: it grows with the history, and falls at the end of short
// schedules, where high orders are unstable.
func (p Params) multistepOrder(i, n int) int {
	order := min(p.SolverOrder, i+1)
	short := p.LowerOrderFinal && n < 15
	switch {
	case i == n-1 && (p.EulerAtFinal || short || p.FinalSigmasType == "zero"):
		return 1
	case i == n-2 && short:
		return min(order, 2)
	}
	return order
}

// step returns the combination of call i. The derivatives are the divided differences of the remembered
// predictions over lambda.
func (s *dpmMultistep) step(i, order int) combination {
	at := s.points
	t := s.params.dpmStep(at[i], at[i+1])
	h := at[i+1].lambda - at[i].lambda
	var w [maxOrder]float64
	w[0] = t.d0
	switch order {
	case 2:
		r := (at[i].lambda - at[i-1].lambda) / h
		d1 := t.d1
		if s.params.SolverType == "midpoint" {
			d1 = t.d0 / 2
		}
		w[0] += d1 / r
		w[1] -= d1 / r
	case 3:
		r0, r1 := (at[i].lambda-at[i-1].lambda)/h, (at[i-1].lambda-at[i-2].lambda)/h
		curve := (t.d1*r0 + t.d2) / (r0 + r1) // of the difference of the two first differences
		near, far := (t.d1+curve)/r0, -curve/r1
		w[0] += near
		w[1] += far - near
		w[2] -= far
	}
	return combination{x: float32(t.x), m: [maxTerms]float32{float32(w[0]), float32(w[1]), float32(w[2])}, noise: float32(t.noise)}
}

// Step implements [Sampler]. The SDE variants draw noise once.
func (s *dpmMultistep) Step(x, out []float32, i int, noise func(dst []float32)) {
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
	s.steps[i].apply(x, x, &m, fresh)
}
