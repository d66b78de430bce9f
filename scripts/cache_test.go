package scripts_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCacheDir(t *testing.T) {
	h := newHarness(t)
	h.write(t, filepath.Join(h.tree, "scripts", "where.sh"), "#!/bin/sh\nset -eu\n. \"$(dirname -- \"$0\")/lib.sh\"\ncache_dir\n")
	dir := t.TempDir()
	// Nobody can make a folder below a file, whatever the user's rights.
	blocked := filepath.Join(dir, "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	inTree := filepath.Join(h.tree, ".cache")
	for _, tt := range []struct {
		name string
		env  []string
		want string
	}{
		{"named", []string{"STIPPLE_CACHE=" + dir + "/named", "HOME=" + dir}, dir + "/named"},
		{"named, relative to the tree", []string{"STIPPLE_CACHE=own"}, h.tree + "/own"},
		{"XDG", []string{"STIPPLE_CACHE=", "XDG_CACHE_HOME=" + dir + "/xdg", "HOME=" + dir}, dir + "/xdg/stipple"},
		{"relative XDG counts as unset", []string{"STIPPLE_CACHE=", "XDG_CACHE_HOME=xdg", "HOME=" + dir}, dir + "/.cache/stipple"},
		{"home", []string{"STIPPLE_CACHE=", "HOME=" + dir}, dir + "/.cache/stipple"},
		{"no home", []string{"STIPPLE_CACHE="}, inTree},
		{"home cannot be written", []string{"STIPPLE_CACHE=", "HOME=" + blocked}, inTree},
		{"XDG cannot be written", []string{"STIPPLE_CACHE=", "XDG_CACHE_HOME=" + blocked, "HOME=" + dir}, dir + "/.cache/stipple"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h.run(t, tt.env, "where.sh").prints(t, tt.want)
			if _, err := os.Stat(tt.want); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("named and cannot be written", func(t *testing.T) {
		h.run(t, []string{"STIPPLE_CACHE=" + blocked + "/x", "HOME=" + dir}, "where.sh").
			fails(t, "STIPPLE_CACHE", "cannot write to "+blocked)
	})
	t.Run("nowhere", func(t *testing.T) {
		h := newHarness(t)
		h.write(t, filepath.Join(h.tree, "scripts", "where.sh"), "#!/bin/sh\nset -eu\n. \"$(dirname -- \"$0\")/lib.sh\"\ncache_dir\n")
		h.write(t, filepath.Join(h.tree, ".cache"), "a file where the folder would be")
		h.run(t, []string{"STIPPLE_CACHE="}, "where.sh").fails(t, "set STIPPLE_CACHE")
	})
}

// TestEnvWithoutHome holds that the Go tool has folders for its own caches where there is no home.
func TestEnvWithoutHome(t *testing.T) {
	h := newHarness(t)
	got := h.run(t, nil, "env.sh", "go", "env", "GOCACHE", "GOMODCACHE")
	got.prints(t, h.cache+"/go-build\n"+h.cache+"/go-mod")

	home := t.TempDir()
	got = h.run(t, []string{"HOME=" + home}, "env.sh", "go", "env", "GOCACHE", "GOMODCACHE")
	if got.code != 0 || strings.Contains(got.stdout, h.cache) {
		t.Errorf("with a home, the Go tool's caches are %q, want its own; %s", got.stdout, got.stderr)
	}
}

func TestEnvWithoutGo(t *testing.T) {
	h := newHarness(t)
	if err := os.Remove(filepath.Join(h.bin, "go")); err != nil {
		t.Fatal(err)
	}
	h.run(t, nil, "env.sh", "true").fails(t, "no Go in PATH")
}
