package schedule

import (
	"math"
	"slices"
)

// linear is (x·X + out·OUT) / div for a sample X and the model's output OUT.
type linear struct{ x, out, div float32 }

func (l linear) apply(dst, x, out []float32) {
	for j := range dst {
		dst[j] = (float32(l.x*x[j]) + float32(l.out*out[j])) / l.div
	}
}

// prediction turns the model's output at each call into the picture and the noise that the model sees in
// the sample.
type prediction struct {
	picture []linear // the predicted original sample, x0
	noise   []linear // the predicted epsilon; finite only where the sampler's algebra needs it

	alphas, sigmas []float32 // the weights of both in the sample; nil where the picture's is 1

	clip      float32 // x0 is clamped to [-clip, clip]; 0 for not
	threshold threshold
}

// predict writes the picture to dst.
func (p *prediction) predict(dst, x, out []float32, i int) {
	p.picture[i].apply(dst, x, out)
	switch {
	case p.threshold.on:
		p.threshold.apply(dst)
	case p.clip > 0:
		for j, v := range dst {
			dst[j] = min(max(v, -p.clip), p.clip)
		}
	}
}

// predictNoise writes the noise to dst. Where the picture is clamped it follows from that.
func (p *prediction) predictNoise(dst, x, out []float32, i int) {
	if !p.threshold.on && p.clip == 0 {
		p.noise[i].apply(dst, x, out)
		return
	}
	p.predict(dst, x, out, i)
	p.noiseOf(dst, x, i)
}

// noiseOf replaces a picture by the noise that makes x of it.
func (p *prediction) noiseOf(picture, x []float32, i int) {
	for j, v := range picture {
		picture[j] = (x[j] - float32(p.alphas[i]*v)) / p.sigmas[i]
	}
}

// newPrediction is for samples that are alpha·picture + sigma·noise: both fall and rise from call to
// call. Salimans and Ho 2022, "Progressive Distillation", appendix D, relates the prediction types.
func newPrediction(p Params, alphas, sigmas []float32) prediction {
	q := prediction{picture: make([]linear, len(alphas)), noise: make([]linear, len(alphas)), alphas: alphas, sigmas: sigmas}
	for i, a := range alphas {
		s := sigmas[i]
		switch p.PredictionType {
		case "v_prediction":
			q.picture[i], q.noise[i] = linear{a, -s, 1}, linear{s, a, 1}
		case "sample", "original_sample":
			q.picture[i], q.noise[i] = linear{0, 1, 1}, linear{1, -a, s}
		case "flow_prediction":
			q.picture[i] = linear{1, -s, 1}
			q.noise[i] = linear{1, a, 1}
		default: // epsilon
			q.picture[i], q.noise[i] = linear{1, -s, a}, linear{0, 1, 1}
		}
	}
	if p.Thresholding {
		q.threshold = threshold{on: true, ratio: float32(p.DynamicThresholdingRatio), limit: float32(p.SampleMaxValue)}
	} else if p.ClipSample {
		q.clip = float32(p.ClipSampleRange)
	}
	return q
}

// newSigmaPrediction is for samples that are picture + sigma·noise, the scaling of Karras et al. 2022,
// whose model input is divided by sqrt(sigma²+1).
func newSigmaPrediction(p Params, sigmas []float32) prediction {
	q := prediction{picture: make([]linear, len(sigmas))}
	for i, s := range sigmas {
		square := float32(s*s) + 1
		switch p.PredictionType {
		case "v_prediction":
			q.picture[i] = linear{1 / square, -s / sqrt32(square), 1}
		case "sample", "original_sample":
			q.picture[i] = linear{0, 1, 1}
		default: // epsilon
			q.picture[i] = linear{1, -s, 1}
		}
	}
	if p.ClipSample {
		q.clip = float32(p.ClipSampleRange)
	}
	return q
}

// coefficients lists the numbers for seal, with the inverse of what is divided by.
func (p *prediction) coefficients() []float32 {
	list := make([]float32, 0, 6*len(p.picture))
	for i, l := range p.picture {
		list = append(list, l.x, l.out, 1/l.div)
		if p.noise != nil {
			l = p.noise[i]
			list = append(list, l.x, l.out, 1/l.div)
		}
	}
	return list
}

// inverse lists the inverses of noise levels that a step divides by, for seal.
func inverse(levels []float32) []float32 {
	list := make([]float32, len(levels))
	for i, v := range levels {
		list[i] = 1 / v
	}
	return list
}

// threshold is dynamic thresholding (Saharia et al. 2022, "Imagen", section 2.3): the picture is clamped
// to a quantile of its magnitudes and scaled back to [-1, 1].
type threshold struct {
	on     bool
	ratio  float32 // the quantile
	limit  float32 // no clamp beyond this
	sorted []float32
}

func (t *threshold) apply(x []float32) {
	if len(t.sorted) != len(x) {
		t.sorted = make([]float32, len(x))
	}
	for j, v := range x {
		t.sorted[j] = float32(math.Abs(float64(v)))
	}
	slices.Sort(t.sorted)
	s := min(max(quantile(t.sorted, t.ratio), 1), t.limit)
	for j, v := range x {
		x[j] = min(max(v, -s), s) / s
	}
}

// quantile is torch.quantile of sorted values, with linear interpolation.
func quantile(sorted []float32, q float32) float32 {
	rank := q * float32(len(sorted)-1)
	low := min(int(rank), len(sorted)-1)
	high := min(low+1, len(sorted)-1)
	weight, gap := rank-float32(low), sorted[high]-sorted[low]
	if weight < 0.5 {
		return sorted[low] + float32(weight*gap)
	}
	return sorted[high] - float32(gap*(1-weight))
}
