//go:build !linux

package ort

import "errors"

// inspect says that there is nothing to inspect: ONNX Runtime's GPU builds that this program was made for are Linux's.
func inspect(string, string, int) Inspection {
	return Inspection{Parts: []Part{{Name: "the system", Err: errors.New("GPUs are used on Linux only"), Mend: "set PROVIDER=cpu"}}}
}
