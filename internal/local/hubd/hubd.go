// Package hubd is a hub of models in this process, for tests: it speaks the Hugging Face Hub's protocol as far as downloads need it, and breaks when told to.
package hubd

import (
	"crypto/sha1" //nolint:gosec // git's name of a file's contents, as the Hub has it
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"
)

// Hub is a hub of one repository, acme/toy, and the host that its large files are redirected to. Its fields are changed while nobody asks.
type Hub struct {
	Commit string // of main and of refs/pr/7
	Files  map[string]string
	Token  string // "" lets everybody in

	Refuse func(w http.ResponseWriter, r *http.Request) bool // answers itself; nil: never
	Cut    map[string]int                                    // bytes of a file after which the connection is cut, once
	CutAll bool                                              // not once
	Bytes  func(name, content string) string                 // what is sent for a file's contents; nil: those

	hub, cdn *httptest.Server

	mu       sync.Mutex
	requests []string
	leaked   []string // hosts other than the hub that were shown the token
}

// Start starts a hub with files at a commit.
func Start(commit string, files map[string]string) *Hub {
	h := &Hub{Commit: commit, Files: files, Cut: map[string]int{}}
	h.hub, h.cdn = httptest.NewServer(http.HandlerFunc(h.serveHub)), httptest.NewServer(http.HandlerFunc(h.serveCDN))
	return h
}

// Stop stops both hosts.
func (h *Hub) Stop() {
	h.hub.Close()
	h.cdn.Close()
}

// URL is the hub's address, for HF_ENDPOINT.
func (h *Hub) URL() string { return h.hub.URL }

// large files lie in LFS.
func large(s string) bool { return len(s) > 1000 }

func (h *Hub) note(r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.requests = append(h.requests, strings.TrimSpace(r.URL.Path+" "+r.Header.Get("Range")))
}

// Asked lists the requests whose path has part in it, each with its range, and forgets all.
func (h *Hub) Asked(part string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var found []string
	for _, r := range h.requests {
		if strings.Contains(r, part) {
			found = append(found, r)
		}
	}
	h.requests = nil
	return found
}

// Leaked lists hosts that were shown a token, or an address with a signature, that was not for them.
func (h *Hub) Leaked() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.leaked)
}

func (h *Hub) serveHub(w http.ResponseWriter, r *http.Request) {
	h.note(r)
	if h.Refuse != nil && h.Refuse(w, r) {
		return
	}
	if h.Token != "" && r.Header.Get("Authorization") != "Bearer "+h.Token {
		w.Header().Set("X-Error-Code", "RepoNotFound")
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if revision, ok := strings.CutPrefix(r.URL.Path, "/api/models/acme/toy/revision/"); ok {
		if revision != "main" && revision != h.Commit && revision != "refs/pr/7" {
			w.Header().Set("X-Error-Code", "RevisionNotFound")
			w.WriteHeader(http.StatusNotFound)
			return
		}
		if err := json.NewEncoder(w).Encode(h.Revision(r.URL.Query().Has("blobs"))); err != nil {
			panic(http.ErrAbortHandler) // who asked has gone
		}
		return
	}
	name, ok := strings.CutPrefix(r.URL.Path, "/acme/toy/resolve/"+h.Commit+"/")
	content, there := h.Files[name]
	switch {
	case !ok:
		w.WriteHeader(http.StatusNotFound)
		return
	case !there:
		w.Header().Set("X-Error-Code", "EntryNotFound")
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("X-Repo-Commit", h.Commit)
	if large(content) {
		w.Header().Set("X-Linked-Etag", `"`+sha(content)+`"`)
		w.Header().Set("X-Linked-Size", fmt.Sprint(len(content)))
		http.Redirect(w, r, h.cdn.URL+"/blob/"+name+"?Signature=secret", http.StatusFound) //nolint:gosec // the host is ours
		return
	}
	h.send(w, r, name)
}

func sha(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

// Revision is the answer about the commit, with or without the files' sizes and sums.
func (h *Hub) Revision(blobs bool) map[string]any {
	var siblings []map[string]any
	for _, name := range slices.Sorted(maps.Keys(h.Files)) {
		s := map[string]any{"rfilename": name}
		if content := h.Files[name]; blobs {
			blob := sha1.Sum(fmt.Appendf(nil, "blob %d\x00%s", len(content), content)) //nolint:gosec // as above
			s["size"], s["blobId"] = len(content), hex.EncodeToString(blob[:])
			if large(content) {
				s["lfs"] = map[string]any{"sha256": sha(content), "size": len(content), "pointerSize": 134}
			}
		}
		siblings = append(siblings, s)
	}
	return map[string]any{"id": "acme/toy", "sha": h.Commit, "siblings": siblings}
}

func (h *Hub) serveCDN(w http.ResponseWriter, r *http.Request) {
	h.note(r)
	if r.Header.Get("Authorization") != "" || strings.Contains(r.Header.Get("Referer"), "Signature") {
		h.mu.Lock()
		h.leaked = append(h.leaked, r.Host)
		h.mu.Unlock()
	}
	if r.URL.Query().Get("Signature") != "secret" {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	h.send(w, r, strings.TrimPrefix(r.URL.Path, "/blob/"))
}

// send serves a file, whole or a range of it, up to where the connection is to be cut.
func (h *Hub) send(w http.ResponseWriter, r *http.Request, name string) {
	h.mu.Lock()
	content, cut := h.Files[name], h.Cut[name]
	if !h.CutAll {
		delete(h.Cut, name)
	}
	h.mu.Unlock()
	if h.Bytes != nil {
		content = h.Bytes(name, content)
	}
	out := w
	if cut > 0 {
		out = CutAfter(w, cut)
	}
	http.ServeContent(out, r, "", time.Time{}, strings.NewReader(content))
}

// CutAfter is w, but the connection ends after n bytes of the body.
func CutAfter(w http.ResponseWriter, n int) http.ResponseWriter { return &cutWriter{w, n} }

type cutWriter struct {
	http.ResponseWriter

	left int
}

func (w *cutWriter) Write(p []byte) (int, error) {
	if len(p) < w.left {
		w.left -= len(p)
		return w.ResponseWriter.Write(p)
	}
	// Whether it arrives does not matter: the connection ends here.
	_, _ = w.ResponseWriter.Write(p[:w.left])
	_ = http.NewResponseController(w.ResponseWriter).Flush()
	panic(http.ErrAbortHandler)
}
