package upload

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/adler32"
	"math"

	"github.com/klauspost/compress/flate"
)

const (
	// matchLevel looks for repeated rows and shapes about as well as image/png's default, several times faster.
	matchLevel = 3

	// Matches pay where longRun zeros follow each other, and what those take without them is minGain of the file.
	longRun = 48 // bytes: sixteen pixels that are what their neighbours predict
	minGain = 0.04

	maxScratch = 32 << 20 // bytes of a picture whose memory is kept for the next
)

// deflater compresses pictures, one after the other. Making one costs more than compressing a small picture: its tables are
// larger.
type deflater struct {
	huffman, match *flate.Writer
	filtered       []byte
	short, matched bytes.Buffer
}

// newDeflater makes a deflater.
func newDeflater() (*deflater, error) {
	huffman, err := flate.NewWriter(nil, flate.HuffmanOnly)
	if err != nil {
		return nil, fmt.Errorf("starting the compressor: %w", err)
	}
	match, err := flate.NewWriter(nil, matchLevel)
	if err != nil {
		return nil, fmt.Errorf("starting the compressor: %w", err)
	}
	return &deflater{huffman: huffman, match: match}, nil
}

// zlib is the picture's filtered rows as a zlib stream (RFC 1950), valid until the next call.
//
// What a model draws, filtered by Paeth, has few bytes in a row that occurred before: searching for them costs the most
// and makes the file larger, as a match takes more bits than the short codes of what it stands for. It pays for large
// areas of one colour, where the background is saturated: runs of zeros, which take next to nothing with them. So those are
// counted, and where there are enough both ways are taken and the smaller result is kept.
func (d *deflater) zlib(p Picture) ([]byte, error) {
	d.filtered = filter(p, d.filtered)
	if err := deflate(d.huffman, &d.short, d.filtered); err != nil {
		return nil, err
	}
	best := &d.short
	if worthMatching(d.filtered, d.short.Len()) {
		if err := deflate(d.match, &d.matched, d.filtered); err != nil {
			return nil, err
		}
		if d.matched.Len() < best.Len() {
			best = &d.matched
		}
	}
	best.Write(binary.BigEndian.AppendUint32(nil, adler32.Checksum(d.filtered)))
	return best.Bytes(), nil
}

// keep reports whether d's memory is worth keeping: not that of a giant picture.
func (d *deflater) keep() bool { return cap(d.filtered) <= maxScratch }

// deflate writes a zlib stream without its checksum into buf.
func deflate(w *flate.Writer, buf *bytes.Buffer, data []byte) error {
	buf.Reset()
	buf.Write([]byte{0x78, 0x01}) // deflate, 32 KiB window, fastest
	w.Reset(buf)
	if _, err := w.Write(data); err != nil {
		return fmt.Errorf("compressing: %w", err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("compressing: %w", err)
	}
	return nil
}

// worthMatching guesses whether matches make a stream smaller that has size bytes without: by what its long runs of zeros
// take there, which is a code of -log2(their share of all bytes) bits for each, and no less than one.
func worthMatching(data []byte, size int) bool {
	long := longZeros(data)
	if long == 0 {
		return false
	}
	bits := max(1, -math.Log2(float64(bytes.Count(data, []byte{0}))/float64(len(data))))
	return float64(long)*bits/8 > minGain*float64(size)
}

// longZeros counts the bytes in runs of at least longRun zeros.
func longZeros(data []byte) int {
	total := 0
	for len(data) >= longRun {
		// A run that long covers every longRun-th byte: the others need not be looked at.
		if data[longRun-1] != 0 {
			data = data[longRun:]
			continue
		}
		begin := longRun - 1
		for begin > 0 && data[begin-1] == 0 {
			begin--
		}
		end := longRun
		for end < len(data) && data[end] == 0 {
			end++
		}
		if end-begin >= longRun {
			total += end - begin
		}
		data = data[end:]
	}
	return total
}
