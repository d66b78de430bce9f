package ort

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/stipple-ai/stipple/internal/infer"
	"github.com/stipple-ai/stipple/internal/infer/clip"
)

// Pipeline is a Stable Diffusion pipeline (1.x, 2.x, SDXL) in the ONNX layout, loaded. What it is made of is read from the folder's files and the graphs'
// inputs, never guessed from names. Its methods may be called from several goroutines at once.
type Pipeline struct {
	folder *folder
	digest string
	text   []*textEncoder
	unet   *unet
	vae    *vae
}

var _ infer.Model = (*Pipeline)(nil)

// Load loads the pipeline in dir. Errors name the file, what is wrong with it, and how to mend it.
func (r *Runtime) Load(ctx context.Context, dir string) (_ *Pipeline, err error) {
	f, err := readFolder(dir)
	if err != nil {
		return nil, err
	}
	p := &Pipeline{folder: f, text: make([]*textEncoder, len(f.text))}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	g, _ := errgroup.WithContext(ctx)
	g.Go(func() (err error) { p.digest, err = digest(ctx, f); return err })
	g.Go(func() (err error) { p.unet, err = r.loadUNet(f); return err })
	g.Go(func() (err error) { p.vae, err = r.loadVAE(f); return err })
	for i := range p.text {
		g.Go(func() (err error) { p.text[i], err = r.loadTextEncoder(f, i); return err })
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return p, p.fit()
}

// fit checks that the parts belong together: the text encoders' width is the UNet's.
func (p *Pipeline) fit() error {
	width := 0
	for _, t := range p.text {
		width += t.hidden
		if t.tokenizer.MaxLength() != p.text[0].tokenizer.MaxLength() {
			return fmt.Errorf("%s: the two tokenizers read %d and %d tokens: they must agree", p.folder.dir, p.text[0].tokenizer.MaxLength(), t.tokenizer.MaxLength())
		}
	}
	if want := p.unet.textWidth; want > 0 && want != width {
		return fmt.Errorf("%s: its encoder_hidden_states are %d wide, but the text encoders give %d: the folder mixes two models", p.unet.session.path, want, width)
	}
	p.unet.textWidth = width
	p.unet.tokens = p.text[0].tokenizer.MaxLength()
	p.unet.pooled = 0
	if p.unet.takesPooled() {
		if len(p.text) != 2 {
			return fmt.Errorf("%s: it takes text_embeds, but %s is not there", p.unet.session.path, p.folder.path("text_encoder_2"))
		}
		p.unet.pooled = p.text[1].projection
	}
	return nil
}

// Close frees the sessions. No call may be under way.
func (p *Pipeline) Close() error {
	var errs []error
	for _, t := range p.text {
		if t != nil {
			errs = append(errs, t.session.close())
		}
	}
	if p.unet != nil {
		errs = append(errs, p.unet.session.close())
	}
	if p.vae != nil {
		errs = append(errs, p.vae.session.close())
	}
	return errors.Join(errs...)
}

// Info tells the engine what it has to know.
func (p *Pipeline) Info() infer.Info {
	f := p.folder
	return infer.Info{
		LatentChannels: f.unet.InChannels, ScaleFactor: f.factor(),
		Width: f.unet.sampleW * f.factor(), Height: f.unet.sampleH * f.factor(),
		Schedule: f.scheduler, GuidanceEmbedded: p.unet.guidanceDim > 0, OneSample: p.unet.scalarTimestep,
	}
}

// Digest is the SHA-256, in hex, over the names and contents of the files that the pipeline is made of.
func (p *Pipeline) Digest() string { return p.digest }

// Defaults are the model's own for fields that a job leaves out.
func (p *Pipeline) Defaults() Defaults { return p.folder.defaults }

// MaxTokens is how many tokens of a prompt the model reads, begin and end included.
func (p *Pipeline) MaxTokens() int { return p.text[0].tokenizer.MaxLength() }

func (r *Runtime) loadTokenizer(f *folder, name string) (*clip.Tokenizer, error) {
	t, err := clip.Load(filepath.Join(f.dir, name))
	if err != nil {
		return nil, fmt.Errorf("loading the tokenizer: %w", err)
	}
	return t, nil
}
