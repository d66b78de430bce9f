package schedule

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseConfigErrors(t *testing.T) {
	tests := []struct{ config, want string }{
		{``, "unexpected end of JSON input"},
		{`[]`, "cannot unmarshal array"},
		{`{"beta_start": NaN}`, "beta_start"},
		{`{"beta_start": Infinity}`, "beta_start"},
		{`{"_class_name": 3}`, "_class_name"},
		{`{"_use_default_values": "beta_start"}`, "_use_default_values"},
		{`{"num_train_timesteps": 0}`, "num_train_timesteps is 0: must be from 1 to 100000"},
		{`{"num_train_timesteps": 100001}`, "num_train_timesteps is 100001"},
		{`{"num_train_timesteps": 1e30}`, "num_train_timesteps"},
		{`{"num_train_timesteps": "1000"}`, "num_train_timesteps"},
		{`{"trained_betas": [0.1, 0.2]}`, "trained_betas has 2 values: must have num_train_timesteps, 1000"},
		{`{"beta_start": -1}`, "beta_start is -1: must be from 0 to 1"},
		{`{"beta_schedule": "sigmoid"}`, `beta_schedule is "sigmoid": must be one of linear, scaled_linear, squaredcos_cap_v2`},
		{`{"prediction_type": "noise"}`, `prediction_type is "noise"`},
		{`{"timestep_spacing": "even"}`, `timestep_spacing is "even": must be one of leading, trailing, linspace`},
		{`{"steps_offset": -1}`, "steps_offset is -1"},
		{`{"steps_offset": 1000}`, "steps_offset is 1000"},
		{`{"solver_order": 4}`, "solver_order is 4: must be from 1 to 3"},
		{`{"sigma_min": 0}`, "sigma_min is 0"},
		{`{"sigma_min": 2, "sigma_max": 1}`, "sigma_min must be below sigma_max"},
		{`{"use_karras_sigmas": true, "use_beta_sigmas": true}`, "at most one may be true"},
		{`{"dynamic_thresholding_ratio": 2}`, "dynamic_thresholding_ratio is 2: must be from 0 to 1"},
		{`{"original_inference_steps": 0}`, "original_inference_steps is 0"},
		{`{"shift_terminal": 1}`, "shift_terminal is 1"},
		{`{"base_image_seq_len": 10, "max_image_seq_len": 10}`, "must be at least 1 and rising"},
		{`{"steps_offset": -1, "solver_order": 4}`, "solver_order is 4"}, // all at once
	}
	for _, test := range tests {
		_, err := ParseConfig([]byte(test.config))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error is %v, want one with %q", test.config, err, test.want)
		}
	}
}

// FuzzParseConfig holds that whatever parses gives a clear error or a sampler with finite tables.
func FuzzParseConfig(f *testing.F) {
	paths, err := filepath.Glob("testdata/models/*.json")
	if err != nil || len(paths) == 0 {
		f.Fatal("no models: ", err)
	}
	for i, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, uint8(i*7), uint8(i*11))
	}
	f.Add([]byte(`{"trained_betas": [0, 0.5, 1], "num_train_timesteps": 3, "lambda_min_clipped": -Infinity}`), uint8(1), uint8(0))
	f.Add([]byte(`{"sigma_min": 1e-6, "beta_schedule": "squaredcos_cap_v2", "use_lu_lambdas": true, "_use_default_values": ["a"]}`), uint8(49), uint8(9))
	f.Add([]byte(`{"_class_name": "FlowMatchEulerDiscreteScheduler", "shift_terminal": 0.5, "invert_sigmas": true}`), uint8(9), uint8(40))
	f.Fuzz(func(t *testing.T, data []byte, steps, which uint8) {
		c, err := ParseConfig(data)
		if err != nil {
			return
		}
		names := append(Names(), "")
		s, err := New(names[int(which)%len(names)], c, 1+int(steps)%50)
		if err != nil {
			return
		}
		for i := range s.Len() {
			if v := float64(s.Timestep(i)); math.IsNaN(v) || math.IsInf(v, 0) {
				t.Errorf("timestep %d is %v", i, v)
			}
		}
		for i, v := range sigmasOf(s) {
			if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
				t.Errorf("sigma %d is %v", i, v)
			}
		}
		x := []float32{0, 0, 0, 0}
		drive(s, x, 0, func(dst []float32) { clear(dst) }, func(i int) {
			for _, v := range x {
				if math.IsNaN(float64(v)) {
					t.Fatalf("call %d of %d makes zeros %v", i, s.Len(), v)
				}
			}
		})
	})
}
