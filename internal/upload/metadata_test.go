package upload

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// hexSHA256 is the hash of what lies in a file.
func hexSHA256(file []byte) string {
	sum := sha256.Sum256(file)
	return hex.EncodeToString(sum[:])
}

// catMetadata is what a worker writes for the object "a picture" of an ordinary job, at its longest.
func catMetadata() Metadata {
	return Metadata{
		Spec16: "0123456789abcdef", SHA256: hexSHA256([]byte("a picture")), PixelsSHA256: strings.Repeat("cd", 32),
		Model: strings.Repeat("m", 64), ModelDigest: "sha256:" + strings.Repeat("ef", 32), Seed: math.MaxUint64,
		TraceID: strings.Repeat("12", 16), Width: 1024, Height: 768, Attempt: 3, Worker: strings.Repeat("ö", 64),
		PromptTruncated: true, RowsMean: 7.123456789012345,
		Timings: Timings{
			Queue: 36 * time.Hour, Wait: 1234567 * time.Microsecond, TextEncode: time.Microsecond,
			Denoise: 20 * time.Second, Decode: 999 * time.Millisecond, ImageEncode: 3100 * time.Microsecond,
		},
	}
}

func TestMetadataRoundTrip(t *testing.T) {
	for name, m := range map[string]Metadata{
		"all":       catMetadata(),
		"little":    {Spec16: "0123456789abcdef"},
		"strange":   {Spec16: "x", Worker: "gpu 1/ü%\n\x00", Model: "ä=;"},
		"none":      {},
		"zero seed": {Spec16: "x", Seed: 0, Width: 1, Height: 1},
	} {
		encoded := m.Encode()
		if err := checkSize(encoded); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for key, value := range encoded {
			if strings.ContainsFunc(key+value, func(r rune) bool { return r <= ' ' || r > '~' }) || key != strings.ToLower(key) || strings.Contains(key, "_") {
				t.Errorf("%s: %q=%q cannot stand in a header", name, key, value)
			}
		}
		got, err := DecodeMetadata(encoded)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(m, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestMetadataLongWorkerIsCut(t *testing.T) {
	m := Metadata{Spec16: "x", Worker: strings.Repeat("a", 127) + "ö" + strings.Repeat("b", 4000)}
	got, err := DecodeMetadata(m.Encode())
	if err != nil || got.Worker != strings.Repeat("a", 127) {
		t.Errorf("worker %q, %v", got.Worker, err)
	}
}

func TestMetadataTooLong(t *testing.T) {
	if err := checkSize(Metadata{Model: strings.Repeat("m", 3000)}.Encode()); err == nil {
		t.Error("3000 bytes of metadata were taken")
	}
}

func TestDecodeMetadataKeepsWhatIsGood(t *testing.T) {
	encoded := map[string]string{
		"spec16": "0123456789abcdef", "seed": "-1", "width": "99999999999999", "height": "7", "rows-mean": "NaN", "worker": "%zz",
		"timings-ms": "queue=1.5;denoise=x", "prompt-truncated": "perhaps", "unknown": "left alone", "trace-id": "ab",
	}
	m, err := DecodeMetadata(encoded)
	for _, key := range []string{"seed", "width", "rows-mean", "worker", "timings-ms", "prompt-truncated"} {
		if err == nil || !strings.Contains(err.Error(), key+"=") {
			t.Errorf("the error does not name %s: %v", key, err)
		}
	}
	if diff := cmp.Diff(Metadata{Spec16: "0123456789abcdef", Height: 7, TraceID: "ab"}, m); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// FuzzDecodeMetadata: any values decode without a panic, and what was decoded survives another round.
func FuzzDecodeMetadata(f *testing.F) {
	f.Add("0123456789abcdef", "7", "512", "1.5", "queue=1;denoise=2.5", "gpu%201")
	f.Add("", "", "-1", "1e999", ";=;queue=NaN", "%")
	f.Fuzz(func(t *testing.T, spec, seed, width, rows, timings, worker string) {
		m, _ := DecodeMetadata(map[string]string{
			"spec16": spec, "seed": seed, "width": width, "attempt": width, "rows-mean": rows, "timings-ms": timings, "worker": worker,
		})
		again, err := DecodeMetadata(m.Encode())
		m.Worker = cut(m.Worker, maxWorker)
		if diff := cmp.Diff(m, again); err != nil || diff != "" {
			t.Errorf("the second round: %v, (-first +second):\n%s", err, diff)
		}
	})
}
