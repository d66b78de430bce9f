package batch

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"unicode/utf8"
)

// maxDocument bounds a YAML document, in bytes: unlike a row of the other formats it is read as a whole, because
// its lists multiply each other. Larger inputs are for CSV and JSON lines, or for several documents.
const maxDocument = 16 << 20

// document is one YAML document of a stream, with the marker it begins with.
type document struct {
	text   []byte // valid until the next document is asked for
	before int64  // lines in front of it
}

// documents cuts a YAML stream before lines that are "---" or begin with "--- ", and behind those of "...". They
// are markers wherever they stand, in block scalars, too (YAML 1.2, 9.1.2). What stands before the first content,
// comments and directives, belongs to the document that follows. An error is the last that comes.
func documents(name string, r io.Reader) iter.Seq2[document, error] {
	return func(yield func(document, error) bool) {
		in := lineReader{r: bufio.NewReader(withoutBOM(r))}
		doc, content := document{}, false
		cut := func(before int64) bool {
			ok := !content || yield(doc, nil)
			doc, content = document{text: doc.text[:0], before: before}, false
			return ok
		}
		for {
			line, err := in.next(maxDocument - len(doc.text))
			switch {
			case errors.Is(err, errLong):
				yield(document{}, fmt.Errorf("%s:%d: the document is larger than %d MiB by this line; write CSV or JSON lines, or several documents with --- between them", name, in.number, maxDocument>>20))
				return
			case err != nil && !errors.Is(err, io.EOF):
				yield(document{}, fmt.Errorf("reading %s after line %d: %w", name, in.number, err))
				return
			case !utf8.Valid(line):
				yield(document{}, &RowError{name, in.number, errors.New("is not valid UTF-8")})
				return
			}
			begins := isMarker(line, "---")
			if begins && content && !cut(in.number-1) {
				return
			}
			content = content || begins || isContent(line)
			if !content && bytes.HasPrefix(line, []byte("%YAML")) {
				line = []byte("\n") // the parser refuses 1.2 by name, and reads it
			}
			doc.text = append(doc.text, line...)
			if (err != nil || isMarker(line, "...")) && !cut(in.number) || err != nil {
				return
			}
		}
	}
}

// isMarker reports whether a line is a marker, "---" or "...", perhaps with more behind it.
func isMarker(line []byte, marker string) bool {
	rest, ok := bytes.CutPrefix(line, []byte(marker))
	return ok && (len(rest) == 0 || strings.IndexByte(" \t\r\n", rest[0]) >= 0)
}

// isContent reports whether a line is more than a comment or a directive.
func isContent(line []byte) bool {
	text := bytes.TrimSpace(line)
	return len(text) > 0 && text[0] != '#' && line[0] != '%' && !isMarker(line, "...")
}

var errLong = errors.New("too long")

// lineReader reads lines with their ends.
type lineReader struct {
	r      *bufio.Reader
	number int64 // of the last line, from 1
	line   []byte
}

// next returns a line, valid until the next call, of at most so many bytes; beyond them the error is errLong. The
// last line comes with io.EOF and may be empty.
func (l *lineReader) next(most int) ([]byte, error) {
	l.number++
	l.line = l.line[:0]
	for {
		part, err := l.r.ReadSlice('\n')
		if l.line = append(l.line, part...); len(l.line) > most {
			return nil, errLong
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return l.line, err
		}
	}
}
