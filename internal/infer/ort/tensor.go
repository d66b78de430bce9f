package ort

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"unsafe"
	"weak"

	native "github.com/yalue/onnxruntime_go"

	"github.com/stipple-ai/stipple/internal/infer"
	"github.com/stipple-ai/stipple/internal/infer/onnx"
)

// tensor is a native tensor over Go memory. ONNX Runtime holds only a C pointer to that memory, so a tensor always belongs to a frame, and nothing else in the
// package makes one: that is what keeps the collector away while a call runs.
type tensor struct {
	elem  onnx.Elem
	words []uint64 // the memory, eight-byte aligned whatever the element type
	n     int      // elements
	value native.Value

	// scalar makes value anew before each call: the binding's scalars keep reading the memory they were made with.
	scalar bool
}

// frame is the tensors of one call of one session, in the order of the session's names. It is made for one shape and used again for calls of that shape, by one
// goroutine at a time.
type frame struct {
	key     frameKey
	in, out []*tensor

	ins, outs []native.Value // of in and out, for the binding

	// texts are the embeddings whose copies stand in the rows of the inputs, so that a prompt is copied once and not each step. A frame keeps none alive: that is
	// for samples and the engine's cache, which has a bound.
	texts []weak.Pointer[infer.Embedding]
}

// frameKey tells the shapes of a session's calls apart.
type frameKey struct{ rows, width, height int }

func elemSize(e onnx.Elem) (int, native.TensorElementDataType, error) {
	switch e {
	case onnx.Float32:
		return 4, native.TensorElementDataTypeFloat, nil
	case onnx.Float16:
		return 2, native.TensorElementDataTypeFloat16, nil
	case onnx.Int32:
		return 4, native.TensorElementDataTypeInt32, nil
	case onnx.Int64:
		return 8, native.TensorElementDataTypeInt64, nil
	default:
		return 0, 0, fmt.Errorf("tensors of %s are not supported (float32, float16, int32 and int64 are)", e)
	}
}

func newTensor(elem onnx.Elem, dims ...int64) (*tensor, error) {
	size, kind, err := elemSize(elem)
	if err != nil {
		return nil, err
	}
	n := 1
	for _, d := range dims {
		n *= int(d)
	}
	t := &tensor{elem: elem, n: n, words: make([]uint64, (n*size+7)/8)}
	if len(dims) == 0 {
		t.scalar = true
		return t, t.remake()
	}
	data := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(t.words))), n*size)
	t.value, err = native.NewCustomDataTensor(native.NewShape(dims...), data, kind)
	return t, err
}

// remake gives a scalar the value that its memory holds.
func (t *tensor) remake() (err error) {
	if t.value != nil {
		if err := t.value.Destroy(); err != nil {
			return err
		}
	}
	switch t.elem {
	case onnx.Float32:
		t.value, err = native.NewScalar(view[float32](t)[0])
	case onnx.Int64:
		t.value, err = native.NewScalar(view[int64](t)[0])
	case onnx.Int32:
		t.value, err = native.NewScalar(view[int32](t)[0])
	default:
		err = fmt.Errorf("a scalar of %s is not supported: export it as a vector, one value a row", t.elem)
	}
	return err
}

// view returns the tensor's memory as its elements.
func view[T float32 | uint16 | int32 | int64](t *tensor) []T {
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(t.words))), t.n)
}

// setFloats writes src at element offset, rounded to the tensor's type; integer types truncate.
func (t *tensor) setFloats(offset int, src ...float32) {
	switch t.elem {
	case onnx.Float32:
		copy(view[float32](t)[offset:], src)
	case onnx.Float16:
		dst := view[uint16](t)[offset:]
		for i := halves(dst, src); i < len(src); i++ {
			dst[i] = float16(src[i])
		}
	case onnx.Int32:
		dst := view[int32](t)[offset:]
		for i, f := range src {
			dst[i] = int32(f)
		}
	case onnx.Int64:
		dst := view[int64](t)[offset:]
		for i, f := range src {
			dst[i] = int64(f)
		}
	}
}

// setInts writes src at the start of an integer tensor.
func (t *tensor) setInts(src []int64) {
	if t.elem == onnx.Int64 {
		copy(view[int64](t), src)
		return
	}
	dst := view[int32](t)
	for i, n := range src {
		dst[i] = int32(n)
	}
}

// floats copies the elements from offset on into dst.
func (t *tensor) floats(dst []float32, offset int) {
	if t.elem == onnx.Float32 {
		copy(dst, view[float32](t)[offset:])
		return
	}
	src := view[uint16](t)[offset:]
	for i := wholes(dst, src); i < len(dst); i++ {
		dst[i] = float32From16(src[i])
	}
}

func (t *tensor) zero(offset, n int) {
	switch t.elem {
	case onnx.Float32:
		clear(view[float32](t)[offset : offset+n])
	case onnx.Float16:
		clear(view[uint16](t)[offset : offset+n])
	}
}

// newFrame makes the tensors that specs describe; on an error it destroys those it made.
func newFrame(key frameKey, in, out []spec) (_ *frame, err error) {
	f := &frame{key: key, texts: make([]weak.Pointer[infer.Embedding], key.rows)}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.destroy())
		}
	}()
	for _, s := range in {
		t, err := newTensor(s.elem, s.dims...)
		if err != nil {
			return nil, fmt.Errorf("input %s: %w", s.name, err)
		}
		f.in = append(f.in, t)
	}
	for _, s := range out {
		t, err := newTensor(s.elem, s.dims...)
		if err != nil {
			return nil, fmt.Errorf("output %s: %w", s.name, err)
		}
		f.out = append(f.out, t)
	}
	f.ins, f.outs = values(f.in), values(f.out)
	return f, nil
}

// spec describes a tensor of a frame.
type spec struct {
	name string
	elem onnx.Elem
	dims []int64
}

func values(tensors []*tensor) []native.Value {
	v := make([]native.Value, len(tensors))
	for i, t := range tensors {
		v[i] = t.value
	}
	return v
}

// run calls session with the frame's tensors, which stay alive until it returns.
func (f *frame) run(session *native.DynamicAdvancedSession, o *native.RunOptions) error {
	for i, t := range f.in {
		if t.scalar {
			if err := t.remake(); err != nil {
				return err
			}
			f.ins[i] = t.value
		}
	}
	err := session.RunWithOptions(f.ins, f.outs, o)
	runtime.KeepAlive(f)
	return err
}

// bytes is the memory of the frame's tensors.
func (f *frame) bytes() int {
	n := 0
	for _, t := range slices.Concat(f.in, f.out) {
		n += 8 * len(t.words)
	}
	return n
}

func (f *frame) destroy() error {
	var errs []error
	for _, t := range append(f.in, f.out...) {
		if t.value != nil {
			errs = append(errs, t.value.Destroy())
		}
	}
	f.in, f.out = nil, nil
	return errors.Join(errs...)
}
