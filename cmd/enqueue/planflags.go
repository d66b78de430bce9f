package main

import (
	"errors"
	"fmt"
	"strings"

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
	zips []string
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
		{"format", "format", "png, jpeg or webp, or several; default png"},
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
	fs.StringArrayVar(&f.zips, "zip", nil, "flags of this list whose values go together instead of multiplying, such as seeds,steps; may be given again for others")
	own(fs, "zip")
}

// own gives a flag a variable with the command's name before it: MODEL or FORMAT alone may mean something to
// anyone.
func own(fs *pflag.FlagSet, flag string) {
	flagenv.Bind(fs, flag, "ENQUEUE_"+flagenv.Name(flag))
}

// plan returns the plan of what the flags say, without rows. It joins every problem, each naming its flag.
func (f *jobFlags) plan() (batch.Plan, error) {
	var errs []error
	groups := map[string]batch.Group{} // by flag; those that were zipped are with the first of them
	var order []string
	add := func(flag string, g batch.Group, err error) {
		if err != nil {
			errs = append(errs, flagError(flag, err))
			return
		}
		groups[flag], order = g, append(order, flag)
	}
	for _, flag := range jobFlagTable() {
		if f.fs.Changed(flag.name) {
			axis, err := batch.ParseAxis(flag.field, *f.text[flag.name])
			add(flag.name, batch.Group{axis}, err)
		}
	}
	if f.fs.Changed("size") {
		sizes, err := f.sizes()
		add("size", sizes, err)
	}
	if len(errs) == 0 {
		errs = append(errs, f.zip(groups))
	}
	var p batch.Plan
	for _, flag := range order {
		if g, ok := groups[flag]; ok {
			if err := p.AddGroup(g); err != nil {
				errs = append(errs, flagError(flag, err))
			}
		}
	}
	return p, input(errors.Join(errs...))
}

func (f *jobFlags) sizes() (batch.Group, error) {
	if f.fs.Changed("width") || f.fs.Changed("height") {
		return nil, errors.New("--width and --height say the same; give one of the two")
	}
	return batch.ParseSizes(f.size)
}

// zip makes one group of those of the flags that --zip names, in the place of the first.
func (f *jobFlags) zip(groups map[string]batch.Group) error {
	for _, list := range f.zips {
		first, all := "", batch.Group{}
		for name := range strings.SplitSeq(list, ",") {
			name = strings.TrimPrefix(strings.TrimSpace(name), "--")
			g, ok := groups[name]
			if !ok {
				return fmt.Errorf("--zip %s: --%s has no values to put together, or stands in --zip twice", list, name)
			}
			delete(groups, name)
			if all = append(all, g...); first == "" {
				first = name
			}
		}
		together, err := batch.Zip(all...)
		if err != nil {
			return fmt.Errorf("--zip %s: %w", list, err)
		}
		groups[first] = together
	}
	return nil
}

func flagError(flag string, err error) error {
	if invalid, ok := errors.AsType[*queue.InvalidError](err); ok {
		return fmt.Errorf("--%s: %s %s", flag, invalid.Field, invalid.Reason)
	}
	return fmt.Errorf("--%s: %w", flag, err)
}
