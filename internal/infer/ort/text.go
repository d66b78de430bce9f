package ort

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

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

	// The session's outputs by what they are for. prompt differs from negative only with clip_skip: diffusers leaves layers out of the prompt alone.
	prompt, negative, pooled int
	norm                     *layerNorm // of the layer that prompt names, nil where that has it already or none is due
}

// planText loads the tokenizer i of f and checks the graph of its text encoder.
func (f *folder) planText(i int) (*textEncoder, error) {
	part, config := textParts[i], f.text[i]
	t := &textEncoder{hidden: config.HiddenSize}
	var err error
	if t.tokenizer, err = f.loadTokenizer(i); err != nil {
		return nil, err
	}
	h := f.graphs[part]
	if err = t.checkInput(h); err == nil {
		err = t.chooseOutputs(h, f, i)
	}
	if err != nil {
		return nil, f.bad(graphFile(part), "%w", err)
	}
	if i == 1 {
		t.projection = config.ProjectionDim
		if out := t.session.out[t.pooled]; len(out.Dims) == 2 && out.Dims[1] > 0 {
			t.projection = int(out.Dims[1])
		}
	}
	if t.prompt != t.negative && len(f.text) == 1 {
		t.norm, err = readFinalNorm(t.session.path, h, config)
	}
	return t, err
}

// loadTokenizer loads the tokenizer of text encoder i and checks that its ids are the encoder's.
func (f *folder) loadTokenizer(i int) (*clip.Tokenizer, error) {
	name := []string{"tokenizer", "tokenizer_2"}[i]
	t, err := clip.Load(filepath.Join(f.dir, name))
	if err != nil {
		return nil, fmt.Errorf("loading the tokenizer: %w", err)
	}
	if n := f.text[i].VocabSize; n > 0 && t.VocabSize() > n {
		return nil, f.bad(name, "it has %d ids, but %s/config.json says vocab_size %d: the folder mixes two models", t.VocabSize(), textParts[i], n)
	}
	if n := f.text[i].MaxPositionEmbeddings; n > 0 && t.MaxLength() > n {
		return nil, f.bad(name+"/tokenizer_config.json", "model_max_length is %d, but %s/config.json says max_position_embeddings %d: set it to that", t.MaxLength(), textParts[i], n)
	}
	return t, nil
}

func (t *textEncoder) checkInput(h *onnx.Header) error {
	ids, ok := h.Input("input_ids")
	if !ok || len(h.Inputs) != 1 || len(ids.Dims) != 2 || (ids.Elem != onnx.Int64 && ids.Elem != onnx.Int32) {
		return fmt.Errorf("its inputs are %s: one, input_ids of int32 or int64 and rank 2, is expected of a CLIP text encoder: %s", list(h.Inputs), exportWhole)
	}
	if n := ids.Dims[1]; n >= 0 && int(n) != t.tokenizer.MaxLength() {
		return checkOpen(ids, "", "length")
	}
	if ids.Dims[0] > 1 {
		return checkOpen(ids, "batch")
	}
	return nil
}

// chooseOutputs names the outputs to take. A model with one text encoder attends to its last layer, SDXL to the second-to-last of both, and to the second
// one's projection; clip_skip leaves more out.
func (t *textEncoder) chooseOutputs(h *onnx.Header, f *folder, i int) (err error) {
	layers, skip, negative := f.text[i].NumHiddenLayers, f.own.ClipSkip, "last_hidden_state"
	if len(f.text) == 2 {
		if negative, err = penultimate(h, layers); err != nil {
			return err
		}
		layers--
	}
	wanted := []string{negative}
	if skip > 0 {
		prompt := fmt.Sprintf("hidden_states.%d", layers-skip)
		if _, ok := h.Output(prompt); !ok || skip >= layers {
			return fmt.Errorf("stipple.json says clip_skip %d, which needs its output %s; its outputs are %s: %s", skip, prompt, list(h.Outputs), exportLayers)
		}
		t.prompt = len(wanted)
		wanted = append(wanted, prompt)
	}
	if i == 1 {
		t.pooled = len(wanted)
		wanted = append(wanted, "text_embeds")
	}
	if t.session, err = f.plan(textParts[i], wanted...); err != nil {
		return err
	}
	for _, v := range t.session.out {
		if !float(v) {
			return fmt.Errorf("its output %s must be float32 or float16: %s", v, exportWhole)
		}
	}
	return nil
}

// penultimate names the output that holds the second-to-last of the layers: hidden_states.N of an export with all layers, or the hidden state of one that
// ends there, which is known by the final layer norm that it does not have.
func penultimate(h *onnx.Header, layers int) (string, error) {
	if name := fmt.Sprintf("hidden_states.%d", layers-1); layers > 0 {
		if _, ok := h.Output(name); ok {
			return name, nil
		}
	}
	for _, name := range []string{"hidden_states", "last_hidden_state"} {
		v, ok := h.Output(name)
		if !ok || len(v.Dims) != 3 {
			continue
		}
		if node, ok := h.Producer(name); ok && !slices.ContainsFunc(node.Inputs, isFinalNorm) {
			return name, nil
		}
	}
	return "", fmt.Errorf("SDXL attends to the second-to-last layer, but its outputs are %s, the last layer after its norm at most: %s", list(h.Outputs), exportLayers)
}

// Tokenize implements infer.TextEncoder.
func (p *Pipeline) Tokenize(text string, negative bool) infer.Tokens {
	if negative && text == "" && p.folder.zeroNegative() {
		return infer.Tokens{Zero: true}
	}
	res := infer.Tokens{Negative: negative && p.folder.own.ClipSkip > 0}
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
		if err := t.encode(ctx, tokens.IDs[i], tokens.Negative, e, column, width); err != nil {
			return nil, err
		}
		column += t.hidden
	}
	return e, nil
}

// encode writes the encoder's hidden states into the columns of e.Hidden from column on.
func (t *textEncoder) encode(ctx context.Context, ids []int64, negative bool, e *infer.Embedding, column, width int) (err error) {
	f, err := t.session.frames.take(frameKey{rows: 1}, func() (*frame, error) { return t.frame(len(ids)) })
	if err != nil {
		return fmt.Errorf("%s: %w", t.session.path, err)
	}
	defer func() { err = errors.Join(err, t.session.frames.give(f)) }()
	f.in[0].setInts(ids)
	if err := t.session.call(ctx, f); err != nil {
		return err
	}
	out, norm := t.prompt, t.norm
	if negative {
		out, norm = t.negative, nil
	}
	for i := range ids {
		row := e.Hidden[i*width+column:][:t.hidden]
		f.out[out].floats(row, i*t.hidden)
		if norm != nil {
			norm.apply(row)
		}
	}
	if t.pooled > 0 {
		f.out[t.pooled].floats(e.Pooled, 0)
	}
	return nil
}

// inputs are the shapes of a call with n tokens.
func (t *textEncoder) inputs(n int) []spec {
	return []spec{{"input_ids", t.session.in[0].Elem, []int64{1, int64(n)}}}
}

func (t *textEncoder) frame(n int) (*frame, error) {
	out := make([]spec, len(t.session.out))
	for i, v := range t.session.out {
		out[i] = spec{v.Name, v.Elem, []int64{1, int64(n), int64(t.hidden)}}
		if i > 0 && i == t.pooled {
			out[i].dims = []int64{1, int64(t.projection)}
		}
	}
	return newFrame(frameKey{rows: 1}, t.inputs(n), out)
}
