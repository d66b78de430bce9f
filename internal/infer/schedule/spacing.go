package schedule

import "math"

// timesteps lays n timesteps over the model's training timesteps, latest first, as timestep_spacing
// says (Lin et al. 2023, table 2). Only linspace gives fractions.
func (p Params) timesteps(n int) []float64 {
	total := p.NumTrainTimesteps
	switch p.TimestepSpacing {
	case "leading":
		return leading(total/n, n, p.StepsOffset)
	case "trailing":
		return trailing(total, total, n)
	}
	t := linspace(0, float64(total-1), n)
	reverse(t)
	return t
}

// solverTimesteps is timesteps for the DPM-Solver family, which lays n+1 points over the timesteps
// below last and drops the one at the clean end. All are whole. With last below the number of training
// timesteps and trailing spacing there are fewer than n.
func (p Params) solverTimesteps(last, n int) []float64 {
	switch p.TimestepSpacing {
	case "leading":
		return leading(last/(n+1), n+1, p.StepsOffset)[:n]
	case "trailing":
		return trailing(p.NumTrainTimesteps, last, n)
	}
	t := linspace(0, float64(last-1), n+1)
	reverse(t)
	return round(t)[:n]
}

// leading is offset plus n multiples of step, the highest first.
func leading(step, n, offset int) []float64 {
	t := make([]float64, n)
	for i := range t {
		t[i] = float64((n-1-i)*step + offset)
	}
	return t
}

// trailing steps down from last by total/n. Where numpy.arange yields one value too many, about zero,
// because total/n was rounded, diffusers asks the model about timestep -1; this does not.
func trailing(total, last, n int) []float64 {
	// arange repeats the rounded difference of its first two values.
	second := float64(last) - float64(total)/float64(n)
	delta := second - float64(last)
	t := make([]float64, 0, n)
	for i := range n {
		v := math.RoundToEven(float64(last) + float64(float64(i)*delta))
		if v < 1 {
			break
		}
		t = append(t, v-1)
	}
	return t
}

// overshoots says whether numpy.arange(total, 0, -total/n) yields the value too many that trailing leaves out.
func overshoots(total, n int) bool {
	return math.Ceil(float64(total)/(float64(total)/float64(n))) > float64(n)
}

// round rounds in place as numpy does, halves to even.
func round(v []float64) []float64 {
	for i := range v {
		v[i] = math.RoundToEven(v[i])
	}
	return v
}

func reverse(v []float64) {
	for i, j := 0, len(v)-1; i < j; i, j = i+1, j-1 {
		v[i], v[j] = v[j], v[i]
	}
}

// float32s narrows v.
func float32s(v []float64) []float32 {
	f := make([]float32, len(v))
	for i := range v {
		f[i] = float32(v[i])
	}
	return f
}
