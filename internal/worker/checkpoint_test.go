package worker

import (
	"encoding/binary"
	"hash/crc32"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stipple-ai/stipple/internal/infer"
)

func testState() infer.State {
	return infer.State{Request: [32]byte{1, 2}, Step: 7, Size: infer.Size{Width: 2, Height: 1}, Latents: []float32{0.5, -1, 2, 0}, Sampler: []byte("sampler"), Noise: []byte("noise")}
}

func testHeader() checkpointHeader {
	return checkpointHeader{Version: 1, ModelDigest: "d1", Provider: "cpu", RowShapes: []int{1, 2}, ONNXRuntime: "1.28.0"}
}

func TestCheckpoint(t *testing.T) {
	data, err := encodeCheckpoint(testHeader(), testState())
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(data), "\n")
	if want := `{"version":1,"model_digest":"d1","provider":"cpu","row_shapes":[1,2],"onnxruntime":"1.28.0","step":7}`; line != want {
		t.Errorf("the header is\n%s\nwant\n%s", line, want)
	}
	h, s, err := decodeCheckpoint(data)
	if err != nil {
		t.Fatal(err)
	}
	want := testHeader()
	want.Step = 7
	if diff := cmp.Diff(want, h); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(testState(), s); diff != "" {
		t.Error(diff)
	}
}

// TestADamagedCheckpointIsNone, whichever bit of it is wrong and wherever it ends.
func TestADamagedCheckpointIsNone(t *testing.T) {
	data, err := encodeCheckpoint(testHeader(), testState())
	if err != nil {
		t.Fatal(err)
	}
	for i := range data {
		if _, _, err := decodeCheckpoint(data[:i]); err == nil {
			t.Errorf("%d of %d bytes are taken for a checkpoint", i, len(data))
		}
		bad := slices.Clone(data)
		bad[i] ^= 1
		if _, _, err := decodeCheckpoint(bad); err == nil {
			t.Errorf("a flipped bit in byte %d is not seen", i)
		}
	}
	sealed := func(body string) []byte {
		return binary.LittleEndian.AppendUint32([]byte(body), crc32.Checksum([]byte(body), castagnoli))
	}
	state, err := testState().MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{
		"", "no header", "{\n" + string(state), `{"version":2,"step":7}` + "\n" + string(state), `{"version":1,"step":8}` + "\n" + string(state), `{"version":1,"step":7}` + "\n",
	} {
		if _, _, err := decodeCheckpoint(sealed(body)); err == nil {
			t.Errorf("%.40q is taken for a checkpoint", body)
		}
	}
}

func TestCheckpointsOfOtherCircumstances(t *testing.T) {
	if why := testHeader().differs(testHeader()); why != "" {
		t.Errorf("a header differs from itself: %s", why)
	}
	for want, change := range map[string]func(*checkpointHeader){
		"version":      func(h *checkpointHeader) { h.Version = 2 },
		"digest":       func(h *checkpointHeader) { h.ModelDigest = "d2" },
		"provider":     func(h *checkpointHeader) { h.Provider = "cuda" },
		"row shapes":   func(h *checkpointHeader) { h.RowShapes = []int{1} },
		"ONNX Runtime": func(h *checkpointHeader) { h.ONNXRuntime = "1.28.1" },
	} {
		h := testHeader()
		change(&h)
		if why := h.differs(testHeader()); !strings.Contains(why, want) {
			t.Errorf("another %s: %q", want, why)
		}
	}
}

// FuzzDecodeCheckpoint: whatever lies in the store, it is refused or read as what it is.
func FuzzDecodeCheckpoint(f *testing.F) {
	data, err := encodeCheckpoint(testHeader(), testState())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data[:len(data)-crc32.Size])
	f.Add([]byte(`{"version":1}` + "\n"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, body []byte) {
		h, s, err := decodeCheckpoint(binary.LittleEndian.AppendUint32(slices.Clone(body), crc32.Checksum(body, castagnoli))) // behind the checksum lies the parser
		if err != nil {
			return
		}
		again, err := encodeCheckpoint(h, s)
		if err != nil {
			t.Fatal(err)
		}
		h2, s2, err := decodeCheckpoint(again)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(h, h2) + cmp.Diff(s, s2); diff != "" {
			t.Error(diff)
		}
	})
}
