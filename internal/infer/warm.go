package infer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/stipple-ai/stipple/internal/infer/rng"
)

// Warm runs every part of the model once in every row shape, at the model's own size, so that memory is laid out, kernels are chosen and a model that
// does not work is found before the first job. It also sees whether rows of several samples may share a call, and keeps them apart where not. Call it
// before Run, which uses what it kept where a device seems broken.
func (e *Engine) Warm(ctx context.Context) (err error) {
	defer recovered(&err, "warming up")
	text, err := e.probeText(ctx)
	if err != nil {
		return err
	}
	e.probe = text
	size := e.probeSize()
	if err := e.probeRows(ctx, text, size); err != nil {
		return err
	}
	shapes := e.cfg.RowShapes
	if len(shapes) == 0 {
		shapes = []int{1}
	}
	for _, shape := range shapes {
		rows := e.probeCall(text, size, min(shape, e.cfg.MaxRows))
		if e.info.OneSample {
			rows.Rows = rows.Rows[:1]
		}
		rows.Pad = shape
		if err := e.denoiseNoise(ctx, rows); err != nil {
			return fmt.Errorf("UNet with %d rows: %w", shape, err)
		}
	}
	latents := make([]float32, e.info.LatentChannels*size.Width*size.Height)
	if _, err := e.model.Decode(ctx, latents, size); err != nil {
		return fmt.Errorf("VAE decoder: %w", err)
	}
	if e.info.Float32Decoder {
		if _, err := e.model.DecodeFloat32(ctx, latents, size); err != nil {
			return fmt.Errorf("VAE decoder in float32: %w", err)
		}
	}
	return nil
}

// probeText returns the embedding that probes are made with: the one that Warm kept, else, where Warm never ran, one encoded now.
func (e *Engine) probeText(ctx context.Context) (*Embedding, error) {
	if e.probe != nil {
		return e.probe, nil
	}
	text, err := e.model.Encode(ctx, e.model.Tokenize("a photograph of an astronaut riding a horse", false))
	if err != nil {
		return nil, fmt.Errorf("text encoder: %w", err)
	}
	return text, nil
}

// probeSize is the model's own.
func (e *Engine) probeSize() Size {
	return Size{Width: e.info.Width / e.info.ScaleFactor, Height: e.info.Height / e.info.ScaleFactor}
}

// runProbe makes a call that the warm-up has seen succeed: one row of noise at the model's own size.
func (e *Engine) runProbe(ctx context.Context) error {
	text, err := e.probeText(ctx)
	if err != nil {
		return err
	}
	return e.denoiseNoise(ctx, e.probeCall(text, e.probeSize(), 1))
}

// denoiseNoise makes a call of a probe. One that gives no numbers is of no use, to no job.
func (e *Engine) denoiseNoise(ctx context.Context, c *Call) error {
	if err := e.model.Denoise(ctx, c); err != nil {
		return err
	}
	if slices.ContainsFunc(c.Rows, func(r Row) bool { return !finite(r.Out) }) {
		return errors.New("it makes NaN or infinite values of noise: a UNet in float16 may overflow so, else its weights or the device are damaged; export it in float32 (docs/models.md)")
	}
	return nil
}

// probeCall is a call of n rows of noise at one timestep, in the smallest shape that holds them.
func (e *Engine) probeCall(text *Embedding, size Size, n int) *Call {
	c := &Call{Size: size, Pad: pad(n, e.cfg.RowShapes)}
	noise := rng.New(1)
	for range n {
		values := e.info.LatentChannels * size.Width * size.Height
		r := Row{Latent: make([]float32, values), Timestep: 500, Text: text, Guidance: 1, Out: make([]float32, values)}
		noise.Normal(r.Latent)
		c.Rows = append(c.Rows, r)
	}
	return c
}

// probeRows finds UNets whose timestep is a vector by its shape and yet one number for all rows: some exports were traced with one. Two rows with different
// timesteps must give what each gives alone. Where they do not, the engine falls back to one sample a call, or one row where that fails too.
func (e *Engine) probeRows(ctx context.Context, text *Embedding, size Size) error {
	if e.cfg.MaxRows < 2 || e.info.OneSample {
		return nil
	}
	same, err := e.mixesTimesteps(ctx, text, size)
	if err == nil && same {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	const mend = "export the UNet with a timestep for each row (docs/models.md)"
	if e.model.Denoise(ctx, e.probeCall(text, size, 2)) == nil {
		if err == nil {
			err = errors.New("the second row is drawn with the first one's timestep")
		}
		e.info.OneSample = true
		e.cfg.Logger.Warn("the UNet takes one timestep a call, so a call has rows of one sample only, which is slower: "+mend, slog.Any("error", err))
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	e.cfg.MaxRows, e.cfg.RowShapes = 1, nil
	e.cfg.Logger.Warn("the UNet takes one row a call, so batching is off: "+mend+", or give the device more memory if that is what it lacks", slog.Any("error", err))
	return nil
}

// mixesTimesteps reports whether the second row of a call follows its own timestep: whether it is nearer to what it is alone than to what it is alone with the
// first one's.
func (e *Engine) mixesTimesteps(ctx context.Context, text *Embedding, size Size) (bool, error) {
	pair := e.probeCall(text, size, 2)
	pair.Rows[0].Timestep, pair.Rows[1].Timestep = 900, 100
	if err := e.model.Denoise(ctx, pair); err != nil {
		return false, err
	}
	second := pair.Rows[1]
	var own, first float64
	for _, t := range []struct {
		timestep float32
		distance *float64
	}{{second.Timestep, &own}, {pair.Rows[0].Timestep, &first}} {
		alone := second
		alone.Timestep, alone.Out = t.timestep, make([]float32, len(second.Out))
		if err := e.model.Denoise(ctx, &Call{Size: size, Pad: pair.Pad, Rows: []Row{alone}}); err != nil {
			return false, err
		}
		for i, v := range alone.Out {
			d := float64(v) - float64(second.Out[i])
			*t.distance += d * d
		}
	}
	return !(first < own), nil // NaN tells nothing
}
