package schedule

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Params are the settings of one sampler: the fields of scheduler_config.json that any of the classes
// knows, under diffusers' names, with that file's meaning.
type Params struct {
	NumTrainTimesteps   int       `json:"num_train_timesteps"`
	BetaStart           float64   `json:"beta_start"`
	BetaEnd             float64   `json:"beta_end"`
	BetaSchedule        string    `json:"beta_schedule"` // linear, scaled_linear, squaredcos_cap_v2
	TrainedBetas        []float64 `json:"trained_betas"`
	RescaleBetasZeroSNR bool      `json:"rescale_betas_zero_snr"`
	PredictionType      string    `json:"prediction_type"` // epsilon, v_prediction, sample, flow_prediction

	TimestepSpacing string `json:"timestep_spacing"` // leading, trailing, linspace
	StepsOffset     int    `json:"steps_offset"`
	TimestepType    string `json:"timestep_type"` // discrete, continuous

	InterpolationType    string   `json:"interpolation_type"` // linear, log_linear
	UseKarrasSigmas      bool     `json:"use_karras_sigmas"`
	UseExponentialSigmas bool     `json:"use_exponential_sigmas"`
	UseBetaSigmas        bool     `json:"use_beta_sigmas"`
	UseLuLambdas         bool     `json:"use_lu_lambdas"`
	UseFlowSigmas        bool     `json:"use_flow_sigmas"`
	SigmaMin             *float64 `json:"sigma_min"`
	SigmaMax             *float64 `json:"sigma_max"`
	FinalSigmasType      string   `json:"final_sigmas_type"` // zero, sigma_min
	LambdaMinClipped     extended `json:"lambda_min_clipped"`

	SetAlphaToOne            bool    `json:"set_alpha_to_one"`
	SkipPRKSteps             bool    `json:"skip_prk_steps"`
	VarianceType             string  `json:"variance_type"`
	ClipSample               bool    `json:"clip_sample"`
	ClipSampleRange          float64 `json:"clip_sample_range"`
	Thresholding             bool    `json:"thresholding"`
	DynamicThresholdingRatio float64 `json:"dynamic_thresholding_ratio"`
	SampleMaxValue           float64 `json:"sample_max_value"`

	SolverOrder      int    `json:"solver_order"`
	AlgorithmType    string `json:"algorithm_type"`
	SolverType       string `json:"solver_type"`
	LowerOrderFinal  bool   `json:"lower_order_final"`
	EulerAtFinal     bool   `json:"euler_at_final"`
	PredictX0        bool   `json:"predict_x0"`
	DisableCorrector []int  `json:"disable_corrector"`

	OriginalInferenceSteps int     `json:"original_inference_steps"`
	TimestepScaling        float64 `json:"timestep_scaling"`

	FlowShift          float64  `json:"flow_shift"`
	Shift              float64  `json:"shift"`
	ShiftTerminal      *float64 `json:"shift_terminal"`
	UseDynamicShifting bool     `json:"use_dynamic_shifting"`
	TimeShiftType      string   `json:"time_shift_type"` // exponential, linear
	BaseShift          float64  `json:"base_shift"`
	MaxShift           float64  `json:"max_shift"`
	BaseImageSeqLen    int      `json:"base_image_seq_len"`
	MaxImageSeqLen     int      `json:"max_image_seq_len"`
	InvertSigmas       bool     `json:"invert_sigmas"`
	StochasticSampling bool     `json:"stochastic_sampling"`
}

// defaults are the values most classes share. A class changes what differs; fields it does not know
// keep these, which stand for "off".
func defaults() Params {
	return Params{
		NumTrainTimesteps: 1000, BetaStart: 0.0001, BetaEnd: 0.02, BetaSchedule: "linear", PredictionType: "epsilon",
		TimestepSpacing: "linspace", TimestepType: "discrete", InterpolationType: "linear", FinalSigmasType: "zero",
		LambdaMinClipped: extended(math.Inf(-1)), ClipSampleRange: 1, DynamicThresholdingRatio: 0.995, SampleMaxValue: 1,
		SolverOrder: 2, PredictX0: true, OriginalInferenceSteps: 50, TimestepScaling: 10,
		FlowShift: 1, Shift: 1, TimeShiftType: "exponential", BaseShift: 0.5, MaxShift: 1.15, BaseImageSeqLen: 256, MaxImageSeqLen: 4096,
	}
}

// maxTrainTimesteps bounds the tables a model folder can make a worker build; models have 1000.
const maxTrainTimesteps = 100_000

// validate reports every field that is out of range, by its name in the JSON. What a class takes
// beyond that (solver types, prediction types) the class itself checks.
func (p Params) validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	oneOf := func(field, got string, known ...string) {
		check(slices.Contains(known, got), "%s is %q: must be one of %s", field, got, strings.Join(known, ", "))
	}
	within := func(field string, got, low, high float64) {
		check(got >= low && got <= high, "%s is %g: must be from %g to %g", field, got, low, high)
	}
	const huge = 1e6 // far past any sensible value, far below where float32 overflows

	check(p.NumTrainTimesteps >= 1 && p.NumTrainTimesteps <= maxTrainTimesteps,
		"num_train_timesteps is %d: must be from 1 to %d", p.NumTrainTimesteps, maxTrainTimesteps)
	within("beta_start", p.BetaStart, 0, 1)
	within("beta_end", p.BetaEnd, 0, 1)
	oneOf("beta_schedule", p.BetaSchedule, "linear", "scaled_linear", "squaredcos_cap_v2")
	check(p.TrainedBetas == nil || len(p.TrainedBetas) == p.NumTrainTimesteps,
		"trained_betas has %d values: must have num_train_timesteps, %d", len(p.TrainedBetas), p.NumTrainTimesteps)
	oneOf("prediction_type", p.PredictionType, "epsilon", "v_prediction", "sample", "original_sample", "flow_prediction")
	oneOf("timestep_spacing", p.TimestepSpacing, "leading", "trailing", "linspace")
	check(p.StepsOffset >= 0 && p.StepsOffset < p.NumTrainTimesteps,
		"steps_offset is %d: must be at least 0 and below num_train_timesteps, %d", p.StepsOffset, p.NumTrainTimesteps)
	oneOf("timestep_type", p.TimestepType, "discrete", "continuous")
	oneOf("interpolation_type", p.InterpolationType, "linear", "log_linear")
	oneOf("final_sigmas_type", p.FinalSigmasType, "zero", "sigma_min")

	if p.SigmaMin != nil {
		within("sigma_min", *p.SigmaMin, 1/huge, huge)
	}
	if p.SigmaMax != nil {
		within("sigma_max", *p.SigmaMax, 1/huge, huge)
	}
	check(p.SigmaMin == nil || p.SigmaMax == nil || *p.SigmaMin < *p.SigmaMax, "sigma_min must be below sigma_max")
	spacings := 0
	for _, on := range []bool{p.UseKarrasSigmas, p.UseExponentialSigmas, p.UseBetaSigmas, p.UseLuLambdas, p.UseFlowSigmas} {
		if on {
			spacings++
		}
	}
	check(spacings <= 1, "use_karras_sigmas, use_exponential_sigmas, use_beta_sigmas, use_lu_lambdas and use_flow_sigmas: at most one may be true")

	within("clip_sample_range", p.ClipSampleRange, 1/huge, huge)
	within("dynamic_thresholding_ratio", p.DynamicThresholdingRatio, 0, 1)
	within("sample_max_value", p.SampleMaxValue, 1/huge, huge)
	check(p.SolverOrder >= 1 && p.SolverOrder <= maxOrder, "solver_order is %d: must be from 1 to %d", p.SolverOrder, maxOrder)
	check(p.OriginalInferenceSteps >= 1, "original_inference_steps is %d: must be at least 1", p.OriginalInferenceSteps)
	within("timestep_scaling", p.TimestepScaling, 1/huge, huge)

	within("flow_shift", p.FlowShift, 1/huge, huge)
	within("shift", p.Shift, 1/huge, huge)
	if p.ShiftTerminal != nil {
		check(*p.ShiftTerminal >= 0 && *p.ShiftTerminal < 1, "shift_terminal is %g: must be at least 0 and below 1", *p.ShiftTerminal)
	}
	oneOf("time_shift_type", p.TimeShiftType, "exponential", "linear")
	within("base_shift", p.BaseShift, -10, 10)
	within("max_shift", p.MaxShift, -10, 10)
	check(p.BaseImageSeqLen >= 1 && p.MaxImageSeqLen > p.BaseImageSeqLen,
		"base_image_seq_len is %d and max_image_seq_len %d: must be at least 1 and rising", p.BaseImageSeqLen, p.MaxImageSeqLen)
	return errors.Join(errs...)
}

// extended is a float64 that in JSON may be one of Python's Infinity, -Infinity and NaN; see
// StandardJSON.
type extended float64

// UnmarshalJSON implements [json.Unmarshaler].
func (e *extended) UnmarshalJSON(b []byte) error {
	switch s := string(b); s {
	case "null": // left out
	case `"Infinity"`:
		*e = extended(math.Inf(1))
	case `"-Infinity"`:
		*e = extended(math.Inf(-1))
	case `"NaN"`:
		return errors.New("NaN is no number")
	default:
		return json.Unmarshal(b, (*float64)(e))
	}
	return nil
}
