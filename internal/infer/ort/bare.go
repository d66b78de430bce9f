package ort

import (
	"context"
	"errors"
	"fmt"

	"github.com/stipple-ai/stipple/internal/infer"
	"github.com/stipple-ai/stipple/internal/infer/onnx"
	"github.com/stipple-ai/stipple/internal/infer/rng"
)

// Bare makes a pipeline's native calls and nothing else, over and over on the same tensors: what is left of the runtime's speed is measured against it. It belongs
// to one goroutine; close it before its pipeline.
type Bare struct {
	pipeline  *Pipeline
	text      []*frame // of each text encoder
	unet, vae *frame
	tiles     int // decodings of one picture
}

// Bare returns the calls of pictures of width × height pixels, with rows in each call of the UNet. The tensors hold noise: zeros would be faster to multiply than what a
// picture is made of.
func (p *Pipeline) Bare(width, height, rows int) (_ *Bare, err error) {
	b := &Bare{pipeline: p, tiles: 1}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Close())
		}
	}()
	for _, t := range p.text {
		f, err := t.frame(p.MaxTokens())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.session.path, err)
		}
		b.text = append(b.text, f)
	}
	factor := p.folder.factor()
	size := infer.Size{Width: width / factor, Height: height / factor}
	b.unet, err = p.unet.frame(frameKey{rows: rows, width: size.Width, height: size.Height}, &infer.Call{Size: size, Pad: rows})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.unet.session.path, err)
	}
	tile := p.vae.tiles.tile(size)
	if tile != size {
		b.tiles = len(newAxis(size.Width, tile.Width, factor).starts) * len(newAxis(size.Height, tile.Height, factor).starts)
	}
	if b.vae, err = p.vae.frame(frameKey{rows: 1, width: tile.Width, height: tile.Height}); err != nil {
		return nil, fmt.Errorf("%s: %w", p.vae.session.path, err)
	}
	for i, v := range p.unet.session.in {
		if t := b.unet.in[i]; v.Name == "timestep" {
			for j := range t.n {
				t.setFloats(j, 500)
			}
		} else {
			fill(t)
		}
	}
	fill(b.vae.in[0])
	return b, nil
}

// fill writes standard normals into a tensor of floats.
func fill(t *tensor) {
	if t.elem != onnx.Float32 && t.elem != onnx.Float16 {
		return
	}
	v := make([]float32, t.n)
	rng.New(1).Normal(v)
	t.setFloats(0, v...)
}

// Encode makes the calls that encode one prompt.
func (b *Bare) Encode(ctx context.Context) error {
	for i, t := range b.pipeline.text {
		if err := t.session.call(ctx, b.text[i]); err != nil {
			return err
		}
	}
	return nil
}

// Denoise makes one call of the UNet.
func (b *Bare) Denoise(ctx context.Context) error { return b.pipeline.unet.session.call(ctx, b.unet) }

// Decode makes the calls that decode one picture.
func (b *Bare) Decode(ctx context.Context) error {
	for range b.tiles {
		if err := b.pipeline.vae.session.call(ctx, b.vae); err != nil {
			return err
		}
	}
	return nil
}

// Close frees the tensors.
func (b *Bare) Close() error {
	var errs []error
	for _, f := range append(b.text, b.unet, b.vae) {
		if f != nil {
			errs = append(errs, f.destroy())
		}
	}
	return errors.Join(errs...)
}
