package onnx

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// walker steps through one protobuf message of left bytes without holding it. Nested messages are walked in place.
type walker struct {
	file io.ReadSeeker
	buf  *bufio.Reader
	left int64
}

func newWalker(r io.ReadSeeker, size int64) *walker {
	return &walker{file: r, buf: bufio.NewReaderSize(r, 64<<10), left: size}
}

const (
	wireVarint = 0
	wireI64    = 1
	wireLen    = 2
	wireI32    = 5
)

// maxText bounds a name: what is longer is a corrupt length.
const maxText = 1 << 16

// walk calls field for every field. For a length-delimited one, field reads or walks what sub holds; the rest is skipped.
func (w *walker) walk(field func(number int, value uint64, sub *walker) error) error {
	for w.left > 0 {
		tag, err := w.varint()
		if err != nil {
			return err
		}
		number, wire := int(tag>>3), tag&7
		switch wire {
		case wireVarint:
			v, err := w.varint()
			if err != nil {
				return err
			}
			if err := field(number, v, nil); err != nil {
				return err
			}
		case wireI64, wireI32:
			if err := w.skip(map[uint64]int64{wireI64: 8, wireI32: 4}[wire]); err != nil {
				return err
			}
		case wireLen:
			n, err := w.varint()
			if err != nil {
				return err
			}
			if n > uint64(w.left) {
				return io.ErrUnexpectedEOF
			}
			sub := &walker{file: w.file, buf: w.buf, left: int64(n)}
			if err := field(number, 0, sub); err != nil {
				return err
			}
			if err := sub.skip(sub.left); err != nil {
				return err
			}
			w.left -= int64(n)
		default:
			return fmt.Errorf("wire type %d in field %d: this is not protobuf", wire, number)
		}
	}
	return nil
}

func (w *walker) varint() (uint64, error) {
	var v uint64
	for shift := 0; shift < 64; shift += 7 {
		if w.left == 0 {
			return 0, io.ErrUnexpectedEOF
		}
		b, err := w.buf.ReadByte()
		if err != nil {
			return 0, err
		}
		w.left--
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return v, nil
		}
	}
	return 0, errors.New("a number of more than 64 bits: this is not protobuf")
}

// skip goes n bytes on, by seeking where they are many.
func (w *walker) skip(n int64) error {
	if n > w.left {
		return io.ErrUnexpectedEOF
	}
	w.left -= n
	if buffered := int64(w.buf.Buffered()); n > buffered+int64(w.buf.Size()) {
		// One byte is read after the seek: seeking past the end of a truncated file is no error by itself.
		if _, err := w.file.Seek(n-buffered-1, io.SeekCurrent); err != nil {
			return err
		}
		w.buf.Reset(w.file)
		n = 1
	}
	_, err := io.CopyN(io.Discard, w.buf, n)
	return err
}

func (w *walker) text() (string, error) {
	if w.left > maxText {
		return "", fmt.Errorf("a name of %d bytes: this is not an ONNX model", w.left)
	}
	b, err := w.bytes()
	return string(b), err
}

// bytes reads what is left; the caller has judged how much that is.
func (w *walker) bytes() ([]byte, error) {
	b := make([]byte, w.left)
	w.left = 0
	_, err := io.ReadFull(w.buf, b)
	return b, err
}
