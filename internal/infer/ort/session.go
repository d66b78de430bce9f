package ort

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	native "github.com/yalue/onnxruntime_go"

	"github.com/stipple-ai/stipple/internal/infer"
	"github.com/stipple-ai/stipple/internal/infer/onnx"
)

// session is one graph, loaded. It may be called from several goroutines at once.
type session struct {
	path    string
	in, out []onnx.Value // in the order of the calls' tensors
	native  *native.DynamicAdvancedSession
	frames  frames
}

// idleFrames is how many frames a session keeps: enough for a call on every lane in a handful of sizes.
const idleFrames = 16

// load reads the graph's head, hands it to choose to name the outputs wanted, and builds the session.
func (r *Runtime) load(path string, choose func(*onnx.Header) (outputs []string, err error)) (*session, error) {
	header, err := onnx.ReadFile(path)
	if err != nil {
		return nil, err
	}
	names, err := choose(header)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	s := &session{path: path, in: header.Inputs, frames: frames{limit: idleFrames}}
	for _, name := range names {
		out, ok := header.Output(name)
		if !ok {
			return nil, fmt.Errorf("%s: has no output %s, only %s", path, name, valueNames(header.Outputs))
		}
		s.out = append(s.out, out)
	}
	for _, v := range append(append([]onnx.Value{}, s.in...), s.out...) {
		if _, _, err := elemSize(v.Elem); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", path, v.Name, err)
		}
	}
	o, err := r.sessionOptions()
	if err != nil {
		return nil, err
	}
	inputs := make([]string, len(s.in))
	for i, v := range s.in {
		inputs[i] = v.Name
	}
	s.native, err = native.NewDynamicAdvancedSession(path, inputs, names, o)
	if err = errors.Join(err, o.Destroy()); err != nil {
		return nil, fmt.Errorf("%s: ONNX Runtime %s refuses the model (opset %d): %s", path, native.GetVersion(), header.Opset, oneLine(err))
	}
	return s, nil
}

func valueNames(values []onnx.Value) string {
	names := make([]string, len(values))
	for i, v := range values {
		names[i] = v.Name
	}
	return strings.Join(names, ", ")
}

// call runs the graph on f and waits for the native call to return, whatever happens: its inputs may not be freed before. When ctx ends meanwhile,
// ONNX Runtime is asked to stop; it looks between two nodes.
func (s *session) call(ctx context.Context, f *frame) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	o, err := native.NewRunOptions() // fresh for each call: the stop flag stays set
	if err != nil {
		return err
	}
	terminated := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(terminated)
		// An error here means that the options are gone, and they are not: the call below waits for this function.
		err = errors.Join(err, o.Terminate())
	})
	runErr := f.run(s.native, o)
	if !stop() {
		<-terminated
	}
	err = errors.Join(err, o.Destroy())
	switch {
	case runErr == nil && err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case runErr == nil:
		return err
	}
	return s.classify(runErr)
}

// classify gives a native error its class and one line. ONNX Runtime's error codes do not reach Go, so the text has to do.
func (s *session) classify(err error) error {
	text := oneLine(err)
	typ := "model_error"
	lower := strings.ToLower(text)
	for _, mark := range []string{"out of memory", "failed to allocate memory", "bad_alloc", "memory allocation", "is smaller than requested bytes", "cudaerrormemoryallocation", "cublas_status_alloc_failed"} {
		if strings.Contains(lower, mark) {
			typ = "out_of_memory"
		}
	}
	return &infer.Error{Type: typ, Err: fmt.Errorf("running %s: %s", filepath.Join(filepath.Base(filepath.Dir(s.path)), filepath.Base(s.path)), text)}
}

func (s *session) close() error {
	return errors.Join(s.frames.close(), s.native.Destroy())
}

// oneLine folds ONNX Runtime's several lines into one.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
