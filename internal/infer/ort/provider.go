package ort

import (
	"errors"
	"fmt"
	"strconv"

	native "github.com/yalue/onnxruntime_go"
)

// Providers are the execution providers that Options.Provider may name.
var Providers = []string{"cpu", "cuda", "tensorrt"}

// sessionOptions returns options for one session of r; the caller destroys them.
func (r *Runtime) sessionOptions() (_ *native.SessionOptions, err error) {
	o, err := native.NewSessionOptions()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, o.Destroy())
		}
	}()
	for _, set := range []func() error{
		func() error { return o.SetIntraOpNumThreads(r.opts.Threads) },
		func() error { return o.SetInterOpNumThreads(1) },
		// ONNX Runtime's threads spin for 20 ms after each call by default, which halves the speed of cores that are shared.
		func() error { return o.AddSessionConfigEntry("session.intra_op.allow_spinning", "0") },
		func() error { return o.AddSessionConfigEntry("session.inter_op.allow_spinning", "0") },
		func() error { return o.AddSessionConfigEntry("session.use_env_allocators", "1") },
		func() error { return r.appendProvider(o) },
	} {
		if err := set(); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// appendProvider asks for the GPU's provider. A driver or library that is missing is an error here: there is no silent way back to the CPU.
func (r *Runtime) appendProvider(o *native.SessionOptions) error {
	device := map[string]string{"device_id": strconv.Itoa(r.opts.Device)}
	switch r.opts.Provider {
	case "cuda":
		return r.appendCUDA(o, device)
	case "tensorrt":
		t, err := native.NewTensorRTProviderOptions()
		if err != nil {
			return r.providerError(err)
		}
		err = t.Update(device)
		if err == nil {
			err = o.AppendExecutionProviderTensorRT(t)
		}
		if err = errors.Join(err, t.Destroy()); err != nil {
			return r.providerError(err)
		}
		return r.appendCUDA(o, device) // for the nodes that TensorRT leaves
	default:
		return nil
	}
}

func (r *Runtime) appendCUDA(o *native.SessionOptions, options map[string]string) error {
	c, err := native.NewCUDAProviderOptions()
	if err != nil {
		return r.providerError(err)
	}
	err = c.Update(options)
	if err == nil {
		err = o.AppendExecutionProviderCUDA(c)
	}
	if err = errors.Join(err, c.Destroy()); err != nil {
		return r.providerError(err)
	}
	return nil
}

func (r *Runtime) providerError(err error) error {
	return fmt.Errorf("%w: provider %s on device %d: %s: it needs ONNX Runtime's GPU build with its provider libraries beside it, the CUDA 13 libraries, and a driver for them",
		ErrLibrary, r.opts.Provider, r.opts.Device, oneLine(err))
}
