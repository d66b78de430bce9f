package ort

import (
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"

	native "github.com/yalue/onnxruntime_go"
)

// The execution providers' names.
const (
	providerCPU      = "cpu"
	providerCUDA     = "cuda"
	providerTensorRT = "tensorrt"
)

// Providers are the execution providers that Options.Provider may name.
var Providers = []string{providerCPU, providerCUDA, providerTensorRT}

// sessionOptions returns options for one session of r; the caller destroys them. e is for TensorRT.
func (r *Runtime) sessionOptions(e *engine) (_ *native.SessionOptions, err error) {
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
		func() error { return r.appendProvider(o, e) },
	} {
		if err := set(); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// appendProvider asks for the GPU's provider. A driver or library that is missing is an error here: there is no silent way back to the CPU.
func (r *Runtime) appendProvider(o *native.SessionOptions, e *engine) error {
	switch r.opts.Provider {
	case providerCUDA:
		return r.appendCUDA(o)
	case providerTensorRT:
		if err := r.appendTensorRT(o, e); err != nil {
			return err
		}
		return r.appendCUDA(o) // for the nodes that TensorRT leaves
	default:
		return nil
	}
}

func (r *Runtime) device() map[string]string {
	return map[string]string{"device_id": strconv.Itoa(r.opts.Device)}
}

func (r *Runtime) appendCUDA(o *native.SessionOptions) error {
	options := r.device()
	maps.Copy(options, choose(cudaOptions, r.opts.ProviderOptions))
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

func (r *Runtime) appendTensorRT(o *native.SessionOptions, e *engine) error {
	options := r.device()
	maps.Copy(options, e.options())
	t, err := native.NewTensorRTProviderOptions()
	if err != nil {
		return r.providerError(err)
	}
	err = t.Update(options)
	if err == nil {
		err = o.AppendExecutionProviderTensorRT(t)
	}
	if err = errors.Join(err, t.Destroy()); err != nil {
		return r.providerError(err)
	}
	return nil
}

func (r *Runtime) providerError(err error) error {
	text := oneLine(err)
	return fmt.Errorf("%w: provider %s on device %d: %s: %s", ErrLibrary, r.opts.Provider, r.opts.Device, text, providerHint(text))
}

const updateDriver = "update NVIDIA's driver: CUDA 13 needs 580 or newer"

// providerHint says what to do where a provider that all libraries are there for refuses all the same.
func providerHint(text string) string {
	for _, h := range []struct{ mark, hint string }{
		{"driver version is insufficient", updateDriver},
		{"not supported in the installed CUDA driver", updateDriver},
		{"Unknown provider option", "this version of ONNX Runtime does not have the option: take it out of PROVIDER_OPTIONS (--provider-options)"},
		{"Failed to parse provider option", "correct it in PROVIDER_OPTIONS (--provider-options)"},
		{"no CUDA-capable device", "the driver sees no GPU: has the container one (--gpus), and does CUDA_VISIBLE_DEVICES name one?"},
		{"invalid device ordinal", "DEVICE (--device) counts from 0, over the devices in CUDA_VISIBLE_DEVICES"},
		{"out of memory", "something else fills the device: nvidia-smi says what"},
	} {
		if strings.Contains(text, h.mark) {
			return h.hint
		}
	}
	return "it needs ONNX Runtime's GPU build with its provider libraries beside it (`make ort-cuda`), the CUDA libraries, and a driver for them: `worker doctor` says what is missing"
}
