package onnx

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func floats(values ...float32) []byte {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

func vector(name string) message { return message{}.num(1, 2).num(2, uint64(Float32)).text(8, name) }

// weights is a model whose vectors are stored in every way that exporters have.
func weights() []byte {
	graph := message{}.
		bytes(5, vector("raw.weight").bytes(9, floats(1, 2))).
		bytes(5, message{}.num(1, 2).num(2, uint64(Float32)).bytes(4, floats(3, 4)).text(8, "packed.weight")).
		bytes(5, vector("outside.weight").
			bytes(13, message{}.text(1, "location").text(2, "data")).
			bytes(13, message{}.text(1, "offset").text(2, "4")).
			bytes(13, message{}.text(1, "length").text(2, "8"))).
		bytes(5, vector("escaping.weight").
			bytes(13, message{}.text(1, "location").text(2, "../data")).
			bytes(13, message{}.text(1, "length").text(2, "8"))).
		bytes(5, vector("empty.weight")).
		bytes(5, vector("large.weight").bytes(9, make([]byte, maxTensor+1))).
		bytes(12, value("out", Float32))
	return message{}.bytes(7, graph)
}

func TestReadTensor(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "model.onnx")
	for file, data := range map[string][]byte{path: weights(), filepath.Join(dir, "data"): floats(0, 5, 6)} {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string][]byte{"raw.weight": floats(1, 2), "packed.weight": floats(3, 4), "outside.weight": floats(5, 6)} {
		got, err := ReadTensor(path, name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !bytes.Equal(got.Data, want) || got.Elem != Float32 || !slices.Equal(got.Dims, []int64{2}) {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	for name, want := range map[string]string{
		"none.weight": "none of that name", "escaping.weight": "out of bounds", "empty.weight": "not stored", "large.weight": "at most",
	} {
		if _, err := ReadTensor(path, name); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v, want an error with %q and the path", name, err, want)
		}
	}
	if err := os.Truncate(filepath.Join(dir, "data"), 8); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadTensor(path, "outside.weight"); err == nil {
		t.Error("no error from truncated data")
	}
}

func FuzzReadTensor(f *testing.F) {
	f.Add(weights()[:400])
	f.Add(sampleModel()[:200])
	f.Fuzz(func(t *testing.T, data []byte) {
		tensor, err := newWalker(bytes.NewReader(data), int64(len(data))).findTensor("raw.weight")
		if err == nil && tensor.Name != "raw.weight" {
			t.Errorf("found %q", tensor.Name)
		}
	})
}
