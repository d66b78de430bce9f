// Package upload turns pictures into files and puts them into S3-compatible storage, each exactly once.
//
// A file says where its picture comes from: the generation parameters in the form other tools read, the job
// itself, the model and the trace that drew it. Two files of one job differ in their trace id alone, because
// no clock, attempt or worker stands in them; what belongs to one attempt travels as object metadata.
//
// Exactly once is the work of the key and of a condition: the key is a function of the job ([Key]), and the
// PUT says "only if nothing is there" ([Store.Put]), so that a second attempt finds the first one's image.
package upload

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Formats that a job may name.
const (
	PNG  = "png"
	JPEG = "jpeg"
	WebP = "webp"
)

// DefaultQuality is the quality of a JPEG or WebP whose job names none.
const DefaultQuality = 90

// maxSide keeps a file within what one IDAT chunk and a JPEG header can say.
const maxSide = 1 << 14

// encodable lists the formats Encode writes, in the order an error message names them.
func encodable() []string {
	if webpEncodable {
		return []string{PNG, JPEG, WebP}
	}
	return []string{PNG, JPEG}
}

// Picture is what the model drew: RGB, 8 bits a channel, row by row from the top, without padding.
type Picture struct {
	Width, Height int    // pixels, at least 1
	Pix           []byte // R, G, B of every pixel: 3*Width*Height bytes
}

// SHA256 is the pixels_sha256 of a result: the hash of Pix, in hex. It depends on the job alone.
func (p Picture) SHA256() string {
	sum := sha256.Sum256(p.Pix)
	return hex.EncodeToString(sum[:])
}

// check reports a picture whose pixels do not fit its size.
func (p Picture) check() error {
	if p.Width < 1 || p.Height < 1 || p.Width > maxSide || p.Height > maxSide || len(p.Pix) != 3*p.Width*p.Height {
		return fmt.Errorf("a picture of %d×%d pixels with %d bytes: want 1 to %d a side and 3 bytes a pixel", p.Width, p.Height, len(p.Pix), maxSide)
	}
	return nil
}

// Meta is what a file tells about its picture. Nothing in it may depend on when, where or how often the job ran,
// TraceID excepted.
type Meta struct {
	Prompt, NegativePrompt string
	Steps                  int     // num_inference_steps
	Scheduler              string  // a job's name, such as euler_a or dpmpp_2m_karras, or a diffusers class name
	Guidance               float64 // guidance_scale
	Seed                   uint64
	Model                  string
	ModelDigest            string // sha256 of the model, in hex, with or without "sha256:"
	Job                    []byte // the job as canonical JSON, its seed resolved
	TraceID                string // 32 hex digits
	Detail                 Detail // how much of this the file tells
}

// FormatError is the error of a format that cannot be written.
type FormatError struct{ Format string }

func (e *FormatError) Error() string {
	return fmt.Sprintf("encoding a picture as %q: choose one of %s", e.Format, strings.Join(encodable(), ", "))
}

// ErrorType is the error.type of results and spans.
func (e *FormatError) ErrorType() string { return "invalid_job" }

// Encoder writes files. It keeps the memory that compressing takes from one picture to the next, which for small ones is
// half of the work. The zero value is ready for use; its methods may be called from several goroutines.
type Encoder struct {
	deflaters sync.Pool // of *deflater
}

// Encode is Encoder.Encode for one file.
func Encode(p Picture, format string, quality int, m Meta) (data []byte, contentType string, err error) {
	return new(Encoder).Encode(p, format, quality, m)
}

// Encode writes the picture as a file of the format, with m in it, and returns the file and its content type.
// quality is that of JPEG and WebP, 1 to 100; 0 means DefaultQuality. The result depends on the arguments alone. The error
// is of type invalid_job for a format it does not write, or one that cannot hold the picture; anything else is a mistake of
// the caller.
func (e *Encoder) Encode(p Picture, format string, quality int, m Meta) (data []byte, contentType string, err error) {
	if !slices.Contains(encodable(), format) {
		return nil, "", &FormatError{Format: format}
	}
	if err := p.check(); err != nil {
		return nil, "", fmt.Errorf("encoding a picture as %s: %w", format, err)
	}
	switch format {
	case JPEG:
		data, err = encodeJPEG(p, quality, m)
	case WebP:
		data, err = encodeWebP(p, quality, m)
	default:
		data, err = e.encodePNG(p, m)
	}
	if err != nil {
		return nil, "", fmt.Errorf("encoding a picture as %s: %w", format, err)
	}
	return data, "image/" + format, nil
}

// Ext is the file name extension of a format, without the dot: jpg for jpeg, the format's own name otherwise.
func Ext(format string) string {
	if format == JPEG {
		return "jpg"
	}
	return format
}
