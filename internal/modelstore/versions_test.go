package modelstore

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// listed is what Versions says, by the versions' names.
func listed(t *testing.T, s *Store) map[string]Version {
	t.Helper()
	versions, err := s.Versions()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]Version{}
	for _, v := range versions {
		all[filepath.Base(v.Dir)] = v
	}
	return all
}

// TestVersions: what was downloaded is listed with its names and size, and with when it was last asked for; what is not of the cache is not.
func TestVersions(t *testing.T) {
	h, cache := newHub(t), t.TempDir()
	s := h.store(t, cache, nil)
	if all := listed(t, s); len(all) > 0 {
		t.Errorf("an empty cache has %v", all)
	}
	first := mustFetch(t, s, "hf://acme/toy", pipeline())
	mustFetch(t, s, "hf://acme/toy@refs/pr/7", pipeline())
	long := time.Now().Add(-1000 * time.Hour).Truncate(time.Second)
	if err := os.Chtimes(first, long, long); err != nil {
		t.Fatal(err)
	}
	h.Commit, h.Cut["unet/model.onnx_data"] = commitB, 50_000
	h.Refuse = func(w http.ResponseWriter, r *http.Request) bool { // going on
		if r.Header.Get("Range") == "" {
			return false
		}
		w.WriteHeader(http.StatusForbidden)
		return true
	}
	if _, err := h.store(t, cache, nil).Fetch(t.Context(), "hf://acme/toy"); err == nil {
		t.Fatal("a download that was broken off has succeeded")
	}
	write(t, filepath.Join(cache, "hf-acme-toy", "notes", "mine"), "mine")

	all := listed(t, s)
	size := int64(0)
	for _, content := range pipeline() {
		size += int64(len(content))
	}
	whole, part := all[commitA], all[commitB]
	if len(all) != 2 || whole.Dir != first || whole.Bytes != size || !whole.Used.Equal(long) || whole.Partial || !slices.Equal(whole.Names, []string{"main", "refs/pr/7"}) {
		t.Errorf("got %+v", all)
	}
	if !part.Partial || part.Bytes < 50_000 || time.Since(part.Used) > time.Hour || part.Names != nil {
		t.Errorf("of what was broken off: %+v", part)
	}
	offline := h.store(t, cache, func(c *Config) { c.Offline = true })
	mustFetch(t, offline, "hf://acme/toy", pipeline())
	if used := listed(t, s)[commitA].Used; time.Since(used) > time.Hour {
		t.Errorf("it was fetched now, and is said to be used at %v", used)
	}
	for source, want := range map[string]string{"hf://acme/toy": first, "hf://acme/toy@" + commitA: first, "hf://acme/toy@v9": "", "hf://acme/other": ""} {
		if dir, err := s.Cached(source); err != nil || dir != want {
			t.Errorf("%s is at %q (%v), want %q", source, dir, err, want)
		}
	}
}

// TestRemove: a version goes whole, unless it is used or downloaded, and comes back when it is asked for.
func TestRemove(t *testing.T) {
	h, cache := newHub(t), t.TempDir()
	s := h.store(t, cache, nil)
	dir := mustFetch(t, s, "hf://acme/toy", pipeline())
	before := listed(t, s)[commitA]
	later := before.Used.Add(time.Second)
	if err := os.Chtimes(dir, later, later); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(t.Context(), before); !errors.Is(err, ErrUsed) {
		t.Errorf("of one that was used since it was listed: %v", err)
	}
	v := listed(t, s)[commitA]
	unlock, err := s.lock(t.Context(), shelf{dir: filepath.Dir(dir), logger: s.config.Logger})
	if err != nil {
		t.Fatal(err)
	}
	waited, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.Remove(waited, v); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while somebody downloads: %v", err)
	}
	unlock()
	same(t, dir, pipeline())
	if err := s.Remove(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	if all := listed(t, s); len(all) > 0 {
		t.Errorf("left over: %v", all)
	}
	offline := h.store(t, cache, func(c *Config) { c.Offline = true })
	if _, err := offline.Fetch(t.Context(), "hf://acme/toy"); err == nil || !strings.Contains(err.Error(), "HF_HUB_OFFLINE") {
		t.Errorf("got %v", err)
	}
	mustFetch(t, s, "hf://acme/toy", pipeline())
}
