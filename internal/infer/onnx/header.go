// Package onnx reads the head of an ONNX file: opsets, inputs and outputs with their types and shapes, and the names of external weight files. It skips the
// weights, so that a file of gigabytes costs a few reads; ONNX Runtime itself tells this only by building a whole session.
//
// Field numbers are of onnx.proto (ModelProto, GraphProto, TensorProto, ValueInfoProto), IR version 3 and later.
package onnx

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// Elem is TensorProto.DataType.
type Elem int32

// The element types that diffusion pipelines use.
const (
	Float32 Elem = 1
	Int32   Elem = 6
	Int64   Elem = 7
	Bool    Elem = 9
	Float16 Elem = 10
	Float64 Elem = 11
)

func (e Elem) String() string {
	switch e {
	case Float32:
		return "float32"
	case Int32:
		return "int32"
	case Int64:
		return "int64"
	case Bool:
		return "bool"
	case Float16:
		return "float16"
	case Float64:
		return "float64"
	default:
		return fmt.Sprintf("type %d", int32(e))
	}
}

// Value is an input or output of the graph.
type Value struct {
	Name string
	Elem Elem
	Dims []int64 // -1 where the dimension is symbolic or open; empty for a scalar
}

func (v Value) String() string { return fmt.Sprintf("%s %s%v", v.Name, v.Elem, v.Dims) }

// Header is what the package reads.
type Header struct {
	IRVersion       int64
	Opset           int64 // of the default domain
	Inputs, Outputs []Value
	External        []string // locations of external data, relative to the file's folder, sorted
}

// Input returns the input of that name.
func (h *Header) Input(name string) (Value, bool) { return find(h.Inputs, name) }

// Output returns the output of that name.
func (h *Header) Output(name string) (Value, bool) { return find(h.Outputs, name) }

func find(values []Value, name string) (Value, bool) {
	i := slices.IndexFunc(values, func(v Value) bool { return v.Name == name })
	if i < 0 {
		return Value{}, false
	}
	return values[i], true
}

// ReadFile reads the header of the file at path. Errors name the path and say what is wrong with the file.
func ReadFile(path string) (*Header, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	h, err := Read(f, info.Size())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return h, nil
}

// Read reads the header of an ONNX model of size bytes.
func Read(r io.ReadSeeker, size int64) (*Header, error) {
	m := &model{values: map[string]bool{}}
	w := &walker{file: r, buf: bufio.NewReaderSize(r, 64<<10), left: size}
	if err := w.walk(m.field); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
			err = errors.New("the file ends too early: it is truncated")
		}
		return nil, fmt.Errorf("not a readable ONNX model: %w", err)
	}
	if len(m.outputs) == 0 {
		return nil, errors.New("not a readable ONNX model: it has no graph with outputs")
	}
	h := &Header{IRVersion: m.ir, Opset: m.opset, Outputs: m.outputs}
	for _, in := range m.inputs {
		if !m.values[in.Name] { // exporters before IR version 4 list the weights as inputs too
			h.Inputs = append(h.Inputs, in)
		}
	}
	slices.Sort(m.external)
	h.External = slices.Compact(m.external)
	return h, nil
}
