package upload

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"fmt"
	"image/jpeg"
	"io"
	"math"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"
)

// readSegments is a JPEG reader that knows nothing of the writer: the marker segments before the scan.
func readSegments(file []byte) (map[string][]byte, error) {
	rest, ok := bytes.CutPrefix(file, []byte{0xFF, 0xD8})
	if !ok {
		return nil, fmt.Errorf("no start of image")
	}
	found := map[string][]byte{}
	for {
		if len(rest) < 4 || rest[0] != 0xFF {
			return nil, fmt.Errorf("no marker where one must be")
		}
		marker, n := rest[1], int(binary.BigEndian.Uint16(rest[2:]))
		if n < 2 || n+2 > len(rest) {
			return nil, fmt.Errorf("segment %x of %d bytes in the last %d", marker, n, len(rest))
		}
		data := rest[4 : 2+n]
		switch {
		case marker == 0xDA:
			return found, nil
		case marker == 0xE1 && bytes.HasPrefix(data, []byte("Exif\x00\x00")):
			found["exif"] = data[6:]
		case marker == 0xE1 && bytes.HasPrefix(data, []byte(xmpHeader)):
			found["xmp"] = data[len(xmpHeader):]
		case marker == 0xFE:
			found["comment"] = data
		}
		rest = rest[2+n:]
	}
}

// readUserComment walks the TIFF structure from its header to the user comment.
func readUserComment(tiff []byte) (string, error) {
	be := binary.BigEndian
	find := func(ifd uint32, tag uint16) (value, count uint32, ok bool) {
		for i := range uint32(be.Uint16(tiff[ifd:])) {
			entry := tiff[ifd+2+12*i:]
			if be.Uint16(entry) == tag {
				return be.Uint32(entry[8:]), be.Uint32(entry[4:]), true
			}
		}
		return 0, 0, false
	}
	if string(tiff[:4]) != "MM\x00*" {
		return "", fmt.Errorf("header %q", tiff[:4])
	}
	sub, _, ok := find(be.Uint32(tiff[4:]), 0x8769)
	if !ok {
		return "", fmt.Errorf("no Exif IFD")
	}
	at, n, ok := find(sub, 0x9286)
	if !ok || int(at+n) != len(tiff) {
		return "", fmt.Errorf("no user comment, or one of %d bytes at %d in %d", n, at, len(tiff))
	}
	code, text := tiff[at:at+8], tiff[at+8:at+n]
	switch string(code) {
	case "ASCII\x00\x00\x00":
		return string(text), nil
	case "UNICODE\x00":
		units := make([]uint16, len(text)/2)
		for i := range units {
			units[i] = be.Uint16(text[2*i:])
		}
		return string(utf16.Decode(units)), nil
	}
	return "", fmt.Errorf("character code %q", code)
}

func mustEncodeJPEG(t *testing.T, p Picture, quality int, m Meta) []byte {
	t.Helper()
	file, contentType, err := Encode(p, JPEG, quality, m)
	if err != nil {
		t.Fatalf("Encode: %v", err)
	}
	if contentType != "image/jpeg" {
		t.Errorf("content type %q", contentType)
	}
	img, err := jpeg.Decode(bytes.NewReader(file))
	if err != nil {
		t.Fatalf("image/jpeg: %v", err)
	}
	if b := img.Bounds(); b.Dx() != p.Width || b.Dy() != p.Height {
		t.Errorf("image/jpeg reads %d×%d, want %d×%d", b.Dx(), b.Dy(), p.Width, p.Height)
	}
	return file
}

// psnr is the peak signal-to-noise ratio in dB.
func psnr(a, b Picture) float64 {
	var sum float64
	for i := range a.Pix {
		d := float64(a.Pix[i]) - float64(b.Pix[i])
		sum += d * d
	}
	return 10 * math.Log10(255*255*float64(len(a.Pix))/sum)
}

func TestJPEGPixelsAndQuality(t *testing.T) {
	p := photo(64, 48)
	size := map[int]int{}
	for _, quality := range []int{1, 50, 0, 90, 100} {
		file := mustEncodeJPEG(t, p, quality, catMeta())
		size[quality] = len(file)
		img, err := jpeg.Decode(bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		if got := psnr(p, pixels(img)); quality >= 50 && got < 30 {
			t.Errorf("quality %d: %.1f dB, want at least 30", quality, got)
		}
	}
	if size[0] != size[DefaultQuality] || size[1] >= size[50] || size[50] >= size[90] || size[90] >= size[100] {
		t.Errorf("file sizes by quality: %v", size)
	}
}

func TestJPEGMetadata(t *testing.T) {
	long := strings.Repeat("long ", 16<<10/5)
	tests := []struct {
		name      string
		prompt    string
		negative  string
		inComment bool // the parameters are longer than EXIF can hold
	}{
		{"ascii", "a cat", "blurry", false},
		{"utf-16", "猫 😀", "ñ", false},
		{"longest ascii", long, long, false},
		{"longest cyrillic", strings.Repeat("ж", 8<<10), strings.Repeat("щ", 8<<10), false},
		{"longest with one emoji", long + "😀", long, true},
		{"much escaping", strings.Repeat("&", 16<<10), strings.Repeat("<", 16<<10), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, m := photo(9, 9), catMeta()
			m.Prompt, m.NegativePrompt = tt.prompt, tt.negative
			segments, err := readSegments(mustEncodeJPEG(t, p, 90, m))
			if err != nil {
				t.Fatal(err)
			}
			text := string(segments["comment"])
			if !tt.inComment {
				if text, err = readUserComment(segments["exif"]); err != nil {
					t.Fatal(err)
				}
			}
			if want := parameters(p, m); text != want {
				t.Errorf("parameters:\n got %.80q\nwant %.80q", text, want)
			}
			packet := readXMP(t, segments["xmp"])
			if packet["DigitalSourceType"] != trainedAlgorithmicMedia || packet["TraceId"] != m.TraceID || packet["ModelDigest"] != m.ModelDigest {
				t.Errorf("XMP: %v", packet)
			}
		})
	}
}

// readXMP reads the text of every element of a packet by its local name.
func readXMP(t *testing.T, packet []byte) map[string]string {
	t.Helper()
	found := map[string]string{}
	var open []string
	for d := xml.NewDecoder(bytes.NewReader(packet)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatalf("XMP: %v", err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			open = append(open, token.Name.Local)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			if len(open) > 0 {
				found[open[len(open)-1]] += string(token)
			}
		}
	}
}

func TestXMPHoldsTheParametersAndTheJob(t *testing.T) {
	m := catMeta()
	m.Prompt = "<b>&\"a\x00\x01\" \xff 猫\r\n"
	packet := readXMP(t, []byte(xmp(photo(2, 2), m, xmpWhole)))
	if want := "<b>&\"a\uFFFD\" \uFFFD 猫\r\n\n"; !strings.HasPrefix(packet["li"], want) {
		t.Errorf("description %q, want it to begin %q", packet["li"], want)
	}
	if packet["Job"] != string(m.Job) || packet["DigitalSourceType"] != trainedAlgorithmicMedia {
		t.Errorf("XMP: %v", packet)
	}
}

// FuzzJPEG encodes random texts: the segments must stay readable and hold them.
func FuzzJPEG(f *testing.F) {
	f.Add("a cat", "blurry", "0af7651916cd43dd8448eb211c80319c", 1)
	f.Add("猫\x00", "\xff", "", 16<<10)
	f.Fuzz(func(t *testing.T, prompt, negative, trace string, repeat int) {
		m := catMeta()
		m.Prompt = strings.Repeat(prompt, 1+max(repeat, 0)%(1+(100<<10)/(1+len(prompt))))
		m.NegativePrompt, m.TraceID = negative, trace
		p := photo(1, 1)
		segments, err := readSegments(mustEncodeJPEG(t, p, 50, m))
		if err != nil {
			t.Fatal(err)
		}
		want := strings.ToValidUTF8(withoutNUL(parameters(p, m)), "\uFFFD")
		if data, ok := segments["exif"]; ok {
			text, err := readUserComment(data)
			if err != nil {
				t.Fatal(err)
			}
			if utf8.ValidString(parameters(p, m)) && text != want {
				t.Errorf("parameters %q, want %q", text, want)
			}
		} else if got := string(segments["comment"]); utf8.ValidString(parameters(p, m)) && !strings.HasPrefix(want, got) {
			t.Errorf("comment %.80q… is not the beginning of the parameters", got)
		}
	})
}
