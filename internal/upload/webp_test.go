//go:build cgo

package upload

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/image/webp"
)

// readRIFF is a reader of WebP that knows nothing of the writer: the chunks of an extended file, in order.
func readRIFF(file []byte) (names []string, chunks map[string][]byte, err error) {
	le := binary.LittleEndian
	if len(file) < 12 || string(file[:4]) != "RIFF" || string(file[8:12]) != "WEBP" || int(le.Uint32(file[4:]))+8 != len(file) {
		return nil, nil, errors.New("no RIFF header for a file of this size")
	}
	chunks = map[string][]byte{}
	for rest := file[12:]; len(rest) > 0; {
		if len(rest) < 8 {
			return nil, nil, fmt.Errorf("%d bytes are left over", len(rest))
		}
		n := int(le.Uint32(rest[4:]))
		if 8+n+n%2 > len(rest) {
			return nil, nil, fmt.Errorf("chunk %q of %d bytes in the last %d", rest[:4], n, len(rest))
		}
		names = append(names, string(rest[:4]))
		chunks[string(rest[:4])] = rest[8 : 8+n]
		rest = rest[8+n+n%2:]
	}
	return names, chunks, nil
}

func mustEncodeWebP(t *testing.T, p Picture, quality int, m Meta) []byte {
	t.Helper()
	file, contentType, err := Encode(p, WebP, quality, m)
	if err != nil || contentType != "image/webp" {
		t.Fatalf("Encode: %q, %v", contentType, err)
	}
	return file
}

func TestWebPPixelsAndQuality(t *testing.T) {
	p := photo(65, 48)
	size := map[int]int{}
	for _, quality := range []int{1, 50, 0, 90, 100} {
		file := mustEncodeWebP(t, p, quality, catMeta())
		size[quality] = len(file)
		img, err := webp.Decode(bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		got := pixels(img)
		if got.Width != p.Width || got.Height != p.Height {
			t.Fatalf("quality %d: %d×%d, want %d×%d", quality, got.Width, got.Height, p.Width, p.Height)
		}
		if db := psnr(p, got); quality >= 50 && db < 28 {
			t.Errorf("quality %d: %.1f dB, want at least 28", quality, db)
		}
	}
	if size[0] != size[DefaultQuality] || size[1] >= size[50] || size[50] >= size[90] || size[90] >= size[100] {
		t.Errorf("file sizes by quality: %v", size)
	}
	if a, b := mustEncodeWebP(t, p, 70, catMeta()), mustEncodeWebP(t, p, 70, catMeta()); !bytes.Equal(a, b) {
		t.Error("the same picture gave two files")
	}
}

func TestWebPMetadata(t *testing.T) {
	for _, prompt := range []string{"a cat", "猫 😀", strings.Repeat("long 😀 & ", 4<<10)} {
		p, m := photo(9, 7), catMeta()
		m.Prompt = prompt
		names, chunks, err := readRIFF(mustEncodeWebP(t, p, 90, m))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(names, ","); got != "VP8X,VP8 ,EXIF,XMP " {
			t.Errorf("chunks %s", got)
		}
		if flags := chunks["VP8X"][0]; flags != webpEXIF|webpXMP {
			t.Errorf("flags %b", flags)
		}
		text, err := readUserComment(chunks["EXIF"])
		if err != nil || text != parameters(p, m) {
			t.Errorf("parameters %.80q, %v", text, err)
		}
		packet := readXMP(t, chunks["XMP "])
		if packet["DigitalSourceType"] != trainedAlgorithmicMedia || packet["TraceId"] != m.TraceID || packet["Job"] != string(m.Job) {
			t.Errorf("XMP: %v", packet)
		}
	}
}

func TestWebPRefusals(t *testing.T) {
	for _, tt := range []struct {
		p       Picture
		quality int
		want    string
	}{
		{photo(8, 8), 101, "quality 101: want 1 to 100"},
		{photo(8, 8), -1, "quality -1: want 1 to 100"},
		{photo(maxWebPSide+1, 1), 90, "webp holds at most 16383 pixels a side: choose png or jpeg"},
	} {
		_, _, err := Encode(tt.p, WebP, tt.quality, catMeta())
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got %v, want %s", err, tt.want)
		}
	}
	for _, broken := range []string{"", "RIFF", "RIFF\x04\x00\x00\x00WEBPVP8L\x00\x00\x00\x00", "RIFF\x0c\x00\x00\x00WEBPVP8 \x09\x00\x00\x00"} {
		if _, err := webpPicture([]byte(broken)); err == nil {
			t.Errorf("%q was taken for a picture", broken)
		}
	}
}

// FuzzWebP encodes random texts: the chunks must stay readable and hold them.
func FuzzWebP(f *testing.F) {
	f.Add("a cat", "blurry", 3, 2)
	f.Add("猫\x00", "\xff", 1, 1)
	f.Fuzz(func(t *testing.T, prompt, negative string, width, height int) {
		p := photo(1+max(width, 0)%64, 1+max(height, 0)%64)
		m := catMeta()
		m.Prompt, m.NegativePrompt = prompt, negative
		file := mustEncodeWebP(t, p, 50, m)
		if _, err := webp.Decode(bytes.NewReader(file)); err != nil {
			t.Fatal(err)
		}
		_, chunks, err := readRIFF(file)
		if err != nil {
			t.Fatal(err)
		}
		readXMP(t, chunks["XMP "])
	})
}
