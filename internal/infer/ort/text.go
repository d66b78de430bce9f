package ort

import (
	"context"
	"errors"
	"fmt"

	"github.com/stipple-ai/stipple/internal/infer"
	"github.com/stipple-ai/stipple/internal/infer/clip"
	"github.com/stipple-ai/stipple/internal/infer/onnx"
)

// textEncoder is one CLIP text encoder with its tokenizer.
type textEncoder struct {
	session    *session
	tokenizer  *clip.Tokenizer
	hidden     int // width of the hidden states
	projection int // width of text_embeds where the UNet wants them, else 0
}

// loadTextEncoder loads the text encoder i of f. In SDXL both give their second-to-last layer, and the second its projection too; otherwise the last layer is taken.
func (r *Runtime) loadTextEncoder(f *folder, i int) (*textEncoder, error) {
	part, tokens := "text_encoder", "tokenizer"
	if i == 1 {
		part, tokens = "text_encoder_2", "tokenizer_2"
	}
	t := &textEncoder{hidden: f.text[i].HiddenSize}
	var err error
	if t.tokenizer, err = r.loadTokenizer(f, tokens); err != nil {
		return nil, err
	}
	t.session, err = r.load(f.path(part+"/model.onnx"), func(h *onnx.Header) ([]string, error) {
		if in, ok := h.Input("input_ids"); !ok || len(h.Inputs) != 1 || (in.Elem != onnx.Int64 && in.Elem != onnx.Int32) {
			return nil, fmt.Errorf("its inputs are %s: one, input_ids of int32 or int64, is expected of a CLIP text encoder", valueNames(h.Inputs))
		}
		if len(f.text) == 1 {
			return []string{"last_hidden_state"}, nil
		}
		outputs := []string{penultimate(h, f.text[i].NumHiddenLayers)}
		if i == 1 {
			outputs = append(outputs, "text_embeds")
		}
		return outputs, nil
	})
	if err != nil {
		return nil, err
	}
	if i == 1 {
		t.projection = f.text[i].ProjectionDim
		if out := t.session.out[1]; len(out.Dims) == 2 && out.Dims[1] > 0 {
			t.projection = int(out.Dims[1])
		}
	}
	return t, nil
}

// penultimate names the output that holds the second-to-last layer: hidden_states.N of an export with all layers, else the last_hidden_state of one
// that ends there.
func penultimate(h *onnx.Header, layers int) string {
	if name := fmt.Sprintf("hidden_states.%d", layers-1); layers > 0 {
		if _, ok := h.Output(name); ok {
			return name
		}
	}
	return "last_hidden_state"
}

// Tokenize implements infer.TextEncoder.
func (p *Pipeline) Tokenize(text string, negative bool) infer.Tokens {
	if negative && text == "" && p.folder.zeroNegative() {
		return infer.Tokens{Zero: true}
	}
	var res infer.Tokens
	for _, t := range p.text {
		ids := t.tokenizer.Encode(text)
		res.IDs = append(res.IDs, ids.IDs)
		res.Count = max(res.Count, ids.Count)
		res.Truncated = res.Truncated || ids.Truncated
	}
	return res
}

// Encode implements infer.TextEncoder: hidden states of all encoders side by side, and the pooled projection of the second.
func (p *Pipeline) Encode(ctx context.Context, tokens infer.Tokens) (*infer.Embedding, error) {
	n, width := p.MaxTokens(), p.unet.textWidth
	e := &infer.Embedding{Hidden: make([]float32, n*width)}
	if p.unet.pooled > 0 {
		e.Pooled = make([]float32, p.unet.pooled)
	}
	if tokens.Zero {
		return e, nil
	}
	column := 0
	for i, t := range p.text {
		if err := t.encode(ctx, tokens.IDs[i], e, column, width); err != nil {
			return nil, err
		}
		column += t.hidden
	}
	return e, nil
}

// encode writes the encoder's hidden states into the columns of e.Hidden from column on.
func (t *textEncoder) encode(ctx context.Context, ids []int64, e *infer.Embedding, column, width int) (err error) {
	f, err := t.session.frames.take(frameKey{rows: 1}, func() (*frame, error) { return t.frame(len(ids)) })
	if err != nil {
		return fmt.Errorf("%s: %w", t.session.path, err)
	}
	defer func() { err = errors.Join(err, t.session.frames.give(f)) }()
	f.in[0].setInts(ids)
	if err := t.session.call(ctx, f); err != nil {
		return err
	}
	for i := range ids {
		f.out[0].floats(e.Hidden[i*width+column:][:t.hidden], i*t.hidden)
	}
	if len(f.out) > 1 && e.Pooled != nil {
		f.out[1].floats(e.Pooled, 0)
	}
	return nil
}

func (t *textEncoder) frame(n int) (*frame, error) {
	in := []spec{{"input_ids", t.session.in[0].Elem, []int64{1, int64(n)}}}
	out := []spec{{t.session.out[0].Name, t.session.out[0].Elem, []int64{1, int64(n), int64(t.hidden)}}}
	if len(t.session.out) > 1 {
		out = append(out, spec{t.session.out[1].Name, t.session.out[1].Elem, []int64{1, int64(t.projection)}})
	}
	return newFrame(frameKey{rows: 1}, in, out)
}
