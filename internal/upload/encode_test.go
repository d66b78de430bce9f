package upload

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestFilesOfAJobDifferInTheTraceIDAlone(t *testing.T) {
	p := photo(33, 21)
	for _, format := range encodable() {
		first, second := catMeta(), catMeta()
		second.TraceID = "ffffffffffffffffffffffffffffffff"
		a, _, err := Encode(p, format, 0, first)
		if err != nil {
			t.Fatal(err)
		}
		again, _, err := Encode(p, format, 0, first)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, again) {
			t.Errorf("%s: the same job and trace give two files", format)
		}
		b, _, err := Encode(p, format, 0, second)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(a, b) {
			t.Errorf("%s: the file does not hold the trace id", format)
		}
		if format == PNG { // its CRCs differ with the text: compare the chunks
			equalChunksExceptTrace(t, a, b, first.TraceID, second.TraceID)
			continue
		}
		if !bytes.Equal(bytes.ReplaceAll(a, []byte(first.TraceID), []byte(second.TraceID)), b) {
			t.Errorf("%s: files differ in more than the trace id", format)
		}
	}
}

func equalChunksExceptTrace(t *testing.T, a, b []byte, traceA, traceB string) {
	t.Helper()
	ca, err := readChunks(a)
	if err != nil {
		t.Fatal(err)
	}
	cb, err := readChunks(b)
	if err != nil {
		t.Fatal(err)
	}
	if len(ca) != len(cb) {
		t.Fatalf("%d and %d chunks", len(ca), len(cb))
	}
	for i := range ca {
		if ca[i].Type != cb[i].Type || !bytes.Equal(bytes.ReplaceAll(ca[i].Data, []byte(traceA), []byte(traceB)), cb[i].Data) {
			t.Errorf("chunk %d (%s) differs in more than the trace id", i, ca[i].Type)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	for _, format := range []string{"", "PNG", "gif"} {
		_, _, err := Encode(photo(2, 2), format, 0, Meta{})
		var bad *FormatError
		if !errors.As(err, &bad) || bad.ErrorType() != "invalid_job" || !strings.Contains(err.Error(), "png, jpeg") {
			t.Errorf("format %q: %v", format, err)
		}
	}
	for _, p := range []Picture{{}, {2, 2, make([]byte, 11)}, {2, 2, make([]byte, 13)}, {-1, -2, make([]byte, 6)}, {0, 5, nil}, {maxSide + 1, 1, make([]byte, 3*maxSide+3)}} {
		for _, format := range encodable() {
			if _, _, err := Encode(p, format, 0, Meta{}); err == nil {
				t.Errorf("a picture of %d×%d with %d bytes was written as %s", p.Width, p.Height, len(p.Pix), format)
			}
		}
	}
	for _, quality := range []int{-1, 101} {
		if _, _, err := Encode(photo(2, 2), JPEG, quality, Meta{}); err == nil {
			t.Errorf("quality %d was taken", quality)
		}
	}
}

func TestPixelsSHA256(t *testing.T) {
	p := Picture{1, 1, []byte("abc")}
	if got, want := p.SHA256(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; got != want {
		t.Errorf("SHA256 = %s, want %s (FIPS 180-2, B.1)", got, want)
	}
}

func TestParameters(t *testing.T) {
	tests := []struct {
		name string
		m    Meta
		want string
	}{
		{"all", catMeta(), "a cat, oil on canvas\nNegative prompt: blurry\nSteps: 20, Sampler: DPM++ 2M, Schedule type: Karras, " +
			"CFG scale: 7.5, Seed: 18446744073709551615, Size: 2x3, Model hash: 0123456789, Model: sd15"},
		{"no texts", Meta{Steps: 1, Scheduler: "euler_a", Model: "turbo"}, "\nSteps: 1, Sampler: Euler a, CFG scale: 0, Seed: 0, Size: 2x3, Model: turbo"},
		{"two lines, class name", Meta{Prompt: "a\nb", Steps: 30, Scheduler: "EulerDiscreteScheduler", Guidance: 7, ModelDigest: "ab"},
			"a\nb\nSteps: 30, Sampler: EulerDiscreteScheduler, CFG scale: 7, Seed: 0, Size: 2x3, Model hash: ab"},
		{"unknown base keeps its name", Meta{Steps: 2, Scheduler: "mine_karras"}, "\nSteps: 2, Sampler: mine_karras, CFG scale: 0, Seed: 0, Size: 2x3"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := parameters(Picture{Width: 2, Height: 3}, tt.m); got != tt.want {
				t.Errorf("parameters:\n got %q\nwant %q", got, tt.want)
			}
		})
	}
}
