package scripts_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

const library = "stands in for the library"

// fetchHarness is a harness whose fetch-ort.sh takes the library above for the pinned one, and whose pip
// "downloads" it. Each download leaves a line in the file it returns.
func fetchHarness(t *testing.T) (h harness, downloads string) {
	t.Helper()
	h = newHarness(t)
	sum := sha256.Sum256([]byte(library))
	script := filepath.Join(h.tree, "scripts", "fetch-ort.sh")
	data, err := os.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	pins := regexp.MustCompile(`\b(sum|npm_sum)=[0-9a-f]{64}`)
	if n := len(pins.FindAll(data, -1)); n != 6 {
		t.Fatalf("fetch-ort.sh pins %d libraries, want two for each of three platforms", n)
	}
	h.write(t, script, pins.ReplaceAllString(string(data), "${1}="+hex.EncodeToString(sum[:])))
	h.stub(t, "uname", `case $1 in -s) echo Linux ;; *) echo x86_64 ;; esac`)

	downloads = filepath.Join(t.TempDir(), "downloads")
	h.stub(t, "python3", `
[ "$3" = --version ] && exit 0
echo download >>`+downloads+`
while [ "$1" != --dest ]; do shift; done
sleep 0.1
echo >"$2/onnxruntime-1.28.0-cp312-cp312-manylinux_2_27_x86_64.whl"
`)
	h.stub(t, "unzip", `printf '`+library+`'`)
	return h, downloads
}

func (h harness) installed(version string) string {
	return filepath.Join(h.cache, "onnxruntime", version+"-Linux-x86_64", "libonnxruntime.so.1.28.0")
}

const (
	release = "1.28.0"
	preview = "1.28.0-dev.20260624-ba45260eed"
)

// installsNothing holds that no library was left in the cache, whole or in part.
func (h harness) installsNothing(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(h.cache, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && filepath.Base(path) != ".lock" {
			t.Errorf("left behind: %s", path)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}

func lines(t *testing.T, file string) int {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.Count(string(data), "\n")
}

func content(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestFetchOnce(t *testing.T) {
	h, downloads := fetchHarness(t)
	for range 2 {
		h.run(t, nil, "fetch-ort.sh").prints(t, h.installed(release))
	}
	if got := content(t, h.installed(release)); got != library {
		t.Errorf("the library holds %q", got)
	}
	if n := lines(t, downloads); n != 1 {
		t.Errorf("%d downloads, want 1", n)
	}
}

func TestFetchAtOnce(t *testing.T) {
	h, downloads := fetchHarness(t)
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() { h.run(t, nil, "fetch-ort.sh").prints(t, h.installed(release)) })
	}
	wg.Wait()
	if got := content(t, h.installed(release)); got != library {
		t.Errorf("the library holds %q", got)
	}
	// Without flock, as on macOS, each run may fetch for itself.
	if _, err := exec.LookPath("flock"); err == nil && lines(t, downloads) != 1 {
		t.Errorf("%d downloads, want 1", lines(t, downloads))
	}
}

func TestFetchThroughNPM(t *testing.T) {
	h, downloads := fetchHarness(t)
	h.stub(t, "python3", "exit 1")
	h.stub(t, "npm", `
echo download >>`+downloads+`
mkdir -p package/bin/napi-v6/linux/x64
printf '`+library+`' >package/bin/napi-v6/linux/x64/libonnxruntime.so.1
tar -czf onnxruntime-node-`+preview+`.tgz package
`)
	h.stub(t, "gzip", `exec `+lookPath(t, "gzip")+` "$@"`)
	for range 2 {
		h.run(t, nil, "fetch-ort.sh").prints(t, h.installed(preview))
	}
	if n := lines(t, downloads); n != 1 {
		t.Errorf("%d downloads, want 1", n)
	}
}

func lookPath(t *testing.T, tool string) string {
	t.Helper()
	path, err := exec.LookPath(tool)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFetchFailures(t *testing.T) {
	for _, tt := range []struct {
		name  string
		stubs map[string]string
		says  []string
	}{
		{"no network", map[string]string{"python3": `[ "$3" = --version ] || { echo "no route to host" >&2; exit 1; }`},
			[]string{"no route to host", "could not be fetched", "set ONNXRUNTIME_LIB"}},
		{"neither pip nor npm", map[string]string{"python3": "exit 127"},
			[]string{"pip or npm", "set ONNXRUNTIME_LIB"}},
		{"other content", map[string]string{"unzip": "printf 'not it'"},
			[]string{"SHA-256", "nothing was installed"}},
		{"archive broken off", map[string]string{"unzip": "printf 'half'; exit 3"},
			[]string{"could not be fetched"}},
		{"disk full", map[string]string{"df": `printf 'Filesystem 1024-blocks Used Available\n/dev/x 9 9 3000\n'`},
			[]string{"2 MB free", "STIPPLE_CACHE"}},
		{"other system", map[string]string{"uname": `case $1 in -s) echo Plan9 ;; *) echo mips ;; esac`},
			[]string{"Plan9-mips", "set ONNXRUNTIME_LIB"}},
		{"musl", map[string]string{"ldd": "echo 'musl libc (x86_64)' >&2; exit 1"},
			[]string{"glibc", "set ONNXRUNTIME_LIB"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, _ := fetchHarness(t)
			for tool, body := range tt.stubs {
				h.stub(t, tool, body)
			}
			h.run(t, nil, "fetch-ort.sh", "--into", filepath.Join(h.tree, "bin")).fails(t, tt.says...)
			h.installsNothing(t)
		})
	}
}

func TestFetchGiven(t *testing.T) {
	h, downloads := fetchHarness(t)
	own := filepath.Join(t.TempDir(), "own.so")
	env := []string{"ONNXRUNTIME_LIB=" + own}
	h.run(t, env, "fetch-ort.sh").fails(t, "ONNXRUNTIME_LIB", own)

	h.write(t, own, "my own build")
	bin := filepath.Join(h.tree, "bin")
	h.run(t, env, "fetch-ort.sh", "--into", bin).prints(t, own)
	if target, err := os.Readlink(filepath.Join(bin, "libonnxruntime.so")); err != nil || target != own {
		t.Errorf("the binaries find %q, %v, want the library that was given", target, err)
	}
	if n := lines(t, downloads); n != 0 {
		t.Errorf("%d downloads, want none", n)
	}
}

func TestFetchInto(t *testing.T) {
	h, _ := fetchHarness(t)
	bin := filepath.Join(h.tree, "bin")
	for range 2 {
		h.run(t, nil, "fetch-ort.sh", "--into", bin).prints(t, h.installed(release))
	}
	// The folder can be copied elsewhere: nothing in it leads out of it.
	if target, err := os.Readlink(filepath.Join(bin, "libonnxruntime.so")); err != nil || target != "libonnxruntime.so.1.28.0" {
		t.Errorf("libonnxruntime.so leads to %q, %v", target, err)
	}
	if got := content(t, filepath.Join(bin, "libonnxruntime.so")); got != library {
		t.Errorf("the binaries find %q", got)
	}
	entries, err := os.ReadDir(bin)
	if err != nil || len(entries) != 2 {
		t.Errorf("%d files beside the binaries, %v, want the library and its short name", len(entries), err)
	}
}
