package upload

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"slices"
)

const (
	pngSignature = "\x89PNG\r\n\x1a\n"
	paethFilter  = 4
	bytesPerRGB  = 3
)

// encodePNG writes an RGB8 PNG. Compared with image/png it has no alpha to look for, one filter instead of a
// choice among five, a faster deflate, and text chunks.
func (e *Encoder) encodePNG(p Picture, m Meta) ([]byte, error) {
	d, ok := e.deflaters.Get().(*deflater)
	if !ok {
		var err error
		if d, err = newDeflater(); err != nil {
			return nil, err
		}
	}
	defer func() {
		if d.keep() {
			e.deflaters.Put(d)
		}
	}()
	pixels, err := d.zlib(p)
	if err != nil {
		return nil, err
	}
	w := pngWriter{}
	w.buf.Grow(len(pixels) + 8192)
	w.buf.WriteString(pngSignature)

	header := make([]byte, 0, 13)
	header = binary.BigEndian.AppendUint32(header, uint32(p.Width))
	header = binary.BigEndian.AppendUint32(header, uint32(p.Height))
	header = append(header, 8, 2, 0, 0, 0) // 8 bits, RGB, deflate, the standard filters, not interlaced
	w.chunk("IHDR", header)
	// Before IDAT: readers that stop at the pixels still see them.
	for _, t := range pngTexts(p, m) {
		typ, data := t.chunk()
		w.chunk(typ, data)
	}
	w.chunk("IDAT", pixels)
	w.chunk("IEND", nil)
	return w.buf.Bytes(), nil
}

// pngWriter collects the chunks of a file.
type pngWriter struct{ buf bytes.Buffer }

// chunk appends length, type, data and CRC, which covers type and data.
func (w *pngWriter) chunk(typ string, data []byte) {
	w.buf.Write(binary.BigEndian.AppendUint32(nil, uint32(len(data))))
	start := w.buf.Len()
	w.buf.WriteString(typ)
	w.buf.Write(data)
	w.buf.Write(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(w.buf.Bytes()[start:])))
}

// filter is the picture's rows, each behind the byte that names its filter, in buf's memory if that is enough.
func filter(p Picture, buf []byte) []byte {
	stride := bytesPerRGB * p.Width
	filtered := slices.Grow(buf[:0], p.Height*(1+stride))[:p.Height*(1+stride)]
	up := make([]byte, stride) // the row above the first one is zero
	for y := range p.Height {
		row := filtered[y*(1+stride):][:1+stride]
		cur := p.Pix[y*stride:][:stride]
		row[0] = paethFilter
		paeth(row[1:], cur, up)
		up = cur
	}
	return filtered
}

// paeth writes to dst the difference between a row and its prediction from left, above and above left
// (PNG specification, 9.4). The three slices have the same length, a multiple of bytesPerRGB.
func paeth(dst, cur, up []byte) {
	up, dst = up[:len(cur)], dst[:len(cur)]
	for i := range bytesPerRGB { // nothing is to the left: the prediction is the byte above
		dst[i] = cur[i] - up[i]
	}
	for i := bytesPerRGB; i < len(cur); i++ {
		a, b, c := int(cur[i-bytesPerRGB]), int(up[i]), int(up[i-bytesPerRGB])
		// Distances of left, above and above left from a+b-c. Ties go to them in this order.
		pa, pb := b-c, a-c
		pc := pa + pb
		pa, pb, pc = abs(pa), abs(pb), abs(pc)
		nearest := b
		if pa <= pb {
			nearest, pb = a, pa
		}
		if pc < pb {
			nearest = c
		}
		dst[i] = cur[i] - byte(nearest)
	}
}

// abs is |x| without a branch, for |x| < 2^31.
func abs(x int) int {
	sign := x >> 63
	return (x ^ sign) - sign
}
