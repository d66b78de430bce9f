package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strconv"
)

//go:embed assets
var embedded embed.FS

// asset is a file of the page.
type asset struct {
	body        []byte
	contentType string
	etag        string
}

// contentTypes are those of the page's files: the system's table may say otherwise, and nosniff holds browsers to it.
func contentTypes() map[string]string {
	return map[string]string{
		".html": "text/html; charset=utf-8",
		".css":  "text/css; charset=utf-8",
		".js":   "text/javascript; charset=utf-8",
		".json": "application/json",
		".svg":  "image/svg+xml",
		".png":  "image/png",
		".ico":  "image/x-icon",
	}
}

// readAssets reads the embedded files, by their path below assets.
func readAssets() (map[string]asset, error) {
	files, types := map[string]asset{}, contentTypes()
	below, err := fs.Sub(embedded, "assets")
	if err != nil {
		return nil, err
	}
	err = fs.WalkDir(below, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		contentType, known := types[path.Ext(name)]
		if !known {
			return nil // a note to those who work on the page, or a test
		}
		body, err := fs.ReadFile(below, name)
		sum := sha256.Sum256(body)
		files[name] = asset{body, contentType, strconv.Quote(hex.EncodeToString(sum[:16]))}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the files of the page: %w", err)
	}
	if _, there := files["index.html"]; !there {
		return nil, fmt.Errorf("reading the files of the page: index.html is missing")
	}
	return files, nil
}

func (s *Server) index(w http.ResponseWriter, r *http.Request) { s.file(w, r, "index.html") }
func (s *Server) asset(w http.ResponseWriter, r *http.Request) { s.file(w, r, r.PathValue("file")) }

// file serves one of the page's files, which browsers keep and ask for again by its tag.
func (s *Server) file(w http.ResponseWriter, r *http.Request, name string) {
	f, there := s.files[name]
	if !there {
		fail(w, r, Errorf(http.StatusNotFound, "the page has no file %q", name))
		return
	}
	h := w.Header()
	h.Set("ETag", f.etag)
	h.Set("Cache-Control", "no-cache")
	if r.Header.Get("If-None-Match") == f.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", f.contentType)
	h.Set("Content-Length", strconv.Itoa(len(f.body)))
	reply(w, r, f.body)
}
