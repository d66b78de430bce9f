package schedule

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNames(t *testing.T) {
	want := strings.Fields("ddim ddpm euler_a lcm pndm tcd")
	for name := range strings.FieldsSeq("deis dpm2 dpm2_a dpmpp_2m dpmpp_2m_sde dpmpp_2s dpmpp_3m euler flow_euler heun lms unipc") {
		want = append(want, name, name+"_karras", name+"_exponential", name+"_beta")
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, Names()); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

// TestDocs: docs/samplers.md has a line for each name, with its class and whether it takes a suffix.
func TestDocs(t *testing.T) {
	doc, err := os.ReadFile("../../../docs/samplers.md")
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for _, line := range regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)` \\| `(\\w+)`[^|]*\\| (yes|) ?\\|").FindAllStringSubmatch(string(doc), -1) {
		got = append(got, strings.Join(line[1:], " "))
	}
	for _, a := range aliases() {
		spacings := ""
		if a.class.hasVariants() {
			spacings = "yes"
		}
		want = append(want, strings.Join([]string{a.name, a.class.name, spacings}, " "))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/samplers.md (-want +got):\n%s", diff)
	}
}

// TestResolve holds the rules of from_config that the goldens do not reach.
func TestResolve(t *testing.T) {
	tests := []struct {
		test, job, config string
		want              func(Spec) bool
	}{
		{"the model's own class", "", `{"_class_name": "HeunDiscreteScheduler"}`,
			func(s Spec) bool { return s.Class == "HeunDiscreteScheduler" && s.Params.BetaStart == 0.00085 }},
		{"a class name", "DDIMScheduler", `{"_class_name": "PNDMScheduler", "beta_end": 0.012}`,
			func(s Spec) bool {
				return s.Class == "DDIMScheduler" && s.Params.BetaEnd == 0.012 && s.Params.ClipSample
			}},
		{"a class name takes no settings of a job name", "DPMSolverMultistepScheduler", `{"solver_order": 3, "algorithm_type": "sde-dpmsolver++"}`,
			func(s Spec) bool { return s.Params.SolverOrder == 3 && s.Params.AlgorithmType == "sde-dpmsolver++" }},
		{"a job name decides its solver", "dpmpp_2m", `{"solver_order": 3, "algorithm_type": "sde-dpmsolver++"}`,
			func(s Spec) bool { return s.Params.SolverOrder == 2 && s.Params.AlgorithmType == "dpmsolver++" }},
		{"a field the class does not know", "lms", `{"rescale_betas_zero_snr": true}`,
			func(s Spec) bool { return !s.Params.RescaleBetasZeroSNR }},
		{"a field in _use_default_values", "euler", `{"timestep_spacing": "trailing", "steps_offset": 1, "_use_default_values": ["timestep_spacing"]}`,
			func(s Spec) bool { return s.Params.TimestepSpacing == "linspace" && s.Params.StepsOffset == 1 }},
		{"a null", "ddim", `{"timestep_spacing": null, "trained_betas": null}`,
			func(s Spec) bool { return s.Params.TimestepSpacing == "leading" }},
		{"a suffix wins over the model", "euler_exponential", `{"use_karras_sigmas": true}`,
			func(s Spec) bool { return s.Params.UseExponentialSigmas && !s.Params.UseKarrasSigmas }},
		{"no suffix keeps the model's spacing", "euler", `{"use_karras_sigmas": true}`,
			func(s Spec) bool { return s.Params.UseKarrasSigmas }},
		{"sigma bounds reach classes without them", "dpmpp_2m_karras", `{"_class_name": "EulerDiscreteScheduler", "sigma_min": 0.1, "sigma_max": 9}`,
			func(s Spec) bool { return *s.Params.SigmaMin == 0.1 && *s.Params.SigmaMax == 9 }},
		{"a sibling's solver type", "dpmpp_2m", `{"solver_type": "bh2", "algorithm_type": "deis"}`,
			func(s Spec) bool { return s.Params.SolverType == "midpoint" }},
		{"a sibling's solver type", "unipc", `{"solver_type": "logrho"}`,
			func(s Spec) bool { return s.Params.SolverType == "bh2" }},
		{"Python's infinity", "dpmpp_2s", `{"lambda_min_clipped": -Infinity, "note": "Infinity \"-Infinity"}`,
			func(s Spec) bool { return s.Params.LambdaMinClipped < -1e300 }},
		{"a solver on flow matching", "unipc", `{"prediction_type": "flow_prediction", "use_flow_sigmas": true}`,
			func(s Spec) bool { return s.Params.UseFlowSigmas }},
	}
	for _, test := range tests {
		t.Run(test.test, func(t *testing.T) {
			spec, err := Resolve(test.job, parse(t, "%s", test.config))
			if err != nil {
				t.Fatal(err)
			}
			if !test.want(spec) {
				t.Errorf("got %s %+v", spec.Class, spec.Params)
			}
			if _, err := spec.New(20); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestNewErrors(t *testing.T) {
	tests := []struct {
		job, config string
		steps       int
		want        string // part of the message
	}{
		{"eulr", `{}`, 20, `unknown scheduler "eulr": known are ddim, ddpm`},
		{"Euler", `{}`, 20, `unknown scheduler "Euler"`},
		{"euler_", `{}`, 20, `unknown scheduler "euler_"`},
		{"EulerDiscreteScheduler_karras", `{}`, 20, `unknown scheduler`},
		{"", `{}`, 20, "names no _class_name"},
		{"", `{"_class_name": "ScoreSdeVeScheduler"}`, 20, `unknown scheduler "ScoreSdeVeScheduler"`},
		{"", `{"_class_name": "euler"}`, 20, `unknown scheduler "euler"`},
		{"ddim_karras", `{}`, 20, `DDIMScheduler has no karras sigmas; use "ddim"`},
		{"euler_a_beta", `{}`, 20, "has no beta sigmas"},
		{"euler", `{}`, 0, "num_inference_steps is 0: must be from 1"},
		{"euler", `{}`, -1, "num_inference_steps is -1"},
		{"euler", `{}`, 1001, "must be from 1 to the model's num_train_timesteps, 1000"},
		{"euler", `{"num_train_timesteps": 10}`, 11, "num_train_timesteps, 10"},
		{"lcm", `{}`, 51, "at most the original_inference_steps the model was distilled on, 50"},
		{"tcd", `{"num_train_timesteps": 40}`, 5, "original_inference_steps is 50: must be at most num_train_timesteps, 40"},
		{"euler_a", `{"prediction_type": "sample"}`, 20, `prediction_type is "sample": this takes epsilon, v_prediction`},
		{"pndm", `{"prediction_type": "sample"}`, 20, `prediction_type is "sample"`},
		{"pndm", `{}`, 3, "at least 4 steps"},
		{"flow_euler", `{"prediction_type": "epsilon"}`, 20, "for flow-matching models"},
		{"euler", `{"_class_name": "FlowMatchEulerDiscreteScheduler"}`, 20, "use flow_euler"},
		{"dpmpp_2m", `{"_class_name": "FlowMatchEulerDiscreteScheduler"}`, 20, "use flow_euler"},
		{"unipc", `{"prediction_type": "flow_prediction"}`, 20, "use flow_euler"},
		{"ddim", `{"timestep_spacing": "leading", "steps_offset": 1}`, 1000, "timestep 1000 lies past the model's 1000"},
		{"pndm", `{"skip_prk_steps": true, "steps_offset": 1}`, 1000, "timestep 1000 lies past the model's 1000"},
		{"dpmpp_2m", `{"timestep_spacing": "leading"}`, 1000, "take fewer steps or another timestep_spacing"},
		{"ddim", `{"timestep_spacing": "trailing", "rescale_betas_zero_snr": true}`, 20, "call 1 of 20, at timestep 999, has no finite update"},
		{"DPMSolverMultistepScheduler", `{"algorithm_type": "dpmsolver"}`, 20, "set final_sigmas_type to sigma_min"},
		{"DPMSolverMultistepScheduler", `{"algorithm_type": "euler"}`, 20, `algorithm_type is "euler"`},
		{"dpmpp_3m", `{"solver_type": "rk4"}`, 20, `solver_type is "rk4"`},
		{"DPMSolverSinglestepScheduler", `{"algorithm_type": "sde-dpmsolver", "final_sigmas_type": "sigma_min"}`, 20, "algorithm_type"},
		{"deis", `{"algorithm_type": "sde-dpmsolver++"}`, 20, "must be deis"},
		{"ddpm", `{"variance_type": "learned_range"}`, 20, "models that also predict their variance"},
		{"dpmpp_2m", `{"variance_type": "learned"}`, 20, "models that also predict their variance"},
		{"ddpm", `{"variance_type": "fixed_large_log"}`, 20, "use fixed_large"},
		{"unipc", `{"use_flow_sigmas": true, "prediction_type": "flow_prediction", "use_dynamic_shifting": true}`, 20, "use_dynamic_shifting"},
		{"dpmpp_2m", `{"lambda_min_clipped": 100}`, 20, "no timestep is left"},
		{"euler", `{"beta_start": 0, "timestep_spacing": "leading"}`, 20, "has no finite update"},
		{"euler", `{"beta_end": 1}`, 20, "beta of training timestep 999"},
	}
	for _, test := range tests {
		t.Run(test.job+test.config, func(t *testing.T) {
			s, err := New(test.job, parse(t, "%s", test.config), test.steps)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want one with %q", err, test.want)
			}
			if s != nil {
				t.Error("a sampler came with the error")
			}
		})
	}
}

// TestDocumented holds that docs/samplers.md has a row for every name.
func TestDocumented(t *testing.T) {
	data, err := os.ReadFile("../../../docs/samplers.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range aliases() {
		spacings := " | | "
		if a.class.hasVariants() {
			spacings = " | yes | "
		}
		row := regexp.MustCompile("(?m)^\\| `" + a.name + "` \\| `" + a.class.name + "`[^|]*" + regexp.QuoteMeta(spacings))
		if !row.Match(data) {
			t.Errorf("docs/samplers.md has no row for %s with its class and spacings", a.name)
		}
	}
}
