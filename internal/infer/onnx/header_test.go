package onnx

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/encoding/protowire"
)

// message builds protobuf by hand: fields are written in the order given.
type message []byte

func (m message) num(field int, v uint64) message {
	return protowire.AppendVarint(protowire.AppendTag(m, protowire.Number(field), protowire.VarintType), v)
}

func (m message) bytes(field int, v []byte) message {
	return protowire.AppendBytes(protowire.AppendTag(m, protowire.Number(field), protowire.BytesType), v)
}

func (m message) text(field int, v string) message { return m.bytes(field, []byte(v)) }

func value(name string, elem Elem, dims ...int64) message {
	var shape message
	for _, d := range dims {
		if d < 0 {
			shape = shape.bytes(1, message{}.text(2, "batch"))
		} else {
			shape = shape.bytes(1, message{}.num(1, uint64(d)))
		}
	}
	tensor := message{}.num(1, uint64(elem)).bytes(2, shape)
	return message{}.text(1, name).bytes(2, message{}.bytes(1, tensor))
}

func node(op, output string, inputs ...string) message {
	var m message
	for _, in := range inputs {
		m = m.text(1, in)
	}
	return m.text(2, output).text(3, "name of "+output).text(4, op)
}

func initializer(name, location string, raw int) message {
	m := message{}.num(1, 4).num(2, uint64(Float32)).text(8, name).bytes(9, make([]byte, raw))
	if location != "" {
		for _, entry := range [][2]string{{"location", location}, {"offset", "4096"}, {"length", "32"}} {
			m = m.bytes(13, message{}.text(1, entry[0]).text(2, entry[1]))
		}
	}
	return m
}

func sampleModel() []byte {
	graph := message{}.
		bytes(1, node("Conv", "conv", "sample", "w1")).
		bytes(1, node("Cast", "out_sample", "conv")).
		text(2, "graph").
		bytes(5, initializer("w1", "", 300<<10)). // larger than the read buffer: skipped by seeking
		bytes(5, initializer("w2", "model.onnx_data", 0)).
		bytes(5, initializer("w3", "model.onnx_data", 0)).
		bytes(11, value("sample", Float32, -1, 4, -1, -1)).
		bytes(11, value("timestep", Int64)).
		bytes(11, value("w1", Float32, 8)).
		bytes(12, value("out_sample", Float16, -1, 4, 64, 64))
	return message{}.num(1, 8).text(2, "pytorch").bytes(7, graph).
		bytes(8, message{}.text(1, "com.microsoft").num(2, 1)).
		bytes(8, message{}.text(1, "").num(2, 17))
}

func TestRead(t *testing.T) {
	data := sampleModel()
	got, err := Read(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	want := &Header{
		IRVersion: 8, Opset: 17,
		Inputs: []Value{
			{Name: "sample", Elem: Float32, Dims: []int64{-1, 4, -1, -1}},
			{Name: "timestep", Elem: Int64},
		},
		Outputs:  []Value{{Name: "out_sample", Elem: Float16, Dims: []int64{-1, 4, 64, 64}}},
		External: []External{{Location: "model.onnx_data", Size: 4096 + 32}},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Header{})); diff != "" {
		t.Error(diff)
	}
	conv, ok := got.Producer("out_sample")
	if diff := cmp.Diff(Node{Op: "Conv", Inputs: []string{"sample", "w1"}}, conv); diff != "" || !ok {
		t.Errorf("the producer of out_sample: %s, %v", diff, ok)
	}
	if n, ok := got.Producer("sample"); ok {
		t.Errorf("an input is given by %v", n)
	}
}

// TestWeight: a weight that equals another is stored once, and an Identity node gives it its name.
func TestWeight(t *testing.T) {
	graph := message{}.
		bytes(1, node("Identity", "m.final_layer_norm.weight", "m.first.weight")).
		bytes(1, node("LayerNormalization", "y", "x", "m.final_layer_norm.weight", "m.final_layer_norm.bias")).
		bytes(12, value("y", Float32))
	data := message{}.bytes(7, graph)
	h, err := Read(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	for suffix, want := range map[string]string{"final_layer_norm.weight": "m.first.weight", "final_layer_norm.bias": "m.final_layer_norm.bias", "none": ""} {
		if got, ok := h.Weight(suffix); got != want || ok != (want != "") {
			t.Errorf("%s: got %q, %v", suffix, got, ok)
		}
	}
}

// TestProducerOfACircle: a damaged graph does not hang.
func TestProducerOfACircle(t *testing.T) {
	graph := message{}.bytes(1, node("Cast", "a", "b")).bytes(1, node("Identity", "b", "a")).bytes(12, value("a", Float32))
	data := message{}.bytes(7, graph)
	h, err := Read(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	if n, ok := h.Producer("a"); !ok || len(n.Inputs) != 1 {
		t.Errorf("got %v, %v", n, ok)
	}
}

func TestReadFileOfTheModelThatShips(t *testing.T) {
	h, err := ReadFile(filepath.Join("..", "..", "..", "models", "tiny-emoji", "unet", "model.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]Value{
		"sample":                {Name: "sample", Elem: Float32, Dims: []int64{-1, 8, -1, -1}},
		"timestep":              {Name: "timestep", Elem: Int64, Dims: []int64{-1}},
		"encoder_hidden_states": {Name: "encoder_hidden_states", Elem: Float32, Dims: []int64{-1, -1, 128}},
	} {
		got, ok := h.Input(name)
		if !ok {
			t.Errorf("no input %s in %v", name, h.Inputs)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	if out, ok := h.Output("out_sample"); !ok || out.Elem != Float32 {
		t.Errorf("got output %v, %v", out, ok)
	}
}

func TestReadRefuses(t *testing.T) {
	whole := sampleModel()
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "no graph"},
		{"truncated in the weights", whole[:1000], "truncated"},
		{"truncated at the end", whole[:len(whole)-3], "truncated"},
		{"a pointer", []byte("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), "git lfs pull"},
		{"text", []byte("<!DOCTYPE html><html>Sign in</html>"), "not a readable ONNX model"},
		{"external data that is nowhere", message{}.bytes(7, message{}.bytes(5, message{}.text(8, "w").bytes(13, message{}.text(1, "offset").text(2, "-4")))), `external data of w has offset "-4"`},
		{"zeros", make([]byte, 100), "not a readable ONNX model"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "model.onnx")
			if err := os.WriteFile(path, c.data, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := ReadFile(path)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v, want an error with %q and the path", err, c.want)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add(sampleModel())
	f.Add([]byte{})
	f.Add([]byte{0x3a, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := Read(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		if len(h.Outputs) == 0 {
			t.Error("a header without outputs and no error")
		}
		for _, o := range h.Outputs {
			h.Producer(o.Name)
		}
	})
}
