package upload

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
)

// FileMeta is what a file tells of its picture, as Encode wrote it. What the file leaves out is zero: METADATA may ask
// for less, a JPEG may have no room, and other programs that save a picture again drop what they do not know.
type FileMeta struct {
	Format      string // PNG, JPEG or WebP, by the file's first bytes
	Parameters  string // the text of Stable Diffusion's tools: see Settings
	Job         []byte // the job as canonical JSON
	ModelDigest string
	TraceID     string
}

// ErrNoPicture is a file that is neither PNG, JPEG nor WebP.
var ErrNoPicture = errors.New("the file is neither PNG, JPEG nor WebP")

// ReadMeta reads what a file tells of its picture, from the file alone. A file that tells nothing is no error.
//
// Errors: ErrNoPicture, and a description of where the file is damaged; what was read before that is returned with it.
func ReadMeta(file []byte) (FileMeta, error) {
	m := FileMeta{Format: formatOf(file)}
	var err error
	switch m.Format {
	case PNG:
		err = m.readPNG(file)
	case JPEG:
		err = m.readJPEG(file)
	case WebP:
		err = m.readWebP(file)
	default:
		return m, ErrNoPicture
	}
	if err != nil {
		return m, fmt.Errorf("reading what the %s file tells: %w", m.Format, err)
	}
	return m, nil
}

// formatOf is the format that a file begins as, "" for none that is known.
func formatOf(file []byte) string {
	switch {
	case bytes.HasPrefix(file, []byte(pngSignature)):
		return PNG
	case bytes.HasPrefix(file, []byte{0xFF, 0xD8, 0xFF}):
		return JPEG
	case len(file) >= 12 && string(file[:4]) == "RIFF" && string(file[8:12]) == "WEBP":
		return WebP
	}
	return ""
}

// readPNG reads the text chunks up to the end of the file. A wrong checksum is damage: it may be in a text.
func (m *FileMeta) readPNG(file []byte) error {
	rest := file[len(pngSignature):]
	for len(rest) > 0 {
		if len(rest) < 12 {
			return fmt.Errorf("it ends in a chunk's header, %d bytes too early", 12-len(rest))
		}
		n, typ := uint64(binary.BigEndian.Uint32(rest)), string(rest[4:8])
		if n > uint64(len(rest)-12) {
			return fmt.Errorf("its chunk %q of %d bytes is cut off", typ, n)
		}
		data := rest[8 : 8+n]
		if sum := binary.BigEndian.Uint32(rest[8+n:]); sum != crc32.ChecksumIEEE(rest[4:8+n]) {
			return fmt.Errorf("the checksum of its chunk %q is wrong", typ)
		}
		if rest = rest[12+n:]; typ == "IEND" {
			return nil
		}
		keyword, text, ok := pngTextOf(typ, data)
		if !ok {
			continue
		}
		switch keyword {
		case "parameters":
			m.Parameters = text
		case "job":
			m.Job = []byte(text)
		case "model_digest":
			m.ModelDigest = text
		case "trace_id":
			m.TraceID = text
		}
	}
	return errors.New("it has no end")
}

// pngTextOf reads a text chunk as pngText.chunk writes it. Compressed texts are other programs' and are left alone.
func pngTextOf(typ string, data []byte) (keyword, text string, ok bool) {
	name, data, ok := bytes.Cut(data, []byte{0})
	if !ok {
		return "", "", false
	}
	switch typ {
	case "tEXt": // Latin-1: a byte is a character
		runes := make([]rune, len(data))
		for i, b := range data {
			runes[i] = rune(b)
		}
		return string(name), string(runes), true
	case "iTXt":
		plain, ok := bytes.CutPrefix(data, []byte{0, 0}) // not compressed, method 0
		if !ok {
			return "", "", false
		}
		_, plain, _ = bytes.Cut(plain, []byte{0}) // language
		_, plain, _ = bytes.Cut(plain, []byte{0}) // translated keyword
		return string(name), string(plain), true
	}
	return "", "", false
}

// readJPEG reads the segments before the scan.
func (m *FileMeta) readJPEG(file []byte) error {
	rest, comment := file[2:], ""
	for {
		if len(rest) < 4 || rest[0] != 0xFF {
			return errors.New("it ends, or goes astray, before the picture begins")
		}
		marker, n := rest[1], int(binary.BigEndian.Uint16(rest[2:]))
		if marker == 0xFF { // fill
			rest = rest[1:]
			continue
		}
		if n < 2 || n+2 > len(rest) {
			return fmt.Errorf("its segment %X of %d bytes is cut off", marker, n)
		}
		data := rest[4 : 2+n]
		rest = rest[2+n:]
		switch {
		case marker == 0xDA: // start of scan
			if m.Parameters == "" {
				m.Parameters = comment
			}
			return nil
		case marker == markerCOM:
			comment = string(data)
		case marker == markerAPP1 && bytes.HasPrefix(data, []byte(exifHeader)):
			m.readEXIF(data[len(exifHeader):])
		case marker == markerAPP1 && bytes.HasPrefix(data, []byte(xmpHeader)):
			if err := m.readXMP(data[len(xmpHeader):]); err != nil {
				return err
			}
		}
	}
}

// readWebP reads the chunks EXIF and XMP.
func (m *FileMeta) readWebP(file []byte) error {
	rest := file[12:]
	for len(rest) > 0 {
		if len(rest) < 8 {
			return fmt.Errorf("it ends in a chunk's header, %d bytes too early", 8-len(rest))
		}
		name, n := string(rest[:4]), uint64(binary.LittleEndian.Uint32(rest[4:]))
		if n > uint64(len(rest)-8) {
			return fmt.Errorf("its chunk %q of %d bytes is cut off", name, n)
		}
		data := rest[8 : 8+n]
		rest = rest[min(8+n+n%2, uint64(len(rest))):]
		switch name {
		case "EXIF":
			m.readEXIF(bytes.TrimPrefix(data, []byte(exifHeader))) // which some programs write here, too
		case "XMP ":
			if err := m.readXMP(data); err != nil {
				return err
			}
		}
	}
	return nil
}

// readXMP reads a packet: the elements of our own namespace, and the description where there are no other parameters.
// The error is that of XML that is none.
func (m *FileMeta) readXMP(packet []byte) error {
	const (
		ours = "https://github.com/stipple-ai/stipple/ns/1.0/"
		dc   = "http://purl.org/dc/elements/1.1/"
	)
	var job, description strings.Builder
	fields := map[xml.Name]*strings.Builder{
		{Space: ours, Local: "Job"}: &job, {Space: ours, Local: "ModelDigest"}: {}, {Space: ours, Local: "TraceId"}: {},
		{Space: dc, Local: "description"}: &description, // with the texts of its languages, of which we write one
	}
	var open []*strings.Builder // for each element, the field that it or one around it is
	for d := xml.NewDecoder(bytes.NewReader(packet)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("its XMP: %w", err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			field := fields[token.Name]
			if field == nil && len(open) > 0 {
				field = open[len(open)-1]
			}
			open = append(open, field)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			if len(open) > 0 && open[len(open)-1] != nil {
				open[len(open)-1].Write(token)
			}
		}
	}
	if job.Len() > 0 {
		m.Job = []byte(job.String())
	}
	m.ModelDigest = fields[xml.Name{Space: ours, Local: "ModelDigest"}].String()
	m.TraceID = fields[xml.Name{Space: ours, Local: "TraceId"}].String()
	if m.Parameters == "" {
		m.Parameters = description.String()
	}
	return nil
}

// Settings are the name and value pairs of the last line of Parameters, as in Steps: 20, Sampler: Euler a. Names and
// values that we write have no comma and no colon in them.
func (m FileMeta) Settings() map[string]string {
	last := m.Parameters[strings.LastIndexByte(m.Parameters, '\n')+1:]
	settings := map[string]string{}
	if !strings.HasPrefix(last, "Steps: ") {
		return settings
	}
	for pair := range strings.SplitSeq(last, ", ") {
		if name, value, ok := strings.Cut(pair, ": "); ok {
			settings[name] = value
		}
	}
	return settings
}
