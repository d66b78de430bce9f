package modelstore

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pipeline is the files of a model that are needed, with contents that nothing reads.
func pipeline() map[string]string {
	large := strings.Repeat("weights ", 1<<15) // 256 KiB
	return map[string]string{
		"model_index.json": `{"_class_name":"StableDiffusionPipeline"}`, "scheduler/scheduler_config.json": "{}", "stipple.json": "{}",
		"unet/model.onnx": "graph", "unet/model.onnx_data": large, "unet/config.json": "{}",
		"vae_decoder/model.onnx": large[1:], "vae_decoder/config.json": "{}",
		"text_encoder/model.onnx": "text", "text_encoder/config.json": "{}", "tokenizer/vocab.json": "{}", "tokenizer/merges.txt": "#version", "tokenizer/special_tokens_map.json": "",
	}
}

// beside are files that a repository has, too, and a worker does not read.
func beside() map[string]string {
	return map[string]string{
		"README.md": "read", ".gitattributes": "lfs", "sd15.safetensors": "x", "unet/diffusion_pytorch_model.safetensors": "x", "unet/model_fp16.onnx": "x",
		"unet/model_fp16.onnx_data": "x", "text_encoder/pytorch_model.bin": "x", "vae_encoder/model.onnx": "x", "safety_checker/model.onnx": "x", "tokenizer/README.md": "x",
	}
}

func sha(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

// fakeHub is a hub of one repository, acme/toy, and the host that its large files are redirected to.
type fakeHub struct {
	mu       sync.Mutex
	commit   string
	files    map[string]string
	token    string // "" lets everybody in
	requests []string
	leaked   []string // hosts other than the hub that were shown the token

	refuse func(w http.ResponseWriter, r *http.Request) bool // answers itself; nil: never
	cut    map[string]int                                    // bytes of a file after which the connection is cut, once
	cutAll bool                                              // not once

	hub, cdn *httptest.Server
}

var commitA, commitB = strings.Repeat("a", 40), strings.Repeat("b", 40)

func newHub(t *testing.T) *fakeHub {
	t.Helper()
	h := &fakeHub{commit: commitA, files: pipeline(), cut: map[string]int{}}
	maps.Copy(h.files, beside())
	h.hub, h.cdn = httptest.NewServer(http.HandlerFunc(h.serveHub)), httptest.NewServer(http.HandlerFunc(h.serveCDN))
	t.Cleanup(h.hub.Close)
	t.Cleanup(h.cdn.Close)
	return h
}

// large files lie in LFS.
func large(s string) bool { return len(s) > 1000 }

func (h *fakeHub) note(r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.requests = append(h.requests, strings.TrimSpace(r.URL.Path+" "+r.Header.Get("Range")))
}

// asked lists the requests whose path has part in it, and forgets all.
func (h *fakeHub) asked(part string) []string {
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

func (h *fakeHub) serveHub(w http.ResponseWriter, r *http.Request) {
	h.note(r)
	if h.refuse != nil && h.refuse(w, r) {
		return
	}
	if h.token != "" && r.Header.Get("Authorization") != "Bearer "+h.token {
		w.Header().Set("X-Error-Code", "RepoNotFound")
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if revision, ok := strings.CutPrefix(r.URL.Path, "/api/models/acme/toy/revision/"); ok {
		if revision != "main" && revision != h.commit && revision != "refs/pr/7" {
			w.Header().Set("X-Error-Code", "RevisionNotFound")
			w.WriteHeader(http.StatusNotFound)
			return
		}
		writeJSON(w, h.revision(r.URL.Query().Has("blobs")))
		return
	}
	name, ok := strings.CutPrefix(r.URL.Path, "/acme/toy/resolve/"+h.commit+"/")
	content, there := h.files[name]
	switch {
	case !ok:
		w.WriteHeader(http.StatusNotFound)
		return
	case !there:
		w.Header().Set("X-Error-Code", "EntryNotFound")
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("X-Repo-Commit", h.commit)
	if large(content) {
		w.Header().Set("X-Linked-Etag", `"`+sha(content)+`"`)
		w.Header().Set("X-Linked-Size", fmt.Sprint(len(content)))
		http.Redirect(w, r, h.cdn.URL+"/blob/"+name+"?Signature=secret", http.StatusFound)
		return
	}
	h.send(w, r, name)
}

func (h *fakeHub) revision(blobs bool) map[string]any {
	var siblings []map[string]any
	for _, name := range slices.Sorted(maps.Keys(h.files)) {
		s := map[string]any{"rfilename": name}
		if content := h.files[name]; blobs {
			blob := sha1.Sum([]byte(fmt.Sprintf("blob %d\x00%s", len(content), content)))
			s["size"], s["blobId"] = len(content), hex.EncodeToString(blob[:])
			if large(content) {
				s["lfs"] = map[string]any{"sha256": sha(content), "size": len(content), "pointerSize": 134}
			}
		}
		siblings = append(siblings, s)
	}
	return map[string]any{"id": "acme/toy", "sha": h.commit, "siblings": siblings}
}

func (h *fakeHub) serveCDN(w http.ResponseWriter, r *http.Request) {
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
func (h *fakeHub) send(w http.ResponseWriter, r *http.Request, name string) {
	h.mu.Lock()
	content, cut := h.files[name], h.cut[name]
	if !h.cutAll {
		delete(h.cut, name)
	}
	h.mu.Unlock()
	out := w
	if cut > 0 {
		out = &cutWriter{w, cut}
	}
	http.ServeContent(out, r, "", time.Time{}, strings.NewReader(content))
}

// cutWriter ends the connection after so many bytes.
type cutWriter struct {
	http.ResponseWriter
	left int
}

func (w *cutWriter) Write(p []byte) (int, error) {
	if len(p) < w.left {
		w.left -= len(p)
		return w.ResponseWriter.Write(p)
	}
	w.ResponseWriter.Write(p[:w.left])
	w.ResponseWriter.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

// store returns a store on dir that asks h.
func (h *fakeHub) store(t *testing.T, dir string, change func(*Config)) *Store {
	t.Helper()
	c := Config{Dir: dir, Endpoint: h.hub.URL, Token: h.token, pause: time.Millisecond, patience: 5 * time.Second}
	if change != nil {
		change(&c)
	}
	return open(t, c)
}

func open(t *testing.T, c Config) *Store {
	t.Helper()
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// contentsOf reads a folder.
func contentsOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(filepath.Join(dir, name))
		all[name] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// mustFetch fetches and compares what came.
func mustFetch(t *testing.T, s *Store, source string, want map[string]string) string {
	t.Helper()
	dir, err := s.Fetch(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	same(t, dir, want)
	return dir
}

func same(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	got := contentsOf(t, dir)
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if got[name] != want[name] {
			t.Errorf("%s has other contents, %d bytes where %d should be", name, len(got[name]), len(want[name]))
		}
	}
	if a, b := slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)); !slices.Equal(a, b) {
		t.Errorf("got the files %q, want %q", a, b)
	}
}

// background is for what outlives a test's own context.
func background(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithCancel(context.Background())
}
