package upload

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// maxWebPSide is the most that a WebP header can say.
const maxWebPSide = 16383

// Flags of a VP8X chunk.
const (
	webpEXIF = 1 << 3
	webpXMP  = 1 << 2
)

// encodeWebP writes a lossy WebP (VP8, 4:2:0) in the extended form, with EXIF and XMP behind the picture as the
// container's specification (RFC 9649) has it. Its chunks have room for any text.
func encodeWebP(p Picture, quality int, m Meta) ([]byte, error) {
	if quality == 0 {
		quality = DefaultQuality
	}
	if quality < 1 || quality > 100 {
		return nil, fmt.Errorf("quality %d: want 1 to 100", quality)
	}
	if p.Width > maxWebPSide || p.Height > maxWebPSide {
		return nil, &sizeError{format: WebP, most: maxWebPSide}
	}
	coded, err := encodeVP8(p, quality)
	if err != nil {
		return nil, err
	}
	picture, err := webpPicture(coded)
	if err != nil {
		return nil, err
	}
	return webpFile(p, picture, m), nil
}

// sizeError is a picture that is larger than its format can hold: another format can.
type sizeError struct {
	format string
	most   int
}

func (e *sizeError) Error() string {
	return fmt.Sprintf("%s holds at most %d pixels a side: choose png or jpeg", e.format, e.most)
}

// ErrorType is the error.type of results and spans.
func (e *sizeError) ErrorType() string { return "invalid_job" }

// webpPicture returns the picture's chunk of a simple WebP file, header and padding included.
func webpPicture(file []byte) ([]byte, error) {
	const header = 12 // RIFF, size, WEBP
	if len(file) < header+8 || string(file[:4]) != "RIFF" || string(file[8:header]) != "WEBP" || string(file[header:header+4]) != "VP8 " {
		return nil, errors.New("the encoder gave no simple WebP file")
	}
	chunk := file[header:]
	n := 8 + int(binary.LittleEndian.Uint32(chunk[4:]))
	if n += n % 2; n != len(chunk) {
		return nil, fmt.Errorf("the encoder gave a picture of %d bytes in a chunk of %d", n, len(chunk))
	}
	return chunk, nil
}

// webpFile puts a picture's chunk and what m tells into a file.
func webpFile(p Picture, picture []byte, m Meta) []byte {
	flags := byte(0)
	var texts []byte
	if m.Detail == Full {
		flags |= webpEXIF
		texts = riffChunk(texts, "EXIF", exif(parameters(p, m)))
	}
	if m.Detail != None {
		flags |= webpXMP
		texts = riffChunk(texts, "XMP ", []byte(xmp(p, m, m.Detail.xmp())))
	}
	le := binary.LittleEndian
	canvas := []byte{flags, 0, 0, 0}
	for _, side := range []int{p.Width, p.Height} {
		canvas = append(canvas, le.AppendUint32(nil, uint32(side-1))[:3]...) // 24 bits
	}
	body := riffChunk([]byte("WEBP"), "VP8X", canvas)
	body = append(append(body, picture...), texts...)
	return riffChunk(nil, "RIFF", body)
}

// riffChunk appends a chunk: its name, its length, data, and a zero where that makes the length even.
func riffChunk(file []byte, name string, data []byte) []byte {
	file = append(file, name...)
	file = binary.LittleEndian.AppendUint32(file, uint32(len(data)))
	file = append(file, data...)
	if len(data)%2 == 1 {
		file = append(file, 0)
	}
	return file
}
