package ort

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// optionSpec is an option of an execution provider that may be set, by ONNX Runtime's own name. It checks names of values by letter and case; what a
// provider does not know it refuses only when a model is loaded, or, worse, never.
type optionSpec struct {
	name     string
	values   []string // one of these; nil: a number
	min, max int64    // of a number; a size may be written as 20GiB
	size     bool
	standard string // what it is here where nothing is said; "": what ONNX Runtime has
}

var (
	yesOrNo = []string{"0", "1"}

	cudaOptions = []optionSpec{
		{name: "gpu_mem_limit", size: true, min: 64 << 20, max: math.MaxInt64},
		// The same as asked for: by powers of two, a GPU that is nearly full of weights ends at the first large picture.
		{name: "arena_extend_strategy", values: []string{"kSameAsRequested", "kNextPowerOfTwo"}, standard: "kSameAsRequested"},
		// EXHAUSTIVE, ONNX Runtime's own, tries every algorithm on the first call of each shape, in the middle of traffic where a job has a new size.
		{name: "cudnn_conv_algo_search", values: []string{"HEURISTIC", "EXHAUSTIVE", "DEFAULT"}, standard: "HEURISTIC"},
		{name: "cudnn_conv_use_max_workspace", values: yesOrNo},
		{name: "prefer_nhwc", values: yesOrNo},
		{name: "fuse_conv_bias", values: yesOrNo},
		{name: "sdpa_kernel", max: 255},
		// TF32 has float16's precision: pictures of a float32 model would not be those of float32.
		{name: "use_tf32", values: yesOrNo, standard: "0"},
	}

	tensorRTOptions = []optionSpec{
		{name: "trt_fp16_enable", values: yesOrNo}, // where nothing is said: as the graph's inputs are
		{name: "trt_layer_norm_fp32_fallback", values: yesOrNo},
		{name: "trt_max_workspace_size", size: true, min: 64 << 20, max: math.MaxInt64},
		{name: "trt_builder_optimization_level", max: 5},
		{name: "trt_auxiliary_streams", min: -1, max: 8},
		{name: "trt_sparsity_enable", values: yesOrNo},
		{name: "trt_detailed_build_log", values: yesOrNo},
	}

	// unfit are options that exist and would do harm here.
	unfit = map[string]string{
		"device_id":               "set DEVICE (--device)",
		"enable_cuda_graph":       "a graph is captured for one set of device buffers, and calls take tensors in the host's memory",
		"trt_cuda_graph_enable":   "a graph is captured for one set of device buffers, and calls take tensors in the host's memory",
		"user_compute_stream":     "it is an address in memory",
		"trt_engine_cache_enable": "engines are always kept: ENGINE_CACHE (--engine-cache) says where",
		"trt_engine_cache_path":   "set ENGINE_CACHE (--engine-cache)",
		"trt_timing_cache_enable": "timings are always kept, beside the engines",
		"trt_timing_cache_path":   "set ENGINE_CACHE (--engine-cache)",
		"trt_profile_min_shapes":  "shapes follow from MAX_ROWS and ENGINE_SIDES (--engine-sides)",
		"trt_profile_opt_shapes":  "shapes follow from MAX_ROWS and ENGINE_SIDES (--engine-sides)",
		"trt_profile_max_shapes":  "shapes follow from MAX_ROWS and ENGINE_SIDES (--engine-sides)",
	}
)

// ParseProviderOptions reads PROVIDER_OPTIONS: name=value pairs, comma-separated, by ONNX Runtime's names. It joins every problem, each naming the option.
func ParseProviderOptions(s string) (map[string]string, error) {
	options := map[string]string{}
	var errs []error
	for pair := range strings.SplitSeq(s, ",") {
		if pair = strings.TrimSpace(pair); pair == "" {
			continue
		}
		name, value, ok := strings.Cut(pair, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		_, twice := options[name]
		switch {
		case !ok:
			errs = append(errs, fmt.Errorf("%q is not name=value", pair))
			continue
		case twice:
			errs = append(errs, fmt.Errorf("%s stands twice", name))
			continue
		}
		var err error
		if options[name], err = checkOption(name, value); err != nil {
			errs = append(errs, err)
		}
	}
	return options, errors.Join(errs...)
}

// checkOption returns value as ONNX Runtime reads it.
func checkOption(name, value string) (string, error) {
	all := slices.Concat(cudaOptions, tensorRTOptions)
	i := slices.IndexFunc(all, func(o optionSpec) bool { return o.name == name })
	if i < 0 {
		if why, known := unfit[name]; known {
			return "", fmt.Errorf("%s cannot be set: %s", name, why)
		}
		names := make([]string, len(all))
		for i, o := range all {
			names[i] = o.name
		}
		return "", fmt.Errorf("%q is no option that can be set: those are %s", name, strings.Join(names, ", "))
	}
	return all[i].check(value)
}

func (o *optionSpec) check(value string) (string, error) {
	if o.values != nil {
		if len(o.values) == len(yesOrNo) && o.values[0] == "0" {
			if b, err := strconv.ParseBool(value); err == nil {
				value = map[bool]string{false: "0", true: "1"}[b]
			}
		}
		if !slices.Contains(o.values, value) {
			return "", fmt.Errorf("%s is %q: must be one of %s", o.name, value, strings.Join(o.values, ", "))
		}
		return value, nil
	}
	number, unit := value, int64(1)
	if o.size {
		for suffix, of := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
			if rest, ok := strings.CutSuffix(value, suffix); ok {
				number, unit = strings.TrimSpace(rest), of
			}
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n > math.MaxInt64/unit || n*unit < o.min || n*unit > o.max {
		if o.size {
			return "", fmt.Errorf("%s is %q: must be a size such as 20GiB, at least %d MiB", o.name, value, o.min>>20)
		}
		return "", fmt.Errorf("%s is %q: must be %d to %d", o.name, value, o.min, o.max)
	}
	return strconv.FormatInt(n*unit, 10), nil
}

// choose returns the options of specs: what was set, else what is standard here.
func choose(specs []optionSpec, set map[string]string) map[string]string {
	chosen := map[string]string{}
	for _, o := range specs {
		if v, ok := set[o.name]; ok {
			chosen[o.name] = v
		} else if o.standard != "" {
			chosen[o.name] = o.standard
		}
	}
	return chosen
}

// CheckProviderOptions reports options that the provider does not have.
func CheckProviderOptions(provider string, set map[string]string) error {
	var known []optionSpec
	switch provider {
	case providerCUDA:
		known = cudaOptions
	case providerTensorRT:
		known = slices.Concat(cudaOptions, tensorRTOptions) // CUDA draws what TensorRT leaves
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(set)) {
		if !slices.ContainsFunc(known, func(o optionSpec) bool { return o.name == name }) {
			errs = append(errs, fmt.Errorf("%s is no option of provider %s", name, provider))
		}
	}
	return errors.Join(errs...)
}
