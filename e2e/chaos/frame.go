package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// maxFrame bounds one operation. The broker's own limit for a message is 1 MiB unless it is told otherwise, and INFO is
// a few kilobytes.
const maxFrame = 8 << 20

// frame is one operation of the NATS client protocol, of either direction
// (https://docs.nats.io/reference/reference-protocols/nats-protocol).
type frame struct {
	op      string // PUB, HPUB, MSG, HMSG, or another, in upper case
	subject string // of the four
	reply   string // of the four; "" without one
	payload []byte // of the four: header and body
	raw     []byte // all of it, as it stands on the wire
}

// body is the payload without its header.
func (f frame) body() []byte {
	if f.op != "HPUB" && f.op != "HMSG" {
		return f.payload
	}
	if _, body, found := bytes.Cut(f.payload, []byte("\r\n\r\n")); found {
		return body
	}
	return nil
}

// layout is how many arguments an operation with a payload has behind its subject, a reply not counted: the id of the
// subscription, and one or two sizes, of which the last is that of the payload.
var layout = map[string]int{"PUB": 1, "HPUB": 2, "MSG": 2, "HMSG": 3}

// readFrame reads one operation. A connection that ends between two of them is io.EOF.
func readFrame(r *bufio.Reader) (frame, error) {
	line, err := readLine(r)
	if err != nil {
		return frame{}, err
	}
	args := bytes.Fields(line)
	if len(args) == 0 {
		return frame{raw: line}, nil
	}
	f := frame{op: string(bytes.ToUpper(args[0])), raw: line}
	behind, known := layout[f.op]
	if !known {
		return f, nil
	}
	args = args[1:]
	switch len(args) - 1 - behind {
	case 0:
	case 1: // the reply stands before the sizes
		at := 1
		if f.op == "MSG" || f.op == "HMSG" {
			at = 2
		}
		f.reply = string(args[at])
	default:
		return frame{}, fmt.Errorf("reading a frame: %q has %d arguments", f.op, len(args))
	}
	f.subject = string(args[0])
	size, err := strconv.ParseUint(string(args[len(args)-1]), 10, 32)
	if err != nil || size > maxFrame {
		return frame{}, fmt.Errorf("reading a frame: %s has the size %q", f.op, args[len(args)-1])
	}
	f.raw = append(f.raw, make([]byte, size+2)...)
	f.payload = f.raw[len(line) : len(f.raw)-2]
	if _, err := io.ReadFull(r, f.raw[len(line):]); err != nil {
		return frame{}, fmt.Errorf("reading a frame: %w", noEOF(err))
	}
	return f, nil
}

// readLine reads up to and with the next line feed.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return line, nil
		case errors.Is(err, io.EOF) && len(line) == 0:
			return nil, io.EOF
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, fmt.Errorf("reading a frame: %w", noEOF(err))
		case len(line) > maxFrame:
			return nil, fmt.Errorf("reading a frame: a line of more than %d bytes", maxFrame)
		}
	}
}

// noEOF is the error of a frame that was cut off.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
