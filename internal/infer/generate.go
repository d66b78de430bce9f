package infer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// Generate draws one picture; it blocks, and is meant to be called concurrently. When ctx ends, the sample leaves at the next step boundary and Generate
// returns ctx's error, with the sample's state once it has one ([Suspended]). It opens the spans tokenize, text_encode, denoise and vae_decode below the span in
// ctx, if there is one.
func (e *Engine) Generate(ctx context.Context, r Request) (*Result, error) {
	ctx, release := e.dog.bound(ctx)
	defer release()
	res := &Result{}
	if err := e.generate(ctx, r, res); err != nil {
		return nil, explained(ctx, err)
	}
	return res, nil
}

func (e *Engine) generate(ctx context.Context, r Request, res *Result) (err error) {
	defer recovered(&err, "drawing")
	if err := e.Validate(r); err != nil {
		return err
	}
	s, err := newSample(r, e.info)
	if err != nil {
		return err
	}
	prompts := e.tokenize(ctx, r, res)
	if !s.finished() {
		texts, err := e.encode(ctx, prompts, res)
		if err != nil {
			return err
		}
		for i, text := range texts {
			s.rows[i].text = text
		}
		if err := e.denoise(ctx, s, res); err != nil {
			return s.suspended(ctx, err)
		}
	}
	res.Image, err = e.picture(ctx, s.x, s.size, res)
	return s.suspended(ctx, err)
}

// tokenize returns the tokens of the request's rows: unconditional and conditional when guided, else the latter alone.
func (e *Engine) tokenize(ctx context.Context, r Request, res *Result) []Tokens {
	start := time.Now()
	_, span := startSpan(ctx, "tokenize")
	defer span.End()
	prompts := make([]Tokens, 0, 2)
	if r.guided(e.info) {
		prompts = append(prompts, e.model.Tokenize(r.NegativePrompt, true))
	}
	prompts = append(prompts, e.model.Tokenize(r.Prompt, false))
	res.Tokens = prompts[len(prompts)-1].Count
	for _, t := range prompts {
		res.PromptTruncated = res.PromptTruncated || t.Truncated
	}
	span.SetAttributes(attribute.Int("gen_ai.usage.input_tokens", res.Tokens), attribute.Bool("prompt.truncated", res.PromptTruncated))
	res.Ledger.Tokenize += time.Since(start)
	return prompts
}

// encode returns an embedding for each of the prompts.
func (e *Engine) encode(ctx context.Context, prompts []Tokens, res *Result) ([]*Embedding, error) {
	ctx, span := startSpan(ctx, "text_encode")
	embeddings := make([]*Embedding, len(prompts))
	hits := 0
	for i, t := range prompts {
		got, err := e.texts.get(ctx, t)
		if err != nil {
			e.doubt(ctx)
			return nil, endSpan(span, classed("model_error", fmt.Errorf("encoding the text: %w", err)))
		}
		embeddings[i] = got.embedding
		res.Ledger.Wait += got.waited
		res.Ledger.TextEncode += got.took
		if got.hit {
			hits++
		}
	}
	span.SetAttributes(attribute.Int("text_encode.cache_hits", hits))
	return embeddings, endSpan(span, nil)
}

// denoise hands the sample to Run and waits until it is given back.
func (e *Engine) denoise(ctx context.Context, s *sample, res *Result) error {
	ctx, span := startSpan(ctx, "denoise")
	s.since = time.Now()
	begin := s.step // not 0 where a checkpoint is gone on from
	err := e.ride(ctx, s)
	res.Ledger.Wait += s.wait
	res.Ledger.Denoise += s.denoise
	res.Calls = s.calls
	if s.calls > 0 {
		res.RowsMean = float64(s.rowsSum) / float64(s.calls)
	}
	span.SetAttributes(attribute.Int("inference.calls", s.calls), attribute.Float64("inference.rows.mean", res.RowsMean),
		attribute.Float64("inference.wait", s.wait.Seconds()), attribute.Int("num_inference_steps", s.req.Steps),
		attribute.Float64("guidance_scale", s.req.Guidance), attribute.String("scheduler", cmp.Or(s.req.Scheduler, e.info.Schedule.Class())))
	if steps := s.step - begin; steps > 0 {
		span.SetAttributes(attribute.Float64("denoise.step.duration.mean", s.denoise.Seconds()/float64(steps)))
	}
	return endSpan(span, err)
}

func (e *Engine) ride(ctx context.Context, s *sample) error {
	select {
	case e.door <- s:
	case <-ctx.Done():
		return ctx.Err()
	case <-e.stopped:
		return ErrStopped
	}
	select {
	case err := <-s.done:
		return err
	case <-ctx.Done():
	}
	// Run gives every sample back, whatever happens, so the last receive is short: at most until the calls it rides in are done.
	select {
	case e.leave <- s:
	case err := <-s.done:
		return err
	}
	if err := <-s.done; err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return ctx.Err()
}

// picture decodes latents and checks what came out.
func (e *Engine) picture(ctx context.Context, latents []float32, size Size, res *Result) (img Image, err error) {
	start := time.Now()
	outside := e.decode.do(ctx, func() {
		defer recovered(&err, "decoding the picture")
		begin := time.Now()
		res.Ledger.Wait += begin.Sub(start)
		img, err = e.decodeImage(ctx, latents, size)
		res.Ledger.Decode = time.Since(begin)
	})
	return img, errors.Join(outside, err)
}

func (e *Engine) decodeImage(ctx context.Context, latents []float32, size Size) (Image, error) {
	ctx, span := startSpan(ctx, "vae_decode")
	width, height := size.Width*e.info.ScaleFactor, size.Height*e.info.ScaleFactor
	span.SetAttributes(attribute.Int("image.width", width), attribute.Int("image.height", height))
	img, err := e.decodeWith(ctx, e.model.Decode, latents, size)
	if errors.Is(err, errBadImage) && e.info.Float32Decoder {
		span.SetAttributes(attribute.Bool("vae_decode.float32", true))
		img, err = e.decodeWith(ctx, e.model.DecodeFloat32, latents, size)
	}
	return img, endSpan(span, err)
}

// decodeWith decodes by one of the model's decoders and checks the picture.
func (e *Engine) decodeWith(ctx context.Context, decode func(context.Context, []float32, Size) ([]float32, error), latents []float32, size Size) (Image, error) {
	pixels, err := decode(ctx, latents, size)
	if err != nil {
		e.doubt(ctx)
		return Image{}, classed("model_error", fmt.Errorf("decoding the picture: %w", err))
	}
	return newImage(pixels, size.Width*e.info.ScaleFactor, size.Height*e.info.ScaleFactor)
}

// startSpan starts a child of the span in ctx with that span's own provider; without one it costs nothing.
func startSpan(ctx context.Context, name string) (context.Context, trace.Span) {
	return trace.SpanFromContext(ctx).TracerProvider().Tracer("github.com/stipple-ai/stipple/internal/infer").Start(ctx, name)
}

// endSpan ends span, marked with err unless that is nil or a leaving (the caller's or the engine's).
func endSpan(span trace.Span, err error) error {
	if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, ErrStopped) {
		typ, ok := classOf(err)
		if !ok {
			typ = "model_error"
		}
		span.AddEvent("exception", trace.WithAttributes(attribute.String("exception.type", fmt.Sprintf("%T", err)), attribute.String("exception.message", err.Error())))
		span.SetAttributes(attribute.String("error.type", typ))
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
	return err
}
