package schedule

import "errors"

// pndm is the pseudo linear multistep method of Liu et al. 2022, "Pseudo Numerical Methods for
// Diffusion Models on Manifolds". It starts with three pseudo Runge-Kutta steps of four model calls
// each or, with skip_prk_steps, with one pseudo improved Euler step of two.
type pndm struct {
	table
	steps []pndmStep
}

// pndmStep is what follows one model call.
type pndmStep struct {
	combination               // of a sample and of remembered model outputs
	outputs     [maxTerms]int // the rows of those outputs
	row         int           // where this call's output is remembered
	keep        bool          // whether the sample is kept as the base
	base        bool          // whether the step starts from the base kept last
}

// Rows of history: first the ring of outputs that the multistep formula mixes, then the further outputs
// of a starting step and the sample it started from.
const (
	pndmRing  = 4
	pndmStart = pndmRing
	pndmBase  = pndmStart + 3
	pndmRows  = pndmBase + 1
)

func pndmClass() class {
	d := defaults()
	d.TimestepSpacing = "leading"
	return class{
		name:        "PNDMScheduler",
		fields:      betaFields + spacingFields + "skip_prk_steps set_alpha_to_one",
		defaults:    d,
		predictions: "epsilon v_prediction",
		build:       newPNDM,
	}
}

func newPNDM(p Params, steps int) (Sampler, error) {
	bar, err := p.alphasCumprod()
	if err != nil {
		return nil, err
	}
	t := make([]int, steps)
	for i, v := range round(p.timesteps(steps)) {
		t[i] = int(v)
	}
	stride := p.NumTrainTimesteps / steps
	s := &pndm{table: table{initSigma: 1}}
	var first error
	// add puts the call at timestep at, which moves along the curve of the mixed outputs.
	add := func(at, from, to int, step pndmStep, mix ...float32) {
		if err := step.transfer(p, bar, from, to, mix); err != nil && first == nil {
			first = err
		}
		s.timesteps = append(s.timesteps, float32(at))
		s.steps = append(s.steps, step)
	}
	multistep := t // what the multistep formula goes through
	remembered := 0
	switch {
	case p.SkipPRKSteps && steps > 1:
		add(t[0], t[0], t[0]-stride, pndmStep{keep: true}, 1)
		add(t[1], t[1]+stride, t[1], pndmStep{row: pndmStart, base: true, outputs: rows(pndmStart, 0)}, 1./2, 1./2)
		multistep, remembered = t[1:], 1
	case !p.SkipPRKSteps && steps < pndmRing:
		return nil, errors.New("without skip_prk_steps at least 4 steps are needed")
	case !p.SkipPRKSteps:
		half := stride / 2
		for j := range pndmRing - 1 {
			middle, next := t[j+1]+half, t[j+1]
			second, third, fourth := pndmStart, pndmStart+1, pndmStart+2
			add(t[j], t[j], t[j]-half, pndmStep{row: j, keep: true, outputs: rows(j)}, 1)
			add(middle, t[j], middle, pndmStep{row: second, base: true, outputs: rows(second)}, 1)
			add(middle, t[j], middle-half, pndmStep{row: third, base: true, outputs: rows(third)}, 1)
			add(next, t[j], next, pndmStep{row: fourth, base: true, outputs: rows(j, second, third, fourth)}, 1./6, 1./3, 1./3, 1./6)
		}
		multistep, remembered = t[pndmRing-1:], pndmRing-1
	}
	for i, at := range multistep {
		e := remembered + i
		step := pndmStep{row: e % pndmRing}
		for k := range min(e+1, pndmRing) {
			step.outputs[k] = (e - k) % pndmRing
		}
		add(at, at, at-stride, step, adamsBashforth[min(e, pndmRing-1)]...)
	}
	if first != nil {
		return nil, first
	}
	list := make([]combination, len(s.steps))
	for i := range list {
		list[i] = s.steps[i].combination
	}
	return s, s.seal("pndm", pndmRows, weights(list))
}

// adamsBashforth are the weights of the linear multistep formulas of order one to four, latest first.
var adamsBashforth = [pndmRing][]float32{
	{1},
	{3. / 2, -1. / 2},
	{23. / 12, -16. / 12, 5. / 12},
	{55. / 24, -59. / 24, 37. / 24, -9. / 24},
}

func rows(r ...int) (list [maxTerms]int) {
	copy(list[:], r)
	return list
}

// transfer makes the step the transfer part of the paper's formula 11: from one timestep to another
// along the predicted noise, which is a mix of outputs.
func (c *pndmStep) transfer(p Params, bar []float32, from, to int, mix []float32) error {
	a, err := barAt(bar, from)
	if err != nil {
		return err
	}
	b := p.barBefore(bar, to)
	c.x = sqrt32(b / a)
	slope := -(b - a) / (float32(a*sqrt32(1-b)) + sqrt32(a*(1-a)*b))
	if p.PredictionType == "v_prediction" {
		c.x += float32(slope * sqrt32(1-a))
		slope *= sqrt32(a)
	}
	for k, w := range mix {
		c.m[k] = slope * w
	}
	return nil
}

// Step implements [Sampler].
func (s *pndm) Step(x, out []float32, i int, _ func(dst []float32)) {
	s.begin(x, out, i)
	c := &s.steps[i]
	copy(s.row(c.row), out)
	if c.keep {
		copy(s.row(pndmBase), x)
	}
	var m [maxTerms][]float32
	for k, r := range c.outputs {
		m[k] = s.row(r)
	}
	from := x
	if c.base {
		from = s.row(pndmBase)
	}
	c.apply(x, from, &m, nil)
}
