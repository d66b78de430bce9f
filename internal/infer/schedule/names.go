package schedule

import (
	"fmt"
	"slices"
	"strings"
)

// class is one scheduler class of diffusers.
type class struct {
	name        string
	fields      string // the configuration fields it knows, separated by spaces
	defaults    Params
	predictions string              // the prediction types it can take, separated by spaces; "" where it has no choice
	adopt       func(*Params) error // translates what other classes' configurations say and refuses the rest; may be nil
	build       func(p Params, steps int) (Sampler, error)
}

// Fields that many classes share.
const (
	betaFields = "num_train_timesteps beta_start beta_end beta_schedule trained_betas prediction_type "
	// sigma_min and sigma_max are in few signatures, but diffusers keeps unknown fields in the
	// configuration, and the classes that space sigmas look there.
	sigmaFields     = "use_karras_sigmas use_exponential_sigmas use_beta_sigmas sigma_min sigma_max "
	spacingFields   = "timestep_spacing steps_offset "
	thresholdFields = "thresholding dynamic_thresholding_ratio sample_max_value "
)

// alias is a job's name for a class, with the settings that the name stands for.
type alias struct {
	name  string
	class class
	set   func(*Params) // nil for none
}

// aliases is the table of samplers: one line a name. A class without a line does not exist.
func aliases() []alias {
	return []alias{
		{"ddim", ddimClass(), nil},
		{"ddpm", ddpmClass(), nil},
		{"deis", deisClass(), nil},
		{"dpm2", kdpm2Class(), nil},
		{"dpm2_a", kdpm2AncestralClass(), nil},
		{"dpmpp_2m", dpmMultistepClass(), solver("dpmsolver++", 2)},
		{"dpmpp_2m_sde", dpmMultistepClass(), solver("sde-dpmsolver++", 2)},
		{"dpmpp_2s", dpmSinglestepClass(), solver("dpmsolver++", 2)},
		{"dpmpp_3m", dpmMultistepClass(), solver("dpmsolver++", 3)},
		{"euler", eulerClass(), nil},
		{"euler_a", eulerAncestralClass(), nil},
		{"flow_euler", flowEulerClass(), nil},
		{"heun", heunClass(), nil},
		{"lcm", lcmClass(), nil},
		{"lms", lmsClass(), nil},
		{"pndm", pndmClass(), nil},
		{"tcd", tcdClass(), nil},
		{"unipc", unipcClass(), nil},
	}
}

// solver is a setting of the DPM-Solver classes.
func solver(algorithm string, order int) func(*Params) {
	return func(p *Params) { p.AlgorithmType, p.SolverOrder = algorithm, order }
}

// variants are the suffixes of job names that choose the spacing of sigmas, for the classes that have
// it. The suffix wins over what the model's configuration says.
var variants = [...]struct {
	suffix string
	set    func(*Params)
}{
	{"_karras", func(p *Params) { p.UseKarrasSigmas = true }},
	{"_exponential", func(p *Params) { p.UseExponentialSigmas = true }},
	{"_beta", func(p *Params) { p.UseBetaSigmas = true }},
}

// Names are all job names, sorted, those with a suffix included.
func Names() []string {
	var names []string
	for _, a := range aliases() {
		names = append(names, a.name)
		if a.class.hasVariants() {
			for _, v := range variants {
				names = append(names, a.name+v.suffix)
			}
		}
	}
	slices.Sort(names)
	return names
}

// Spec is a sampler a job asked for, with all settings decided but the number of steps.
type Spec struct {
	Class  string // diffusers' name of the class
	Params Params // the class's defaults, the model's fields and the name's settings, laid over each other
	build  func(p Params, steps int) (Sampler, error)
}

// Resolve says what a job's scheduler means for a model. The name is "" for the model's own, a job name
// (see [Names]), or a diffusers class such as EulerDiscreteScheduler. All three take over the model's
// configuration as from_config does: the fields that the class knows, its own defaults for the rest.
// Names are case sensitive. An unknown name's error lists the known ones.
func Resolve(name string, model Config) (Spec, error) {
	c, set, err := lookUp(name, model)
	if err != nil {
		return Spec{}, err
	}
	p := c.defaults
	model.overlay(&p, strings.Fields(c.fields))
	set(&p)
	if c.adopt != nil {
		if err := c.adopt(&p); err != nil {
			return Spec{}, fmt.Errorf("scheduler %s: %w", c.name, err)
		}
	}
	if err := c.validate(p, model); err != nil {
		return Spec{}, fmt.Errorf("scheduler %s: %w", c.name, err)
	}
	return Spec{Class: c.name, Params: p, build: c.build}, nil
}

// New lays the schedule over a number of inference steps.
func (s Spec) New(steps int) (Sampler, error) {
	if steps < 1 || steps > s.Params.NumTrainTimesteps {
		return nil, fmt.Errorf("scheduler %s: num_inference_steps is %d: must be from 1 to the model's num_train_timesteps, %d",
			s.Class, steps, s.Params.NumTrainTimesteps)
	}
	sampler, err := s.build(s.Params, steps)
	if err != nil {
		return nil, fmt.Errorf("scheduler %s: %w", s.Class, err)
	}
	return sampler, nil
}

// CheckClass returns nil for a diffusers class that draws here, and for others an error that lists those that do.
func CheckClass(class string) error {
	_, _, err := lookUp("", Config{class: class})
	return err
}

// lookUp finds a name's class and settings.
func lookUp(name string, model Config) (c class, set func(*Params), err error) {
	wanted, table := name, aliases()
	if name == "" {
		if wanted = model.class; wanted == "" {
			return c, nil, fmt.Errorf("the model's scheduler_config.json names no _class_name, so a job must name its scheduler")
		}
	}
	for _, a := range table {
		switch {
		case wanted == a.class.name:
			return a.class, func(*Params) {}, nil
		case name != "" && name == a.name:
			return a.class, a.apply, nil
		}
	}
	for _, a := range table {
		for _, v := range variants {
			if name != a.name+v.suffix {
				continue
			}
			if !a.class.hasVariants() {
				return c, nil, fmt.Errorf("scheduler %q: %s has no %s sigmas; use %q", name, a.class.name, v.suffix[1:], a.name)
			}
			return a.class, func(p *Params) {
				a.apply(p)
				p.UseKarrasSigmas, p.UseExponentialSigmas, p.UseBetaSigmas, p.UseLuLambdas = false, false, false, false
				v.set(p)
			}, nil
		}
	}
	return c, nil, fmt.Errorf("unknown scheduler %q: known are %s", wanted, known(table))
}

func (a alias) apply(p *Params) {
	if a.set != nil {
		a.set(p)
	}
}

// known lists the names and classes for an error message.
func known(table []alias) string {
	var plain, varied, classes []string
	for _, a := range table {
		if a.class.hasVariants() {
			varied = append(varied, a.name)
		} else {
			plain = append(plain, a.name)
		}
		if !slices.Contains(classes, a.class.name) {
			classes = append(classes, a.class.name)
		}
	}
	return fmt.Sprintf("%s; alone or with _karras, _exponential or _beta: %s; and diffusers' classes %s",
		strings.Join(plain, ", "), strings.Join(varied, ", "), strings.Join(classes, ", "))
}

func (c class) hasVariants() bool { return c.knows("use_karras_sigmas") }

func (c class) knows(field string) bool { return slices.Contains(strings.Fields(c.fields), field) }

// validate checks what a class makes of a model's configuration.
func (c class) validate(p Params, model Config) error {
	if err := p.validate(); err != nil {
		return err
	}
	matching := c.predictions == ""
	straight := matching || p.PredictionType == "flow_prediction" && p.UseFlowSigmas
	switch {
	case matching && !model.flow():
		return fmt.Errorf("this is for flow-matching models, and the model is none: its noise schedule and prediction type are those of diffusion")
	case !straight && model.flow():
		return fmt.Errorf("this is for diffusion models, and the model was trained for flow matching; use flow_euler")
	case !matching && !slices.Contains(strings.Fields(c.predictions), p.PredictionType):
		return fmt.Errorf("the model's prediction_type is %q: this takes %s", p.PredictionType, strings.Join(strings.Fields(c.predictions), ", "))
	}
	return nil
}
