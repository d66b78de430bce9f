package ort

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"

	native "github.com/yalue/onnxruntime_go"

	"github.com/stipple-ai/stipple/internal/infer"
	"github.com/stipple-ai/stipple/internal/infer/onnx"
)

// session is one graph, loaded. It may be called from several goroutines at once.
type session struct {
	path    string
	opset   int64
	in, out []onnx.Value // in the order of the calls' tensors
	native  *native.DynamicAdvancedSession
	frames  frames
	engine  *engine // of TensorRT; nil on other providers
}

// plan returns the session of a part's graph with the outputs wanted, not loaded yet, once what it takes and gives has been checked.
func (f *folder) plan(part string, outputs ...string) (*session, error) {
	header, path := f.graphs[part], f.path(graphFile(part))
	s := &session{path: path, opset: header.Opset, in: header.Inputs}
	for _, name := range outputs {
		out, ok := header.Output(name)
		if !ok {
			return nil, fmt.Errorf("it has no output %s, only %s: %s", name, list(header.Outputs), exportWhole)
		}
		s.out = append(s.out, out)
	}
	for _, v := range slices.Concat(s.in, s.out) {
		if _, _, err := elemSize(v.Elem); err != nil {
			return nil, fmt.Errorf("its %s: %w", v, err)
		}
	}
	return s, nil
}

// load builds a session that was planned.
func (r *Runtime) load(s *session) error {
	if s.engine != nil {
		if err := s.engine.prepare(); err != nil {
			return err
		}
		if !s.engine.built() {
			r.opts.Logger.Info("building an engine, which takes minutes, once", slog.String("graph", s.path), slog.String("folder", s.engine.folder()))
		}
	}
	o, err := r.sessionOptions(s.engine)
	if err != nil {
		return err
	}
	s.native, err = native.NewDynamicAdvancedSession(s.path, names(s.in), names(s.out), o)
	if err = errors.Join(err, o.Destroy()); err != nil {
		text := oneLine(err)
		return fmt.Errorf("%s: ONNX Runtime %s refuses the model (opset %d): %s%s", s.path, native.GetVersion(), s.opset, text, refusalHint(text))
	}
	return nil
}

func names(values []onnx.Value) []string {
	all := make([]string, len(values))
	for i, v := range values {
		all[i] = v.Name
	}
	return all
}

// refusalHint says what to do about a graph that ONNX Runtime does not load, where its words tell.
func refusalHint(text string) string {
	for mark, hint := range map[string]string{
		"Could not find an implementation": "this provider lacks an operation of the graph (NhwcConv, GroupNorm and the like come from optimizing for a GPU): take the graph as exported (docs/models.md)",
		"under development":                exportOpset,
		"Unsupported model IR version":     exportOpset,
		"Missing opset in the model":       exportOpset,
		"is not a registered function/op":  exportOpset,
	} {
		if strings.Contains(text, mark) {
			return ": " + hint
		}
	}
	return ""
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
	for _, mark := range []string{"out of memory", "failed to allocate memory", "bad_alloc", "memory allocation", "is smaller than requested bytes", "cudaerrormemoryallocation", "_status_alloc_failed", "device_allocation_failed"} {
		if strings.Contains(lower, mark) {
			typ = "out_of_memory"
		}
	}
	return &infer.Error{Type: typ, Err: fmt.Errorf("running %s: %s", filepath.Join(filepath.Base(filepath.Dir(s.path)), filepath.Base(s.path)), text)}
}

// close frees the session; one that was not loaded has nothing to free.
func (s *session) close() error {
	if s.native == nil {
		return nil
	}
	return errors.Join(s.frames.close(), s.native.Destroy())
}

// oneLine folds ONNX Runtime's several lines into one.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
