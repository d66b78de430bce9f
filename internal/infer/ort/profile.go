package ort

import (
	"fmt"
	"path/filepath"

	"github.com/stipple-ai/stipple/internal/infer"
)

// sides are the shortest and longest side in pixels of the pictures that engines are built for.
func (r *Runtime) sides(f *folder) (shortest, longest int, err error) {
	own := infer.Size{Width: f.unet.sampleW * f.factor(), Height: f.unet.sampleH * f.factor()}
	if r.opts.EngineSides == [2]int{} {
		return min(own.Width, own.Height), max(own.Width, own.Height), nil
	}
	shortest, longest = r.opts.EngineSides[0], r.opts.EngineSides[1]
	multiple := f.factor() * f.unet.halvings()
	switch {
	case shortest%multiple != 0 || longest%multiple != 0:
		err = fmt.Errorf("ENGINE_SIDES (--engine-sides) is %d-%d: both must be multiples of %d for %s", shortest, longest, multiple, f.dir)
	case shortest > min(own.Width, own.Height) || longest < max(own.Width, own.Height):
		err = fmt.Errorf("ENGINE_SIDES (--engine-sides) is %d-%d: the model's own size, %d × %d, must lie between for %s", shortest, longest, own.Width, own.Height, f.dir)
	}
	return shortest, longest, err
}

// plan gives every session of p its engine.
func (r *Runtime) planEngines(p *Pipeline, version string, device DeviceFacts) error {
	f := p.folder
	shortest, longest, err := r.sides(f)
	if err != nil {
		return err
	}
	p.minSide, p.maxSide = shortest, longest
	square := func(side int) infer.Size { return infer.Size{Width: side / f.factor(), Height: side / f.factor()} }
	least, own, most := square(shortest), infer.Size{Width: f.unet.sampleW, Height: f.unet.sampleH}, square(longest)
	rows := max(1, r.opts.MaxRows)
	give := func(s *session, least, best, most []spec) {
		s.engine = &engine{cache: r.opts.EngineCache, key: engineKey{
			Model: p.digest, Part: filepath.Base(filepath.Dir(s.path)), ORT: r.Version(), TensorRT: version, Device: device,
			Profile: profile{Min: shapesOf(least), Opt: shapesOf(best), Max: shapesOf(most)},
			Options: tensorRTOptionsOf(s.in, r.opts.ProviderOptions),
		}}
	}
	denoises := func(rows int, size infer.Size) []spec { return p.unet.inputs(rows, &infer.Call{Size: size}) }
	give(p.unet.session, denoises(1, least), denoises(rows, own), denoises(rows, most))
	for _, v := range []*vae{p.vae, p.precise} {
		if v != nil {
			// An engine takes memory for its longest width and its longest height at once. So what is longer than a tile and than the model's own picture is decoded in
			// tiles here, though it may be so narrow that it has no more pixels.
			v.tiles.long = max(v.tiles.side, own.Width, own.Height)
			decodes := func(size infer.Size, side int) []spec {
				in, _ := v.specs(infer.Size{Width: min(size.Width, side), Height: min(size.Height, side)})
				return in
			}
			give(v.session, decodes(least, v.tiles.side), decodes(own, v.tiles.long), decodes(most, v.tiles.long))
		}
	}
	for _, t := range p.text {
		encodes := t.inputs(p.MaxTokens())
		give(t.session, encodes, encodes, encodes)
	}
	return nil
}
