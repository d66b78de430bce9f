package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/stipple-ai/stipple/internal/queue"
)

// manifestName is the file in a folder of pictures that says what each of them is.
const manifestName = "manifest.jsonl"

// manifest is a line of JSON for each result of a batch: the result, and the file of its picture. It only grows;
// of two lines for one job the later one holds. One process at a time has it, and with it the folder.
type manifest struct {
	file   *os.File
	lines  map[int64]manifestLine // the last of each index
	broken error                  // why a line was not written, of which half may be there; nothing goes behind that
}

// manifestEntry is a line as it is written.
type manifestEntry struct {
	queue.Result
	File string `json:"file,omitempty"` // in the same folder
}

// manifestLine is what of a line is remembered.
type manifestLine struct {
	retry  int
	status string
	sha256 string // of the file
}

// openManifest opens the manifest of a folder, which it makes. One of another batch is refused: its pictures
// would have the same names.
func openManifest(dir, batch string) (_ *manifest, err error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(dir, manifestName), os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, file.Close())
		}
	}()
	if !lock(file) {
		return nil, fmt.Errorf("another enqueue puts pictures into %s: wait for it, or choose another folder", dir)
	}
	m := &manifest{file: file, lines: map[int64]manifestLine{}}
	whole, err := m.read(batch)
	if err != nil {
		return nil, err
	}
	// A crash may have left half a line.
	if err := file.Truncate(whole); err != nil {
		return nil, err
	}
	if _, err := file.Seek(whole, io.SeekStart); err != nil {
		return nil, err
	}
	return m, nil
}

// read reads the lines and returns where the last whole one ends.
func (m *manifest) read(batch string) (whole int64, err error) {
	r := bufio.NewReader(m.file)
	for n := 1; ; n++ {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return whole, nil
		}
		if err != nil {
			return 0, err
		}
		whole += int64(len(line))
		var e manifestEntry
		if err := json.Unmarshal(bytes.TrimSpace(line), &e); err != nil {
			return 0, fmt.Errorf("%s:%d: %w; move the file away, and the pictures stay", m.file.Name(), n, err)
		}
		if e.BatchID != batch {
			return 0, fmt.Errorf("%s is of batch %q; choose another folder for this one", m.file.Name(), printable(e.BatchID))
		}
		m.note(e.Result)
	}
}

func (m *manifest) note(r queue.Result) {
	l := manifestLine{retry: r.Retry, status: r.Status}
	if r.Image != nil {
		l.sha256 = r.Image.SHA256
	}
	m.lines[r.Index] = l
}

// has reports whether the manifest says this of the job already.
func (m *manifest) has(r queue.Result) bool {
	l, ok := m.lines[r.Index]
	return ok && l.retry == r.Retry && l.status == r.Status && (r.Image == nil || l.sha256 == r.Image.SHA256)
}

// add appends a line.
func (m *manifest) add(r queue.Result, file string) error {
	line, err := json.Marshal(manifestEntry{r, file})
	if err != nil {
		return err
	}
	if m.broken != nil {
		return m.broken
	}
	if _, m.broken = m.file.Write(append(line, '\n')); m.broken != nil {
		return m.broken
	}
	m.note(r)
	return nil
}

func (m *manifest) close() error { return m.file.Close() }
