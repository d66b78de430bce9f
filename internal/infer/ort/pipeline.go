package ort

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/stipple-ai/stipple/internal/infer"
)

// Pipeline is a Stable Diffusion pipeline (1.x, 2.x, SDXL) in the ONNX layout, loaded. What it is made of is read from the folder's files and the graphs'
// inputs, never guessed from names. Its methods may be called from several goroutines at once.
type Pipeline struct {
	folder *folder
	digest string
	text   []*textEncoder
	unet   *unet
	vae    *vae

	// precise is the VAE in float32, for pictures that overflow vae; nil where the folder has none.
	precise *vae

	minSide, maxSide int // pixels: what engines were built for; 0 is no bound
}

var _ infer.Model = (*Pipeline)(nil)

// Load loads the pipeline in dir, once all of it is known to fit together. Errors name the file, what is wrong with it, and how to mend it.
func (r *Runtime) Load(ctx context.Context, dir string) (_ *Pipeline, err error) {
	f, err := readFolder(dir)
	if err != nil {
		return nil, err
	}
	p, err := f.pipeline(r.opts.TileSize)
	if err != nil {
		return nil, err
	}
	g, _ := errgroup.WithContext(ctx)
	if r.opts.Provider == providerTensorRT {
		// Engines are known by the digest, and are built one after the other: each wants the whole card.
		if p.digest, err = digest(ctx, f); err != nil {
			return nil, err
		}
		if err := r.planEngines(p, r.inspected.version("libnvinfer.so"), r.inspected.Device); err != nil {
			return nil, err
		}
		g.SetLimit(1)
	} else {
		g.Go(func() (err error) { p.digest, err = digest(ctx, f); return err })
	}
	for _, s := range p.sessions() {
		g.Go(func() error { return r.load(s) })
	}
	if err := g.Wait(); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// pipeline plans every part and checks that they belong together. tile is Options.TileSize.
func (f *folder) pipeline(tile int) (*Pipeline, error) {
	p := &Pipeline{folder: f}
	var err error
	if p.unet, err = f.planUNet(); err != nil {
		return nil, f.bad(graphFile("unet"), "%w", err)
	}
	if p.vae, err = f.planVAE(vaePart, tile); err != nil {
		return nil, err
	}
	if f.graphs[precisePart] != nil {
		if p.precise, err = f.planVAE(precisePart, tile); err != nil {
			return nil, err
		}
	}
	for i := range f.text {
		t, err := f.planText(i)
		if err != nil {
			return nil, err
		}
		p.text = append(p.text, t)
	}
	return p, p.fit()
}

// sessions are those of all parts.
func (p *Pipeline) sessions() []*session {
	all := []*session{p.unet.session, p.vae.session}
	if p.precise != nil {
		all = append(all, p.precise.session)
	}
	for _, t := range p.text {
		all = append(all, t.session)
	}
	return all
}

// fit checks that the parts belong together: what the text encoders give is what the UNet takes.
func (p *Pipeline) fit() error {
	width, tokens := 0, p.text[0].tokenizer.MaxLength()
	for _, t := range p.text {
		width += t.hidden
		if n := t.tokenizer.MaxLength(); n != tokens {
			return fmt.Errorf("%s: the two tokenizers read %d and %d tokens: they must agree", p.folder.dir, tokens, n)
		}
	}
	return p.unet.fit(tokens, width, p.text[len(p.text)-1].projection)
}

// Close frees the sessions. No call may be under way.
func (p *Pipeline) Close() error {
	var errs []error
	for _, s := range p.sessions() {
		errs = append(errs, s.close())
	}
	return errors.Join(errs...)
}

// Info tells the engine what it has to know.
func (p *Pipeline) Info() infer.Info {
	f := p.folder
	return infer.Info{
		LatentChannels: f.unet.InChannels, ScaleFactor: f.factor(), SizeMultiple: f.factor() * f.unet.halvings(),
		Width: f.unet.sampleW * f.factor(), Height: f.unet.sampleH * f.factor(),
		Schedule: f.scheduler, GuidanceEmbedded: p.unet.guidanceDim > 0, OneSample: p.unet.scalarTimestep,
		Float32Decoder: p.precise != nil, MinSide: p.minSide, MaxSide: p.maxSide,
	}
}

// Digest is the SHA-256, in hex, over the names and contents of the files that the pipeline is made of.
func (p *Pipeline) Digest() string { return p.digest }

// Defaults are the model's own for fields that a job leaves out.
func (p *Pipeline) Defaults() Defaults { return p.folder.own.Defaults }

// MaxTokens is how many tokens of a prompt the model reads, begin and end included.
func (p *Pipeline) MaxTokens() int { return p.text[0].tokenizer.MaxLength() }
