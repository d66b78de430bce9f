// Package schedule holds diffusers' noise schedules and samplers as plain values: which timesteps a
// model is asked about, how its input is scaled, and how its answer moves a latent. It knows no
// tensors, no device, no clock and no random numbers; a caller owns those and passes them in.
//
// A model's scheduler_config.json is a [Config]. [New] lays the schedule a job names over it, with
// the rules of diffusers' from_config, and returns a [Sampler]. Everything that can go wrong goes
// wrong there: all coefficients of all steps are computed and checked, so a step is only arithmetic.
//
// Each algorithm is one file with a class (its diffusers name, the configuration fields it knows and
// their defaults) and one line in the table of names.go. docs/samplers.md tells how to add one.
package schedule

// A Sampler is one sample's way from noise to latent: its schedule, its position on it, and what it
// remembers of earlier model outputs. It belongs to one goroutine. Model calls are counted from 0;
// a sampler that calls the model twice a step (Heun, KDPM2) is flattened, so one Step follows every
// model call.
//
//	noise(x); x *= InitNoiseSigma()
//	for i := range Len() {
//		ScaleInput(in, x, i)
//		out := model(in, Timestep(i)) // after guidance
//		Step(x, out, i, noise)
//	}
type Sampler interface {
	Schedule
	State

	// Step moves x in place from call i to call i+1, given the model's output. noise fills its argument
	// with standard normals; it is called as often and in the order in which diffusers draws from the
	// job's generator, and never by a deterministic sampler. Step allocates at its first call only. It
	// panics if i is not the next call, or if x is not as long as at the calls before.
	Step(x, out []float32, i int, noise func(dst []float32))
}

// A Schedule says what a model is asked. It is decided when the sampler is made and does not change.
type Schedule interface {
	// Len is the number of model calls, which is not always the number of steps asked for.
	Len() int

	// Timestep is what the model is told at call i; 0 <= i < Len(). It is fractional in some schedules.
	Timestep(i int) float32

	// InitNoiseSigma is what standard normal noise is multiplied by to make the first latent.
	InitNoiseSigma() float32

	// ScaleInput fills dst with the model's input at call i (scale_model_input). dst and x are equally
	// long and may be the same slice.
	ScaleInput(dst, x []float32, i int)
}

// State is what a sampler can be written down as between two calls. Together with x it is all that a
// sampler made by the same call of New, in another process, needs to go on with the same bits.
type State interface {
	// AppendState appends to b the position and the remembered arrays.
	AppendState(b []byte) []byte

	// RestoreState takes up a state that AppendState wrote. It refuses a damaged one and one of another
	// schedule, and then changes nothing. The x of the next Step must be as long as that of the state.
	RestoreState(b []byte) error
}

// New returns the sampler of a job: name as for [Resolve], and the number of inference steps, from 1 to
// the model's num_train_timesteps. An error names what does not fit and is the job's fault or the
// model folder's, never a passing one.
func New(name string, model Config, steps int) (Sampler, error) {
	spec, err := Resolve(name, model)
	if err != nil {
		return nil, err
	}
	return spec.New(steps)
}
