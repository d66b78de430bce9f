package worker

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/stipple-ai/stipple/internal/infer"
)

// checkpointVersion is the version of the form below.
const checkpointVersion = 1

// checkpointHeader says what the state of a checkpoint belongs to, besides the request, which the state knows itself. Only where all of it is the same are the pixels
// that follow.
type checkpointHeader struct {
	Version     int    `json:"version"`
	ModelDigest string `json:"model_digest"`
	Provider    string `json:"provider"`
	RowShapes   []int  `json:"row_shapes"`
	ONNXRuntime string `json:"onnxruntime"` // its version
	Step        int    `json:"step"`        // steps done
}

// differs names the first field in which h is not what this worker would write; "" if there is none.
func (h checkpointHeader) differs(want checkpointHeader) string {
	switch {
	case h.Version != want.Version:
		return fmt.Sprintf("it is of version %d, not %d", h.Version, want.Version)
	case h.ModelDigest != want.ModelDigest:
		return fmt.Sprintf("its model has the digest %q, not %q", h.ModelDigest, want.ModelDigest)
	case h.Provider != want.Provider:
		return fmt.Sprintf("its provider is %q, not %q", h.Provider, want.Provider)
	case !slices.Equal(h.RowShapes, want.RowShapes):
		return fmt.Sprintf("its row shapes are %v, not %v", h.RowShapes, want.RowShapes)
	case h.ONNXRuntime != want.ONNXRuntime:
		return fmt.Sprintf("its ONNX Runtime is %q, not %q", h.ONNXRuntime, want.ONNXRuntime)
	}
	return ""
}

// encodeCheckpoint writes the header as one line of JSON, the state, and the CRC-32C of both, little-endian.
func encodeCheckpoint(h checkpointHeader, s infer.State) ([]byte, error) {
	h.Step = s.Step
	line, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("writing a checkpoint: %w", err)
	}
	state, err := s.MarshalBinary()
	if err != nil {
		return nil, err
	}
	data := slices.Concat(line, []byte("\n"), state)
	return binary.LittleEndian.AppendUint32(data, crc32.Checksum(data, castagnoli)), nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// decodeCheckpoint reads what encodeCheckpoint wrote. An error says what is wrong with it, and that the job must start over.
func decodeCheckpoint(data []byte) (checkpointHeader, infer.State, error) {
	h, s, err := parseCheckpoint(data)
	if err != nil {
		return checkpointHeader{}, infer.State{}, fmt.Errorf("reading a checkpoint: %w", err)
	}
	return h, s, nil
}

func parseCheckpoint(data []byte) (h checkpointHeader, s infer.State, err error) {
	n := len(data) - crc32.Size
	if n < 0 {
		return h, s, fmt.Errorf("%d bytes are too few", len(data))
	}
	body, sum := data[:n], binary.LittleEndian.Uint32(data[n:])
	if got := crc32.Checksum(body, castagnoli); got != sum {
		return h, s, fmt.Errorf("its checksum is %08x and should be %08x: it is damaged", got, sum)
	}
	line, state, found := bytes.Cut(body, []byte("\n"))
	if !found {
		return h, s, errors.New("it has no header")
	}
	if err := json.Unmarshal(line, &h); err != nil {
		return h, s, fmt.Errorf("its header: %w", err)
	}
	if h.Version != checkpointVersion {
		return h, s, fmt.Errorf("it is of version %d, this program reads %d", h.Version, checkpointVersion)
	}
	if err := s.UnmarshalBinary(state); err != nil {
		return h, s, err
	}
	if h.Step != s.Step {
		return h, s, fmt.Errorf("its header speaks of step %d, its state of step %d", h.Step, s.Step)
	}
	return h, s, nil
}
