package upload

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/jpeg"
	"unicode/utf8"
)

const (
	markerAPP1 = 0xE1
	markerCOM  = 0xFE

	// maxSegment is the most data of one segment: its length field counts itself and has 16 bits.
	maxSegment = 0xFFFF - 2

	exifHeader = "Exif\x00\x00"
	xmpHeader  = "http://ns.adobe.com/xap/1.0/\x00"
)

// encodeJPEG writes a JPEG (4:2:0, baseline) and puts EXIF, XMP and, where EXIF has no room, a comment between
// the start marker and the tables.
func encodeJPEG(p Picture, quality int, m Meta) ([]byte, error) {
	if quality == 0 {
		quality = DefaultQuality
	}
	if quality < 1 || quality > 100 {
		return nil, fmt.Errorf("quality %d: want 1 to 100", quality)
	}
	var coded bytes.Buffer
	if err := jpeg.Encode(&coded, rgba(p), &jpeg.Options{Quality: quality}); err != nil {
		return nil, err
	}
	startOfImage, tables := coded.Bytes()[:2], coded.Bytes()[2:]
	file := bytes.NewBuffer(make([]byte, 0, coded.Len()+8192))
	file.Write(startOfImage)
	if m.Detail == Full {
		text := parameters(p, m)
		if data := append([]byte(exifHeader), exif(text)...); len(data) <= maxSegment {
			segment(file, markerAPP1, data)
		} else {
			segment(file, markerCOM, []byte(cut(withoutNUL(text), maxSegment)))
		}
	}
	if data, ok := xmpSegment(p, m); ok {
		segment(file, markerAPP1, data)
	}
	file.Write(tables)
	return file.Bytes(), nil
}

// segment appends marker, length and data, which is at most maxSegment bytes.
func segment(file *bytes.Buffer, marker byte, data []byte) {
	file.Write([]byte{0xFF, marker})
	file.Write(binary.BigEndian.AppendUint16(nil, uint16(len(data)+2)))
	file.Write(data)
}

// xmpSegment is the data of XMP's APP1 segment: as much of the packet as fits. What is left out of it stands in
// the other segment (parameters) or in the queue's records (the job). ok is false if nothing is to be told, or
// nothing fits, which takes a digest or trace id of many kilobytes.
func xmpSegment(p Picture, m Meta) (data []byte, ok bool) {
	if m.Detail == None {
		return nil, false
	}
	for detail := m.Detail.xmp(); detail <= xmpOrigin; detail++ {
		data = append([]byte(xmpHeader), xmp(p, m, detail)...)
		if len(data) <= maxSegment {
			return data, true
		}
	}
	return nil, false
}

// cut shortens text to at most n bytes at a character boundary.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}

// rgba gives the picture the form that image/jpeg converts fastest.
func rgba(p Picture) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, p.Width, p.Height))
	for i, j := 0, 0; i < len(p.Pix); i, j = i+3, j+4 {
		img.Pix[j], img.Pix[j+1], img.Pix[j+2], img.Pix[j+3] = p.Pix[i], p.Pix[i+1], p.Pix[i+2], 0xFF
	}
	return img
}
