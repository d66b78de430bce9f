package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/upload"
)

// maxFile bounds a picture that is read into memory, in bytes.
const maxFile = 1 << 30

// pictureFile is a picture's file and what it tells by itself.
type pictureFile struct {
	data   []byte
	sha256 string // of data, in hex
	meta   upload.FileMeta
}

// readPicture reads a local file.
func readPicture(name string) (pictureFile, error) {
	info, err := os.Stat(name)
	if err == nil && info.Size() > maxFile {
		err = fmt.Errorf("%s has %d bytes, which is more than a picture's", name, info.Size())
	}
	if err != nil {
		return pictureFile{}, err
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return pictureFile{}, err
	}
	p, err := newPicture(data)
	if err != nil {
		return p, fmt.Errorf("%s: %w", name, err)
	}
	return p, nil
}

func newPicture(data []byte) (pictureFile, error) {
	sum := sha256.Sum256(data)
	meta, err := upload.ReadMeta(data)
	return pictureFile{data, hex.EncodeToString(sum[:]), meta}, err
}

// isOf reports whether the picture's file is the very one that a result or object is of.
func (p pictureFile) isOf(image *queue.Image) bool {
	return image != nil && image.SHA256 != "" && image.SHA256 == p.sha256
}

// spec16 is that of the job in the file, "" if it holds none.
func (p pictureFile) spec16() string {
	if p.meta.Job == nil {
		return ""
	}
	sum := sha256.Sum256(p.meta.Job) // which is canonical
	return hex.EncodeToString(sum[:8])
}

// beside looks the picture up in the manifest of its folder: by its bytes, else by the file's name if the job in it is
// the one of the entry.
func (p pictureFile) beside(name string) (r queue.Result, found bool, err error) {
	file, err := os.Open(filepath.Join(filepath.Dir(name), manifestName))
	if errors.Is(err, os.ErrNotExist) {
		return r, false, nil
	}
	if err != nil {
		return r, false, err
	}
	defer file.Close()
	spec := p.spec16()
	for in := bufio.NewReader(file); ; {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return r, found, nil
		}
		if err != nil {
			return r, found, err
		}
		var e manifestEntry
		if json.Unmarshal(bytes.TrimSpace(line), &e) != nil || e.Image == nil {
			continue // of another program, or half a line
		}
		key, ok := upload.ParseKey("", keyTail(e.Image.Key))
		if p.isOf(e.Image) || e.File == filepath.Base(name) && ok && spec != "" && key.Spec16 == spec {
			r, found = e.Result, true // the last one holds
		}
	}
}
