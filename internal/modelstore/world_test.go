package modelstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/stipple-ai/stipple/internal/local/hubd"
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

var commitA, commitB = strings.Repeat("a", 40), strings.Repeat("b", 40)

// fakeHub is a hub of one repository, acme/toy, that holds a pipeline and files beside it.
type fakeHub struct{ *hubd.Hub }

func newHub(t *testing.T) *fakeHub {
	t.Helper()
	files := pipeline()
	maps.Copy(files, beside())
	h := &fakeHub{hubd.Start(commitA, files)}
	t.Cleanup(h.Stop)
	return h
}

// store returns a store on dir that asks h.
func (h *fakeHub) store(t *testing.T, dir string, change func(*Config)) *Store {
	t.Helper()
	c := Config{Dir: dir, Endpoint: h.URL(), Token: h.Token, pause: time.Millisecond, patience: 5 * time.Second}
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
