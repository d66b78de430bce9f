package deploy_test

import (
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// standard are variables that the programs take by their libraries' rules, and so not as flags.
var standard = regexp.MustCompile(`^(OTEL_[A-Z_]+|AWS_(ENDPOINT_URL(_S3)?|REGION|ACCESS_KEY_ID|SECRET_ACCESS_KEY|CA_BUNDLE)|ORT_DISABLE_TELEMETRY|LD_LIBRARY_PATH|NVIDIA_DRIVER_CAPABILITIES)$`)

// TestSettings holds that each program knows every setting it is given: a misspelt one would be silently ignored.
func TestSettings(t *testing.T) {
	services := compose(t).Services
	for _, tt := range []struct {
		program string
		args    []string
		env     []map[string]string
	}{
		{"worker", nil, []map[string]string{imageEnv(t, "worker"), imageEnv(t, "worker-cuda"), services["worker"].Environment}},
		{"enqueue", []string{"setup"}, []map[string]string{services["setup"].Environment}},
		{"enqueue", nil, []map[string]string{services["enqueue"].Environment}},
		{"enqueue", []string{"serve"}, []map[string]string{services["page"].Environment}},
	} {
		t.Run(strings.Join(append([]string{tt.program}, tt.args...), " "), func(t *testing.T) {
			known := settings(t, tt.program, tt.args...)
			for _, env := range tt.env {
				for _, name := range slices.Sorted(maps.Keys(env)) {
					if !known[name] && !standard.MatchString(name) {
						t.Errorf("%s is no setting of %s; it knows %q", name, tt.program, slices.Sorted(maps.Keys(known)))
					}
				}
			}
		})
	}
}

// programs are those that were built, by name; TestMain removes their folder.
var programs = struct {
	sync.Mutex
	dir   string
	built map[string]string
	help  map[string]string // by program and arguments
}{built: map[string]string{}, help: map[string]string{}}

// built builds a program, once, and returns its file.
func built(t *testing.T, program string) string {
	t.Helper()
	programs.Lock()
	defer programs.Unlock()
	if file := programs.built[program]; file != "" {
		return file
	}
	dir := filepath.Join("..", "cmd", program)
	// Opening the sources tells `go test` that a remembered result is stale when one of them changes.
	if err := fs.WalkDir(os.DirFS(dir), ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || path == "." {
			return err
		}
		_, err = os.Stat(filepath.Join(dir, path))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if programs.dir == "" {
		var err error
		if programs.dir, err = os.MkdirTemp("", "stipple-programs-"); err != nil { //nolint:usetesting // it outlives the test
			t.Fatal(err)
		}
	}
	file := filepath.Join(programs.dir, program)
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", file, "./"+dir).CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", program, err, out)
	}
	programs.built[program] = file
	return file
}

// help returns what a program's -h says; it is asked once.
func help(t *testing.T, program string, args ...string) string {
	t.Helper()
	binary, key := built(t, program), strings.Join(append([]string{program}, args...), " ")
	programs.Lock()
	defer programs.Unlock()
	if text, ok := programs.help[key]; ok {
		return text
	}
	text, err := exec.CommandContext(t.Context(), binary, append(slices.Clone(args), "-h")...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s -h: %v\n%s", key, err, text)
	}
	programs.help[key] = string(text)
	return string(text)
}

// settings returns the variables that a program's -h names.
func settings(t *testing.T, program string, args ...string) map[string]bool {
	t.Helper()
	text, known := help(t, program, args...), map[string]bool{}
	for _, name := range regexp.MustCompile(`\[\$([A-Z0-9_]+)\]`).FindAllStringSubmatch(text, -1) {
		known[name[1]] = true
	}
	if len(known) < 5 {
		t.Fatalf("%s -h names %d variables:\n%s", program, len(known), text)
	}
	return known
}
