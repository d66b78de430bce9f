package modelstore

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/stipple-ai/stipple/internal/local/hubd"
)

func writeJSON(w io.Writer, v any) {
	if err := json.NewEncoder(w).Encode(v); err != nil {
		panic(err)
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// sums are files as sha256sum prints them.
func sums(files map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(&b, "%s  ./%s\n", sha(files[name]), name)
	}
	return b.String()
}

// web serves files by their paths.
func web(t *testing.T, files map[string]string) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		content, ok := files[strings.TrimPrefix(r.URL.Path, "/")]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("ETag", `"`+sha(content)[:16]+`"`)
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(content))
	}))
	t.Cleanup(s.Close)
	return s
}

func quick(dir string) Config { return Config{Dir: dir, pause: time.Millisecond} }

func TestWebFolder(t *testing.T) {
	files := map[string]string{"m/SHA256SUMS": sums(pipeline()) + sha("x") + "  unused.bin\n"}
	for name, content := range pipeline() {
		files["m/"+name] = content
	}
	server := web(t, files)
	s := open(t, quick(t.TempDir()))
	first := mustFetch(t, s, server.URL+"/m", pipeline())

	files["m/unet/model.onnx"] = "changed, and its sum is not"
	if again := mustFetch(t, s, server.URL+"/m/", pipeline()); again != first {
		t.Errorf("got %s, want %s", again, first)
	}
	delete(files, "m/SHA256SUMS")
	if _, err := s.Fetch(t.Context(), server.URL+"/m"); err == nil || !strings.Contains(err.Error(), "sha256sum >") {
		t.Errorf("got %v", err)
	}
	files["m/SHA256SUMS"] = sums(pipeline()) // last: requests for the other files may outlive the one that failed
	if _, err := open(t, quick(t.TempDir())).Fetch(t.Context(), server.URL+"/m/"); err == nil || !strings.Contains(err.Error(), "unet/model.onnx: damaged") {
		t.Errorf("got %v", err)
	}
}

// pack makes an archive of files, in the order of their names.
func pack(t *testing.T, suffix string, files map[string]string, extra ...tar.Header) string {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser = nopCloser{&out}
	switch suffix {
	case ".zip":
		z := zip.NewWriter(&out)
		for _, name := range slices.Sorted(maps.Keys(files)) {
			f, err := z.Create(name)
			if err != nil {
				t.Fatal(err)
			}
			f.Write([]byte(files[name]))
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return out.String()
	case ".tar.gz", ".tgz":
		w = gzip.NewWriter(&out)
	case ".tar.zst":
		w, _ = zstd.NewWriter(&out)
	}
	a := tar.NewWriter(w)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := a.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(files[name])), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		a.Write([]byte(files[name]))
	}
	for _, h := range extra {
		if err := a.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
	}
	a.Close()
	w.Close()
	return out.String()
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// in is files in a folder.
func in(folder string, files map[string]string) map[string]string {
	all := map[string]string{}
	for name, content := range files {
		all[folder+name] = content
	}
	return all
}

func TestWebArchive(t *testing.T) {
	for _, suffix := range archives {
		for _, folder := range []string{"", "toy-1.0/", "./"} {
			if suffix == ".zip" && folder == "./" {
				continue
			}
			all := in(folder, pipeline())
			maps.Copy(all, in(folder, beside()))
			all[folder+"SHA256SUMS"] = sums(pipeline())
			files := map[string]string{"toy" + suffix: pack(t, suffix, all)}
			want := pipeline()
			want["SHA256SUMS"] = sums(pipeline())
			server := web(t, files)
			s := open(t, quick(t.TempDir()))
			dir := mustFetch(t, s, server.URL+"/toy"+suffix+"?X-Amz-Signature=secret", want)
			if strings.Contains(dir, "secret") {
				t.Errorf("the folder %s shows the signature", dir)
			}
			if again := mustFetch(t, s, server.URL+"/toy"+suffix, want); again != dir {
				t.Errorf("%s: downloaded again to %s", suffix, again)
			}
			if left, _ := filepath.Glob(filepath.Join(filepath.Dir(dir), "partial", "*")); len(left) > 0 {
				t.Errorf("left over: %q", left)
			}
		}
	}
}

// TestWebArchiveResumes: also where the server takes no ranges, it comes whole.
func TestWebArchiveResumes(t *testing.T) {
	for name, ranges := range map[string]bool{"ranges": true, "none": false} {
		t.Run(name, func(t *testing.T) {
			content := pack(t, ".tar", pipeline())
			var asked atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !ranges {
					r.Header.Del("Range")
				}
				out := w
				if asked.Add(1) == 2 {
					out = hubd.CutAfter(w, 3000)
				}
				w.Header().Set("ETag", `"1"`)
				http.ServeContent(out, r, "", time.Time{}, strings.NewReader(content))
			}))
			defer server.Close()
			mustFetch(t, open(t, quick(t.TempDir())), server.URL+"/a.tar", pipeline())
			if n := asked.Load(); n != 3 {
				t.Errorf("asked %d times, want 3", n)
			}
		})
	}
}

func TestArchiveRefuses(t *testing.T) {
	changed := func(change func(map[string]string)) map[string]string {
		all := pipeline()
		change(all)
		return all
	}
	for name, tt := range map[string]struct {
		suffix, content string
		says            string
	}{
		"leads elsewhere":  {".tar", pack(t, ".tar", changed(func(m map[string]string) { m["../unet/evil"] = "x" })), "../unet/evil"},
		"zip elsewhere":    {".zip", pack(t, ".zip", changed(func(m map[string]string) { m["unet/../../evil"] = "x" })), "evil"},
		"absolute":         {".tgz", pack(t, ".tgz", changed(func(m map[string]string) { m["/etc/evil"] = "x" })), "/etc/evil"},
		"link":             {".tar", pack(t, ".tar", pipeline(), tar.Header{Name: "unet/weights.pb", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}), "is a link"},
		"hard link":        {".tar", pack(t, ".tar", pipeline(), tar.Header{Name: "unet/weights.pb", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"}), "is a link"},
		"twice":            {".tar", pack(t, ".tar", pipeline(), tar.Header{Name: "unet/config.json", Typeflag: tar.TypeReg}), "exists"},
		"no model":         {".tar", pack(t, ".tar", map[string]string{"a/b": "c"}), "no model_index.json"},
		"two models":       {".tar", pack(t, ".tar", map[string]string{"a/model_index.json": "{}", "b/model_index.json": "{}"}), "2 models"},
		"not an archive":   {".tar.gz", strings.Repeat("no gzip", 100), "unpacking it"},
		"no zip":           {".zip", strings.Repeat("no zip", 100), "unpacking it"},
		"cut short":        {".tar", pack(t, ".tar", pipeline())[:9000], "unpacking it"},
		"other than sums":  {".tar", pack(t, ".tar", changed(func(m map[string]string) { m["SHA256SUMS"] = sums(m); m["unet/model.onnx"] = "other" })), "unet/model.onnx, by its SHA256SUMS: damaged"},
		"less than sums":   {".tar", pack(t, ".tar", changed(func(m map[string]string) { m["SHA256SUMS"] = sums(m); delete(m, "unet/config.json") })), "it is missing"},
		"sums are no sums": {".tar", pack(t, ".tar", changed(func(m map[string]string) { m["SHA256SUMS"] = "hello\n" })), "line 1"},
	} {
		t.Run(name, func(t *testing.T) {
			server := web(t, map[string]string{"toy" + tt.suffix: tt.content})
			cache := t.TempDir()
			_, err := open(t, quick(cache)).Fetch(t.Context(), server.URL+"/toy"+tt.suffix)
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want %q", err, tt.says)
			}
			filepath.WalkDir(filepath.Dir(cache), func(path string, _ os.DirEntry, _ error) error {
				if strings.HasSuffix(path, "evil") {
					t.Errorf("%s was written", path)
				}
				return nil
			})
		})
	}
}
