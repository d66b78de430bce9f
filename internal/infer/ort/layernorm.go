package ort

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"github.com/stipple-ai/stipple/internal/infer/onnx"
)

// layerNorm is a layer normalization, (x − mean) / sqrt(variance + eps) · weight + bias, that the graph does not apply where it is wanted.
type layerNorm struct {
	weight, bias []float32
	eps          float64
}

// finalNorm is the text encoder's last layer norm by the name that every exporter keeps.
const finalNorm = "final_layer_norm."

func isFinalNorm(name string) bool { return strings.Contains(name, finalNorm) }

// readFinalNorm takes the weights of the final layer norm from the graph at path, whose head is h.
func readFinalNorm(path string, h *onnx.Header, c textConfig) (*layerNorm, error) {
	n := &layerNorm{eps: cmp.Or(c.LayerNormEps, 1e-5)}
	for suffix, into := range map[string]*[]float32{finalNorm + "weight": &n.weight, finalNorm + "bias": &n.bias} {
		name, ok := h.Weight(suffix)
		if !ok {
			return nil, fmt.Errorf("%s: it has no weight %s, which clip_skip in stipple.json needs: export the text encoder without optimizing it (docs/models.md)", path, suffix)
		}
		t, err := onnx.ReadTensor(path, name)
		if err != nil {
			return nil, err
		}
		if *into, err = decodeFloats(t); err != nil || len(*into) != c.HiddenSize {
			return nil, fmt.Errorf("%s: the weight %s is not a vector of %d floats, which clip_skip in stipple.json needs: export the text encoder without optimizing it (docs/models.md)", path, suffix, c.HiddenSize)
		}
	}
	return n, nil
}

// apply normalizes x in place.
func (n *layerNorm) apply(x []float32) {
	var mean, variance float64
	for _, v := range x {
		mean += float64(v)
	}
	mean /= float64(len(x))
	for _, v := range x {
		variance += (float64(v) - mean) * (float64(v) - mean)
	}
	scale := 1 / math.Sqrt(variance/float64(len(x))+n.eps)
	for i, v := range x {
		x[i] = float32((float64(v)-mean)*scale)*n.weight[i] + n.bias[i]
	}
}

// decodeFloats returns the values of a float32 or float16 tensor.
func decodeFloats(t *onnx.Tensor) ([]float32, error) {
	size, _, err := elemSize(t.Elem)
	if err != nil {
		return nil, err
	}
	values := make([]float32, len(t.Data)/size)
	for i := range values {
		switch data := t.Data[i*size:]; t.Elem {
		case onnx.Float32:
			values[i] = math.Float32frombits(binary.LittleEndian.Uint32(data))
		case onnx.Float16:
			values[i] = float32From16(binary.LittleEndian.Uint16(data))
		default:
			return nil, fmt.Errorf("%s is of %s", t.Name, t.Elem)
		}
	}
	return values, nil
}
