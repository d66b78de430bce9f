package ort

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/stipple-ai/stipple/internal/infer/onnx"
)

// writeGraph replaces a part's graph by one that has the inputs and outputs given, as in "sample float32[-1 4 -1 -1], timestep int64[-1]", and nothing in
// it: enough for what is refused before ONNX Runtime sees the file. A node of each output takes its inputs, if any, after an arrow: "y float32[2] <- x bias".
func writeGraph(t *testing.T, dir, part, inputs, outputs string) {
	t.Helper()
	var graph []byte
	for out := range strings.SplitSeq(outputs, ", ") {
		value, from, _ := strings.Cut(out, " <- ")
		var node []byte
		for in := range strings.FieldsSeq(from) {
			node = field(node, 1, []byte(in))
		}
		name, _, _ := strings.Cut(value, " ")
		node = field(node, 2, []byte(name))
		node = field(node, 4, []byte("Add"))
		graph = field(field(graph, 1, node), 12, valueInfo(t, value))
	}
	for in := range strings.SplitSeq(inputs, ", ") {
		if in != "" {
			graph = field(graph, 11, valueInfo(t, in))
		}
	}
	path := filepath.Join(dir, filepath.FromSlash(graphFile(part)))
	if err := os.WriteFile(path, field(nil, 7, graph), 0o600); err != nil {
		t.Fatal(err)
	}
}

var valueText = regexp.MustCompile(`^(\S+) (\S+?)\[(.*)\]$`)

// valueInfo is onnx.proto's ValueInfoProto of a text as onnx.Value prints itself.
func valueInfo(t *testing.T, text string) []byte {
	t.Helper()
	m := valueText.FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("%q is no value", text)
	}
	elem := onnx.Elem(0)
	for _, e := range []onnx.Elem{onnx.Float32, onnx.Float16, onnx.Float64, onnx.Int32, onnx.Int64, onnx.Bool} {
		if e.String() == m[2] {
			elem = e
		}
	}
	var shape []byte
	for d := range strings.FieldsSeq(m[3]) {
		n, err := strconv.Atoi(d)
		switch {
		case err != nil:
			t.Fatal(err)
		case n < 0:
			shape = field(shape, 1, field(nil, 2, []byte("open")))
		default:
			shape = field(shape, 1, number(nil, 1, n))
		}
	}
	tensor := field(number(nil, 1, int(elem)), 2, shape)
	return field(field(nil, 1, []byte(m[1])), 2, field(nil, 1, tensor))
}

func field(b []byte, number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, number, protowire.BytesType), value)
}

func number(b []byte, field protowire.Number, value int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), uint64(value))
}

// TestLoadRefusesGraphs: what a graph takes and gives must fit, and the message says the file, the tensor, what was expected, and how to get it right.
func TestLoadRefusesGraphs(t *testing.T) {
	const (
		sample   = "sample float32[-1 4 -1 -1]"
		timestep = "timestep int64[-1]"
		text     = "encoder_hidden_states float32[-1 -1 32]"
		out      = "out_sample float32[-1 4 -1 -1]"
		xlText   = "encoder_hidden_states float32[-1 -1 96]"
		pooled   = "text_embeds float32[-1 32]"
		times    = "time_ids float32[-1 6]"
		latent   = "latent_sample float32[-1 4 -1 -1]"
		picture  = "sample float32[-1 3 -1 -1]"
		ids      = "input_ids int64[-1 -1]"
		hidden   = "last_hidden_state float32[-1 -1 32]"
	)
	unet := func(values ...string) string { return strings.Join(values, ", ") }
	for _, c := range []struct {
		name, model, part, inputs, outputs string
		want                               []string
	}{
		{"foreign input", "sd15", "unet", unet(sample, timestep, text, "down_block_0 float32[-1 16 -1 -1]"), out, []string{"down_block_0 float32[-1 16 -1 -1]", "not one that this worker fills", "docs/models.md"}},
		{"a UNet without inputs", "sd15", "unet", "", out, []string{"sample of float32 or float16 and rank 4", "its inputs are none"}},
		{"no timestep", "sd15", "unet", unet(sample, text), out, []string{"needs an input timestep", sample}},
		{"double timestep", "sd15", "unet", unet(sample, "timestep float64[-1]", text), out, []string{"timestep float64[-1]", "float32, float16, int64 or int32"}},
		{"scalar half timestep", "sd15", "unet", unet(sample, "timestep float16[]", text), out, []string{"timestep float16[]", "as a vector"}},
		{"fixed timesteps", "sd15", "unet", unet(sample, "timestep int64[2]", text), out, []string{"timestep int64[2]", "fixed batch (2)", "dynamic axes"}},
		{"fixed size", "sd15", "unet", unet("sample float32[-1 4 64 64]", timestep, text), out, []string{"sample float32[-1 4 64 64]", "fixed height (64)", "dynamic axes"}},
		{"fixed batch", "sd15", "unet", unet("sample float32[2 4 -1 -1]", timestep, text), out, []string{"fixed batch (2)", "dynamic axes"}},
		{"integer sample", "sd15", "unet", unet("sample int32[-1 4 -1 -1]", timestep, text), out, []string{"sample of float32 or float16 and rank 4"}},
		{"channels", "sd15", "unet", unet("sample float32[-1 9 -1 -1]", timestep, text), out, []string{"9 channels", "in_channels 4"}},
		{"learned variance", "sd15", "unet", unet(sample, timestep, text), "out_sample float32[-1 8 -1 -1]", []string{"out_sample float32[-1 8 -1 -1]", "4 channels"}},
		{"fixed text length", "sd15", "unet", unet(sample, timestep, "encoder_hidden_states float32[-1 64 32]"), out, []string{"fixed length of 64", "77 tokens", "dynamic axes"}},
		{"text width", "sd15", "unet", unet(sample, timestep, "encoder_hidden_states float32[-1 -1 48]"), out, []string{"48 wide", "give 32", "mixes two models"}},
		{"SDXL's UNet", "sd15", "unet", unet(sample, timestep, text, pooled, times), out, []string{"text_embeds", "text_encoder_2", "is not there"}},
		{"guidance embedding", "sd15", "unet", unet(sample, timestep, text, "timestep_cond float32[-1 32]"), out, []string{"timestep_cond", "no time_cond_proj_dim"}},
		{"no guidance embedding", "lcm", "unet", unet(sample, timestep, text), out, []string{"time_cond_proj_dim", "takes no timestep_cond"}},
		{"SD's UNet", "sdxl", "unet", unet(sample, timestep, xlText), out, []string{"2 text encoders", "text_embeds"}},
		{"refiner", "sdxl", "unet", unet(sample, timestep, xlText, pooled, "time_ids float32[-1 5]"), out, []string{"time_ids float32[-1 5]", "6 numbers", "refiner"}},
		{"pooled width", "sdxl", "unet", unet(sample, timestep, xlText, "text_embeds float32[-1 99]", times), out, []string{"text_embeds are 99 wide", "text_encoder_2 gives"}},

		{"a decoder without inputs", "sd15", "vae_decoder", "", picture, []string{"its inputs are none", "one, the latents", "VAE decoder"}},
		{"two inputs", "sd15", "vae_decoder", latent + ", " + timestep, picture, []string{timestep, "one, the latents", "VAE decoder"}},
		{"an encoder", "sd15", "vae_decoder", "sample float32[-1 3 -1 -1]", "latent_parameters float32[-1 8 -1 -1]", []string{"3 channels", "latents have 4"}},
		{"latents out", "sd15", "vae_decoder", latent, "latents float32[-1 8 -1 -1]", []string{"latents float32[-1 8 -1 -1]", "not a picture"}},
		{"fixed latents", "sd15", "vae_decoder", "latent_sample float32[1 4 64 64]", picture, []string{"fixed height (64)", "dynamic axes"}},
		{"fixed batch of latents", "sd15", "vae_decoder", "latent_sample float32[2 4 -1 -1]", picture, []string{"fixed batch (2)", "dynamic axes"}},

		{"an encoder without inputs", "sd15", "text_encoder", "", hidden, []string{"its inputs are none", "one, input_ids"}},
		{"attention mask", "sd15", "text_encoder", ids + ", attention_mask int64[-1 -1]", hidden, []string{"attention_mask", "one, input_ids"}},
		{"float ids", "sd15", "text_encoder", "input_ids float32[-1 -1]", hidden, []string{"input_ids float32[-1 -1]", "int32 or int64"}},
		{"fixed length", "sd15", "text_encoder", "input_ids int64[1 64]", hidden, []string{"fixed length (64)", "dynamic axes"}},
		{"no hidden state", "sd15", "text_encoder", ids, "pooler_output float32[-1 32]", []string{"no output last_hidden_state", "pooler_output float32[-1 32]"}},
		{"the last layer of SDXL", "sdxl", "text_encoder", ids, hidden + " <- x m.final_layer_norm.bias", []string{"second-to-last layer", hidden, "output_hidden_states=True"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := copyPipeline(t, c.model)
			writeGraph(t, dir, c.part, c.inputs, c.outputs)
			refused(t, dir, append(c.want, filepath.Join(dir, c.part, "model.onnx"))...)
		})
	}
}

// refused expects an error of one line that has all of want.
func refused(t *testing.T, dir string, want ...string) {
	t.Helper()
	p, err := shared.Load(t.Context(), dir)
	if err == nil {
		t.Fatal("no error", p.Close())
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q lacks %q", err, w)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("more than one line: %q", err)
	}
}

// TestPenultimate: SDXL's layer is found by its number, or by the norm that the last layer of an export does not have.
func TestPenultimate(t *testing.T) {
	for _, c := range []struct{ name, outputs, want string }{
		{"all layers", "last_hidden_state float32[-1 -1 32] <- x final_layer_norm.bias, hidden_states.2 float32[-1 -1 32] <- a b", "hidden_states.2"},
		{"one layer", "text_embeds float32[-1 32] <- p, hidden_states float32[-1 -1 32] <- a b", "hidden_states"},
		{"without norm", "last_hidden_state float32[-1 -1 32] <- a b", "last_hidden_state"},
		{"with norm", "last_hidden_state float32[-1 -1 32] <- x m.final_layer_norm.weight m.final_layer_norm.bias", ""},
		{"another layer", "last_hidden_state float32[-1 -1 32] <- x m.final_layer_norm.bias, hidden_states.3 float32[-1 -1 32] <- a b", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Mkdir(filepath.Join(dir, "part"), 0o700); err != nil {
				t.Fatal(err)
			}
			writeGraph(t, dir, "part", "input_ids int64[-1 -1]", c.outputs)
			h, err := onnx.ReadFile(filepath.Join(dir, "part", "model.onnx"))
			if err != nil {
				t.Fatal(err)
			}
			got, err := penultimate(h, 3)
			if got != c.want || (err == nil) != (c.want != "") {
				t.Errorf("got %q, %v, want %q", got, err, c.want)
			}
			if err != nil && !strings.Contains(err.Error(), fmt.Sprint(h.Outputs[0])) {
				t.Errorf("%q does not say the outputs", err)
			}
		})
	}
}
