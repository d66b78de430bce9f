package main

import (
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/stipple-ai/stipple/internal/batch"
	"github.com/stipple-ai/stipple/internal/flagenv"
	"github.com/stipple-ai/stipple/internal/queue"
)

// jobFlags give jobs their fields. A flag with one value fills what a row leaves out; one with several makes a
// job of each, for every row.
type jobFlags struct {
	fs   *pflag.FlagSet
	text map[string]*string // by flag
	size string
}

// jobFlag is a flag and the field of a job that it gives.
type jobFlag struct{ name, field, usage string }

func jobFlagTable() []jobFlag {
	return []jobFlag{
		{"model", "model", "model, or models between commas; default the only one that workers have registered"},
		{"seeds", "seed", "seeds: numbers and ranges such as 1..8 or 1..100..10, comma-separated; default drawn from the job's id"},
		{"steps", "num_inference_steps", "denoising steps, 1 to 1000, or a list; default the model's"},
		{"guidance-scale", "guidance_scale", "classifier-free guidance, 0 to 50, or a list; up to 1 is none; default the model's"},
		{"width", "width", "pixels, or a list; default the model's"},
		{"height", "height", "pixels, or a list; default the model's"},
		{"scheduler", "scheduler", "scheduler such as euler_a or dpmpp_2m_karras, or a list; default the model's"},
		{"negative-prompt", "negative_prompt", "what the picture should not show"},
		{"format", "format", "png or jpeg, or both; default png"},
		{"quality", "quality", "of jpeg, 1 to 100, or a list; default 90"},
		{"deadline", "deadline", "time as in RFC 3339 after which a job that has not begun is not drawn any more"},
	}
}

func (f *jobFlags) define(fs *pflag.FlagSet) {
	f.fs, f.text = fs, map[string]*string{}
	for _, flag := range jobFlagTable() {
		f.text[flag.name] = fs.String(flag.name, "", flag.usage)
		own(fs, flag.name)
		if flag.name == "height" {
			fs.StringVar(&f.size, "size", "", "width and height together, such as 512x512,512x768, in the place of --width and --height")
			own(fs, "size")
		}
	}
}

// own gives a flag a variable with the command's name before it: MODEL or FORMAT alone may mean something to
// anyone.
func own(fs *pflag.FlagSet, flag string) {
	flagenv.Bind(fs, flag, "ENQUEUE_"+flagenv.Name(flag))
}

// plan returns the plan of what the flags say. It joins every problem, each naming its flag.
func (f *jobFlags) plan(rows batch.Rows) (batch.Plan, error) {
	p := batch.Plan{Rows: rows}
	var errs []error
	for _, flag := range jobFlagTable() {
		if !f.fs.Changed(flag.name) {
			continue
		}
		axis, err := batch.ParseAxis(flag.field, *f.text[flag.name])
		if err == nil {
			err = p.Add(axis)
		}
		if err != nil {
			errs = append(errs, flagError(flag.name, err))
		}
	}
	if f.fs.Changed("size") {
		if err := f.addSizes(&p); err != nil {
			errs = append(errs, flagError("size", err))
		}
	}
	return p, input(errors.Join(errs...))
}

func (f *jobFlags) addSizes(p *batch.Plan) error {
	if f.fs.Changed("width") || f.fs.Changed("height") {
		return errors.New("--width and --height say the same; give one of the two")
	}
	sizes, err := batch.ParseSizes(f.size)
	if err != nil {
		return err
	}
	if sizes[0].Len() == 1 {
		return p.Add(sizes...)
	}
	p.Groups = append(p.Groups, sizes)
	return nil
}

func flagError(flag string, err error) error {
	if invalid, ok := errors.AsType[*queue.InvalidError](err); ok {
		return fmt.Errorf("--%s: %s %s", flag, invalid.Field, invalid.Reason)
	}
	return fmt.Errorf("--%s: %w", flag, err)
}
