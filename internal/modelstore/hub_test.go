package modelstore

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestHub: what a worker needs comes, and nothing else; the token is shown to the hub alone, and to no log.
func TestHub(t *testing.T) {
	h := newHub(t)
	h.Token = "hf_sesame"
	var log bytes.Buffer
	var last Progress
	s := h.store(t, t.TempDir(), func(c *Config) {
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
		c.Progress = func(p Progress) { last = p }
	})
	dir := mustFetch(t, s, "hf://acme/toy", pipeline())
	if filepath.Base(dir) != commitA {
		t.Errorf("the folder %s is not named by its commit", dir)
	}
	if leaked := h.Leaked(); len(leaked) > 0 {
		t.Errorf("the token was shown to %q", leaked)
	}
	if strings.Contains(log.String(), "sesame") || strings.Contains(log.String(), "Signature") || !strings.Contains(log.String(), "hf://acme/toy@main") {
		t.Errorf("the log: %s", &log)
	}
	want := int64(0)
	for _, content := range pipeline() {
		want += int64(len(content))
	}
	if last.Done != want || last.Total != want || last.Files != len(pipeline()) || last.FilesDone != last.Files {
		t.Errorf("progress ended at %+v, want %d bytes", last, want)
	}
}

// TestHubAgain: what is here is not downloaded again; a commit is not even asked about; a branch is, and moves on.
func TestHubAgain(t *testing.T) {
	h := newHub(t)
	cache := t.TempDir()
	s := h.store(t, cache, nil)
	first := mustFetch(t, s, "hf://acme/toy@main", pipeline())
	h.Asked("")
	if again := mustFetch(t, s, "hf://acme/toy@main", pipeline()); again != first {
		t.Errorf("another folder: %s, %s", first, again)
	}
	if got := h.Asked(""); len(got) != 1 {
		t.Errorf("a branch that is here was asked for by %q", got)
	}
	mustFetch(t, s, "hf://acme/toy@"+commitA, pipeline())
	if got := h.Asked(""); len(got) != 0 {
		t.Errorf("a commit that is here was asked for by %q", got)
	}
	h.Commit, h.Files["unet/model.onnx"] = commitB, "another graph"
	moved := pipeline()
	moved["unet/model.onnx"] = "another graph"
	if dir := mustFetch(t, s, "hf://acme/toy", moved); dir == first {
		t.Error("the branch moved on, the folder did not")
	}
	same(t, first, pipeline()) // a worker may have it open
	if dir := mustFetch(t, s, "hf://acme/toy@refs/pr/7", moved); filepath.Base(dir) != commitB {
		t.Errorf("refs/pr/7 is %s", dir)
	}
}

// TestHubOffline: nobody is asked; and a hub that is away is no reason not to work.
func TestHubOffline(t *testing.T) {
	h := newHub(t)
	cache := t.TempDir()
	want := mustFetch(t, h.store(t, cache, nil), "hf://acme/toy", pipeline())
	h.Asked("")
	offline := h.store(t, cache, func(c *Config) { c.Offline = true })
	if dir := mustFetch(t, offline, "hf://acme/toy", pipeline()); dir != want {
		t.Errorf("got %s, want %s", dir, want)
	}
	for _, source := range []string{"hf://acme/toy@v2", "hf://acme/other"} {
		if _, err := offline.Fetch(t.Context(), source); err == nil || !strings.Contains(err.Error(), "HF_HUB_OFFLINE") {
			t.Errorf("%s: %v", source, err)
		}
	}
	if got := h.Asked(""); len(got) > 0 {
		t.Errorf("offline, and asked %q", got)
	}
	var log bytes.Buffer
	h.Stop()
	away := h.store(t, cache, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	if dir := mustFetch(t, away, "hf://acme/toy", pipeline()); dir != want || !strings.Contains(log.String(), "does not answer") {
		t.Errorf("got %s and the log %s", dir, &log)
	}
	if _, err := away.Fetch(t.Context(), "hf://acme/other"); err == nil || !strings.Contains(err.Error(), "hf://acme/other@main") {
		t.Errorf("got %v", err)
	}
}

// TestHubResumes: cut off connections go on where they ended, and so does the next process after one that was killed.
func TestHubResumes(t *testing.T) {
	h := newHub(t)
	const name = "unet/model.onnx_data"
	h.Cut[name], h.Cut["vae_decoder/model.onnx"] = 100_000, 1000
	mustFetch(t, h.store(t, t.TempDir(), nil), "hf://acme/toy", pipeline())
	got := h.Asked("/blob/" + name)
	if len(got) != 2 || got[1] != "/blob/"+name+" bytes=100000-" {
		t.Errorf("asked %q", got)
	}

	cache := t.TempDir()
	h.Cut[name], h.CutAll = 50_000, true
	ctx, kill := background(t)
	defer kill()
	s := h.store(t, cache, func(c *Config) {
		c.pause = time.Hour // it is still waiting when the end comes
		c.Progress = func(p Progress) {
			if p.FilesDone == p.Files-1 && p.Total-p.Done == int64(len(pipeline()[name])-50_000) {
				kill()
			}
		}
	})
	if _, err := s.Fetch(ctx, "hf://acme/toy"); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	h.CutAll = false
	delete(h.Cut, name)
	h.Asked("")
	look, err := s.Look(t.Context(), "hf://acme/toy")
	if err != nil || look.Dir != "" || look.Files != len(pipeline()) || look.Bytes-look.Have != int64(len(pipeline()[name])-50_000) || look.Version != commitA {
		t.Errorf("look %+v, %v", look, err)
	}
	mustFetch(t, h.store(t, cache, nil), "hf://acme/toy", pipeline())
	if got := h.Asked("/blob/"); !slices.Equal(got, []string{"/blob/" + name + " bytes=50000-"}) {
		t.Errorf("after the kill, asked %q", got)
	}
}

// TestHubStall: a connection that goes silent is given up and gone on with.
func TestHubStall(t *testing.T) {
	h := newHub(t)
	var stalled atomic.Bool
	release := make(chan struct{})
	h.Refuse = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "unet/model.onnx") || !stalled.CompareAndSwap(false, true) {
			return false
		}
		w.Header().Set("Content-Length", "5")
		w.Write([]byte("gr"))
		w.(http.Flusher).Flush()
		select {
		case <-release:
		case <-r.Context().Done():
		}
		return true
	}
	defer close(release)
	mustFetch(t, h.store(t, t.TempDir(), func(c *Config) { c.patience = 400 * time.Millisecond }), "hf://acme/toy", pipeline())
	if got := h.Asked("resolve/" + commitA + "/unet/model.onnx"); !slices.Contains(got, "/acme/toy/resolve/"+commitA+"/unet/model.onnx bytes=2-") {
		t.Errorf("asked %q", got)
	}
}

// TestHubBusy: 429 and 5xx are waited out.
func TestHubBusy(t *testing.T) {
	h := newHub(t)
	var mu sync.Mutex
	seen := map[string]int{}
	h.Refuse = func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		seen[r.URL.Path]++
		switch seen[r.URL.Path] {
		case 1:
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusTooManyRequests)
		case 2:
			w.WriteHeader(http.StatusBadGateway)
		default:
			return false
		}
		return true
	}
	var log bytes.Buffer
	mustFetch(t, h.store(t, t.TempDir(), func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) }), "hf://acme/toy", pipeline())
	if n := strings.Count(log.String(), "the model's source does not answer: asking again"); n != 2 || !strings.Contains(log.String(), "502 Bad Gateway") {
		t.Errorf("the log tells %d times that the hub was asked again, want 2:\n%s", n, &log)
	}
}

// TestHubShared: processes that want one model share one download.
func TestHubShared(t *testing.T) {
	h := newHub(t)
	cache := t.TempDir()
	var wg sync.WaitGroup
	for range 4 {
		s := h.store(t, cache, nil) // a lock of its own, as another process has
		wg.Go(func() {
			if _, err := s.Fetch(t.Context(), "hf://acme/toy"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := h.Asked("/resolve/"); len(got) != len(pipeline())-1 {
		t.Errorf("%d files, of which one is empty, were asked for by %d requests: %q", len(pipeline()), len(got), got)
	}
}

// TestHubDamage: other bytes than the hub's sums are never taken.
func TestHubDamage(t *testing.T) {
	for _, name := range []string{"unet/model.onnx", "unet/model.onnx_data"} { // in git and in LFS
		for _, times := range []int{1, 9} {
			h := newHub(t)
			left := times
			h.Bytes = func(of, content string) string { // one file is asked for by one goroutine
				if of != name {
					return content
				}
				if left--; left < 0 {
					return content
				}
				return strings.Repeat("x", len(content))
			}
			cache := t.TempDir()
			dir, err := h.store(t, cache, nil).Fetch(t.Context(), "hf://acme/toy")
			switch {
			case times == 1 && err != nil:
				t.Errorf("%s, once: %v", name, err)
			case times == 1:
				same(t, dir, pipeline())
			case err == nil || !errors.Is(err, errDamaged) || !strings.Contains(err.Error(), name):
				t.Errorf("%s, always: %v", name, err)
			}
		}
	}
}

// TestHubHalfWritten: what a machine that lost its power left is not believed.
func TestHubHalfWritten(t *testing.T) {
	h := newHub(t)
	cache := t.TempDir()
	s := h.store(t, cache, nil)
	src, err := parse("hf://acme/toy")
	if err != nil {
		t.Fatal(err)
	}
	p := s.shelf(src).partial(commitA)
	write(t, filepath.Join(p.files(), "unet", "model.onnx_data"+partSuffix), strings.Repeat("\x00", 70_000))
	write(t, filepath.Join(p.files(), "vae_decoder", "model.onnx"+partSuffix), strings.Repeat("\x00", 1<<20)) // longer than the file
	write(t, filepath.Join(p.files(), "unet", "config.json"), "half")                                         // another size than the file
	mustFetch(t, s, "hf://acme/toy", pipeline())
}

// TestHubRefuses: each answer that is no model says what it means and what to do, and leaves no model.
func TestHubRefuses(t *testing.T) {
	answer := func(status int, code string) func(*fakeHub) {
		return func(h *fakeHub) {
			h.Refuse = func(w http.ResponseWriter, _ *http.Request) bool {
				w.Header().Set("X-Error-Code", code)
				w.WriteHeader(status)
				return true
			}
		}
	}
	body := func(text string) func(*fakeHub) {
		return func(h *fakeHub) {
			h.Refuse = func(w http.ResponseWriter, _ *http.Request) bool {
				w.Write([]byte(text))
				return true
			}
		}
	}
	for name, tt := range map[string]struct {
		source string
		change func(*fakeHub)
		config func(*Config)
		says   []string
	}{
		"no such repository": {"hf://acme/toy", answer(401, "RepoNotFound"), nil, []string{"check the name, or set HF_TOKEN"}},
		"token refused":      {"hf://acme/toy", func(h *fakeHub) { h.Token = "right" }, func(c *Config) { c.Token = "wrong" }, []string{"HF_TOKEN is not valid"}},
		"gated":              {"hf://acme/toy", answer(403, "GatedRepo"), nil, []string{"accept its terms", "HF_TOKEN"}},
		"forbidden":          {"hf://acme/toy", answer(403, ""), nil, []string{"may not read"}},
		"no such revision":   {"hf://acme/toy@v9", nil, nil, []string{`no revision "v9"`}},
		"no such page":       {"hf://acme/toy", answer(404, ""), nil, []string{"HF_ENDPOINT"}},
		"always busy":        {"hf://acme/toy", answer(503, ""), nil, []string{"503"}},
		"not a hub":          {"hf://acme/toy", body("<html>"), nil, []string{"not the Hub's"}},
		"no commit":          {"hf://acme/toy", body(`{"sha":"../..","siblings":[]}`), nil, []string{"not the Hub's"}},
		"no pipeline":        {"hf://acme/toy", func(h *fakeHub) { delete(h.Files, "unet/model.onnx") }, nil, []string{"unet/model.onnx", "no pipeline in ONNX"}},
		"not in that folder": {"hf://acme/toy@main/onnx", nil, nil, []string{"onnx/model_index.json"}},
		"leads elsewhere":    {"hf://acme/toy", func(h *fakeHub) { h.Files["unet/../../../evil"] = "x" }, nil, []string{"evil"}},
		"absolute":           {"hf://acme/toy", func(h *fakeHub) { h.Files["/etc/passwd"] = "x" }, nil, []string{"/etc/passwd"}},
		"backslash":          {"hf://acme/toy", func(h *fakeHub) { h.Files[`unet\..\..\evil`] = "x" }, nil, []string{"evil"}},
		"too large": {"hf://acme/toy", body(`{"sha":"` + commitA + `","siblings":[{"rfilename":"model_index.json"},{"rfilename":"vae_decoder/model.onnx"},{"rfilename":"text_encoder/model.onnx"},
			{"rfilename":"unet/model.onnx","size":4611686018427387904}]}`), nil, []string{"make room", "STIPPLE_MODEL_CACHE"}},
		"refused by who reads it": {"hf://acme/toy", nil, func(c *Config) {
			c.Verify = func(context.Context, string) error { return errors.New("not a model") }
		}, []string{"not a model"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHub(t)
			if tt.change != nil {
				tt.change(h)
			}
			dir := t.TempDir()
			_, err := h.store(t, dir, tt.config).Fetch(t.Context(), tt.source)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tt.says {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q lacks %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "wrong") || strings.Contains(err.Error(), "\n") && name != "no such revision" {
				t.Errorf("the error shows the token, or has lines: %q", err)
			}
			if found, _ := filepath.Glob(filepath.Join(dir, "*", commitA)); len(found) > 0 {
				t.Errorf("there is a model all the same: %q", found)
			}
		})
	}
}

// TestLookAtACacheThatCannotBeWritten: the doctor says so before a worker fails.
func TestLookAtACacheThatCannotBeWritten(t *testing.T) {
	h := newHub(t)
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "")
	for dir, want := range map[string]string{filepath.Join(file, "models"): "cannot be written: set STIPPLE_MODEL_CACHE", filepath.Join(t.TempDir(), "a", "b"): ""} {
		look, err := h.store(t, dir, nil).Look(t.Context(), "hf://acme/toy")
		if err != nil || (look.Refused == nil) != (want == "") || (want != "" && !strings.Contains(look.Refused.Error(), want)) {
			t.Errorf("%s: refused %v, %v", dir, look.Refused, err)
		}
	}
}

// TestHubFolder: a model may lie in a folder of its repository.
func TestHubFolder(t *testing.T) {
	h := newHub(t)
	h.Files = map[string]string{"README.md": "read"}
	for name, content := range pipeline() {
		h.Files["sd/onnx/"+name] = content
	}
	mustFetch(t, h.store(t, t.TempDir(), nil), "hf://acme/toy/sd/onnx", pipeline())
}

// TestHubWithoutSums: an endpoint that lists names alone tells sums by its redirects.
func TestHubWithoutSums(t *testing.T) {
	h := newHub(t)
	list := h.Revision(false)
	h.Refuse = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, "/api/") {
			return false
		}
		writeJSON(w, list)
		return true
	}
	mustFetch(t, h.store(t, t.TempDir(), nil), "hf://acme/toy", pipeline())

	h.Bytes = func(_, content string) string { return strings.Repeat("x", len(content)) }
	if _, err := h.store(t, t.TempDir(), nil).Fetch(t.Context(), "hf://acme/toy"); !errors.Is(err, errDamaged) {
		t.Errorf("got %v", err)
	}
}

// TestRedirects: no way from https to http, and no way in circles.
func TestRedirects(t *testing.T) {
	req := func(address string) *http.Request {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if err := checkRedirect(req("http://b/"), []*http.Request{req("https://a/")}); err == nil {
		t.Error("from https to http")
	}
	if err := checkRedirect(req("https://b/"), slices.Repeat([]*http.Request{req("https://a/")}, 10)); err == nil {
		t.Error("the eleventh redirect")
	}
	r := req("https://b/")
	r.Header.Set("Referer", "https://a/?Signature=1")
	if err := checkRedirect(r, []*http.Request{req("https://a/")}); err != nil || r.Header.Get("Referer") != "" {
		t.Errorf("got %v, Referer %q", err, r.Header.Get("Referer"))
	}
}
