package ort

import (
	"errors"
	"testing"

	"github.com/stipple-ai/stipple/internal/infer"
)

// TestClassify: memory that ran out is told from all else, by the words of ONNX Runtime, CUDA, cuBLAS and cuDNN.
func TestClassify(t *testing.T) {
	s := &session{path: "/models/sd15/unet/model.onnx"}
	for text, want := range map[string]string{
		"Non-zero status code returned while running Conv node. Failed to allocate memory for requested buffer of size 1073741824": "out_of_memory",
		"CUDA failure 2: out of memory ; GPU=0":                                           "out_of_memory",
		"CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0":                            "out_of_memory",
		"CUDNN failure 2: CUDNN_STATUS_ALLOC_FAILED ; GPU=0":                              "out_of_memory",
		"CUDNN failure 4002: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED ; GPU=": "out_of_memory",
		"CUDA failure 719: unspecified launch failure ; GPU=0":                            "model_error",
		"CUDNN failure 5000: CUDNN_STATUS_EXECUTION_FAILED ; GPU=0":                       "model_error",
	} {
		typed, ok := errors.AsType[*infer.Error](s.classify(errors.New(text)))
		if !ok || typed.Type != want || typed.Error() != "running unet/model.onnx: "+text {
			t.Errorf("%s is %v, want %s", text, typed, want)
		}
	}
}
