package upload

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image/png"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// pngChunk is a chunk as a reader sees it.
type pngChunk struct {
	Type string
	Data []byte
}

// readChunks is a PNG reader that knows nothing of the writer: signature, then length, type, data and CRC.
func readChunks(file []byte) ([]pngChunk, error) {
	rest, ok := bytes.CutPrefix(file, []byte{0x89, 'P', 'N', 'G', 13, 10, 26, 10})
	if !ok {
		return nil, fmt.Errorf("no signature")
	}
	var chunks []pngChunk
	for len(rest) > 0 {
		if len(rest) < 12 {
			return nil, fmt.Errorf("%d bytes after the last chunk", len(rest))
		}
		n := int(binary.BigEndian.Uint32(rest))
		if n > len(rest)-12 {
			return nil, fmt.Errorf("a chunk of %d bytes in the last %d", n, len(rest))
		}
		if got, want := binary.BigEndian.Uint32(rest[8+n:]), crc32.ChecksumIEEE(rest[4:8+n]); got != want {
			return nil, fmt.Errorf("CRC of %s is %08x, want %08x", rest[4:8], got, want)
		}
		chunks = append(chunks, pngChunk{string(rest[4:8]), rest[8 : 8+n]})
		rest = rest[12+n:]
	}
	return chunks, nil
}

// texts reads the text chunks and fails on one that breaks the rules or stands behind the pixels.
func texts(t *testing.T, file []byte) map[string]string {
	t.Helper()
	chunks, err := readChunks(file)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	pixels := false
	for _, c := range chunks {
		pixels = pixels || c.Type == "IDAT"
		if c.Type != "tEXt" && c.Type != "iTXt" {
			continue
		}
		if pixels {
			t.Errorf("%s after IDAT", c.Type)
		}
		keyword, data, ok := bytes.Cut(c.Data, []byte{0})
		if !ok || len(keyword) < 1 || len(keyword) > 79 || strings.Trim(string(keyword), " ") != string(keyword) {
			t.Errorf("keyword %q", keyword)
		}
		var text string
		if c.Type == "tEXt" {
			for _, b := range data { // Latin-1
				text += string(rune(b))
			}
		} else {
			head, ok := bytes.CutPrefix(data, []byte{0, 0, 0, 0})
			if !ok || !utf8.Valid(head) {
				t.Errorf("iTXt %s: %q", keyword, data)
			}
			text = string(head)
		}
		if strings.ContainsRune(text, 0) {
			t.Errorf("%s contains NUL", keyword)
		}
		found[string(keyword)] = text
	}
	return found
}

// mustEncode encodes and checks that image/png reads the same pixels back.
func mustEncodePNG(t *testing.T, p Picture, m Meta) []byte {
	t.Helper()
	file, contentType, err := Encode(p, PNG, 0, m)
	if err != nil {
		t.Fatalf("Encode: %v", err)
	}
	if contentType != "image/png" {
		t.Errorf("content type %q", contentType)
	}
	img, err := png.Decode(bytes.NewReader(file))
	if err != nil {
		t.Fatalf("image/png: %v", err)
	}
	if got := pixels(img); got.Width != p.Width || got.Height != p.Height || !bytes.Equal(got.Pix, p.Pix) {
		t.Errorf("image/png reads other pixels for %d×%d", p.Width, p.Height)
	}
	return file
}

func TestPNGPixels(t *testing.T) {
	ramp := Picture{Width: 256, Height: 3}
	for i := range 256 * 3 {
		ramp.Pix = append(ramp.Pix, byte(i), byte(255-i), byte(i*7))
	}
	for name, p := range map[string]Picture{
		"one pixel":  {1, 1, []byte{1, 2, 3}},
		"one row":    noise(7, 1, 1),
		"one column": noise(1, 7, 2),
		"ramp":       ramp,
		"photo":      photo(96, 64),
		"flat":       flat(200, 130),
		"noise":      noise(129, 65, 3),
	} {
		t.Run(name, func(t *testing.T) { mustEncodePNG(t, p, catMeta()) })
	}
}

func TestPNGTexts(t *testing.T) {
	m := catMeta()
	got := texts(t, mustEncodePNG(t, photo(8, 8), m))
	want := map[string]string{
		"parameters": "a cat, oil on canvas\nNegative prompt: blurry\nSteps: 20, Sampler: DPM++ 2M, Schedule type: Karras, " +
			"CFG scale: 7.5, Seed: 18446744073709551615, Size: 8x8, Model hash: 0123456789, Model: sd15",
		"job":               string(m.Job),
		"model_digest":      m.ModelDigest,
		"trace_id":          m.TraceID,
		"XML:com.adobe.xmp": xmp(photo(8, 8), m, xmpWhole),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("text chunks (-want +got):\n%s", diff)
	}
}

func TestPNGTextEncoding(t *testing.T) {
	tests := []struct{ name, text, typ, want string }{
		{"ascii", "a cat", "tEXt", "a cat"},
		{"latin-1", "un café \u00a0ÿ", "tEXt", "un café \u00a0ÿ"},
		{"beyond latin-1", "猫 😀", "iTXt", "猫 😀"},
		{"control characters of latin-1", "a\u0085b\u007f", "iTXt", "a\u0085b\u007f"},
		{"lines", "a\nb", "tEXt", "a\nb"},
		{"NUL", "a\x00b", "tEXt", "ab"},
		{"not UTF-8", "a\xffb", "iTXt", "a\uFFFDb"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := mustEncodePNG(t, photo(2, 2), Meta{TraceID: tt.text})
			if got := texts(t, file)["trace_id"]; got != tt.want {
				t.Errorf("text %q, want %q", got, tt.want)
			}
			if typ, _ := (pngText{keyword: "k", text: tt.text}).chunk(); typ != tt.typ {
				t.Errorf("chunk type %s, want %s", typ, tt.typ)
			}
		})
	}
}

// FuzzPNG encodes random pictures and texts; image/png and the reader above must agree with what went in.
func FuzzPNG(f *testing.F) {
	f.Add(uint8(3), []byte("pixels of a small picture"), "a cat", "blurry", []byte(`{"prompt":"a cat"}`))
	f.Add(uint8(1), []byte{0, 255, 0, 255}, "\x00NUL\x00", "猫", []byte{0xff})
	f.Add(uint8(64), bytes.Repeat([]byte{7}, 999), "\u0080", "", []byte{})
	f.Fuzz(func(t *testing.T, width uint8, pix []byte, prompt, negative string, job []byte) {
		p := Picture{Width: 1 + int(width)}
		p.Height = 1 + len(pix)/(3*p.Width)
		p.Pix = make([]byte, 3*p.Width*p.Height)
		copy(p.Pix, pix)
		m := catMeta()
		m.Prompt, m.NegativePrompt, m.Job = prompt, negative, job
		got := texts(t, mustEncodePNG(t, p, m))
		clean := func(s string) string {
			return strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "\uFFFD")
		}
		if want := clean(parameters(p, m)); got["parameters"] != want {
			t.Errorf("parameters %q, want %q", got["parameters"], want)
		}
		if want := clean(string(job)); got["job"] != want {
			t.Errorf("job %q, want %q", got["job"], want)
		}
	})
}
