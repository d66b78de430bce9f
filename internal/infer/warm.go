package infer

import (
	"context"
	"fmt"
)

// Warm runs every part of the model once in every row shape, at the model's own size, so that memory is laid out, kernels are chosen and a model that
// does not work is found before the first job. Call it before Run.
func (e *Engine) Warm(ctx context.Context) (err error) {
	defer recovered(&err, "warming up")
	text, err := e.model.Encode(ctx, e.model.Tokenize("a photograph of an astronaut riding a horse", false))
	if err != nil {
		return fmt.Errorf("text encoder: %w", err)
	}
	size := Size{Width: e.info.Width / e.info.ScaleFactor, Height: e.info.Height / e.info.ScaleFactor}
	n := e.info.LatentChannels * size.Width * size.Height
	latents := make([]float32, n)
	shapes := e.cfg.RowShapes
	if len(shapes) == 0 {
		shapes = []int{1}
	}
	for _, rows := range shapes {
		c := &Call{Size: size, Pad: rows}
		for range min(rows, e.cfg.MaxRows) {
			c.Rows = append(c.Rows, Row{Latent: latents, Timestep: 500, Text: text, Guidance: 1, Out: make([]float32, n)})
			if e.info.OneSample {
				break
			}
		}
		if err := e.model.Denoise(ctx, c); err != nil {
			return fmt.Errorf("UNet with %d rows: %w", rows, err)
		}
	}
	if _, err := e.model.Decode(ctx, latents, size); err != nil {
		return fmt.Errorf("VAE decoder: %w", err)
	}
	return nil
}
