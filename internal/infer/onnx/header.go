// Package onnx reads the head of an ONNX file: opsets, inputs and outputs with their types and shapes, nodes, external weight files, and single small weights. It
// skips the other weights, so that a file of gigabytes costs a few reads; ONNX Runtime itself tells this only by building a whole session.
//
// Field numbers are of onnx.proto (ModelProto, GraphProto, NodeProto, TensorProto, ValueInfoProto), IR version 3 and later.
package onnx

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
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

// External is a file of weights beside the model.
type External struct {
	Location string // relative to the model's folder, as the model has it: it may try to leave the folder
	Size     int64  // the least bytes it must have to hold the weights that the model reads from it
}

// Node is an operation of the graph.
type Node struct {
	Op     string
	Inputs []string
}

// Header is what the package reads.
type Header struct {
	IRVersion       int64
	Opset           int64 // of the default domain
	Inputs, Outputs []Value
	External        []External // by location

	nodes map[string]Node // by the names of what they give
}

// Input returns the input of that name.
func (h *Header) Input(name string) (Value, bool) { return find(h.Inputs, name) }

// Output returns the output of that name.
func (h *Header) Output(name string) (Value, bool) { return find(h.Outputs, name) }

// Producer returns the node that gives the value name, looking through casts, and false where it is an input or a weight.
func (h *Header) Producer(name string) (Node, bool) {
	n, ok := h.nodes[h.origin(name)]
	return n, ok
}

// Weight returns the name of the initializer that a node takes under a name ending in suffix: exporters store equal weights once and give the others by Identity
// nodes. It is false where no node has such an input.
func (h *Header) Weight(suffix string) (string, bool) {
	for _, n := range h.nodes {
		for _, in := range n.Inputs {
			if strings.HasSuffix(in, suffix) {
				return h.origin(in), true
			}
		}
	}
	return "", false
}

// origin is the value that name is a copy of, itself if need be.
func (h *Header) origin(name string) string {
	for range len(h.nodes) { // a damaged graph may be a circle
		n, ok := h.nodes[name]
		if !ok || (n.Op != "Cast" && n.Op != "Identity") || len(n.Inputs) != 1 {
			break
		}
		name = n.Inputs[0]
	}
	return name
}

func find(values []Value, name string) (Value, bool) {
	i := slices.IndexFunc(values, func(v Value) bool { return v.Name == name })
	if i < 0 {
		return Value{}, false
	}
	return values[i], true
}

// lfsPointer begins what lies in a clone instead of a large file that was not fetched.
const lfsPointer = "version https://git-lfs"

// ReadFile reads the header of the file at path. Errors name the path and say what is wrong with the file.
func ReadFile(path string) (*Header, error) {
	h, err := readFile(path, readHeader)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return h, nil
}

// Read reads the header of an ONNX model of size bytes.
func Read(r io.ReadSeeker, size int64) (*Header, error) { return readHeader(newWalker(r, size)) }

func readFile[T any](path string, read func(*walker) (*T, error)) (*T, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, errors.Unwrap(err) // the caller says the path
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return read(newWalker(f, info.Size()))
}

func readHeader(w *walker) (*Header, error) {
	if start, err := w.buf.Peek(len(lfsPointer)); err == nil && string(start) == lfsPointer {
		return nil, errors.New("it is a Git LFS pointer and not the model: run `git lfs pull` where it was cloned")
	}
	m := &model{values: map[string]bool{}, nodes: map[string]Node{}, external: map[string]int64{}}
	if err := w.walk(m.field); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
			err = errors.New("the file ends too early: it is truncated")
		}
		return nil, fmt.Errorf("not a readable ONNX model: %w", err)
	}
	if len(m.outputs) == 0 {
		return nil, errors.New("not a readable ONNX model: it has no graph with outputs")
	}
	h := &Header{IRVersion: m.ir, Opset: m.opset, Outputs: m.outputs, nodes: m.nodes}
	for _, in := range m.inputs {
		if !m.values[in.Name] { // exporters before IR version 4 list the weights as inputs too
			h.Inputs = append(h.Inputs, in)
		}
	}
	for _, location := range slices.Sorted(maps.Keys(m.external)) {
		h.External = append(h.External, External{Location: location, Size: m.external[location]})
	}
	return h, nil
}
