package modelstore

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestParse(t *testing.T) {
	for in, want := range map[string]struct{ text, name string }{
		"hf://acme/toy":                                  {"hf://acme/toy@main", "toy"},
		"hf://acme/toy@v1.0":                             {"hf://acme/toy@v1.0", "toy"},
		"hf://acme/toy@" + commitA:                       {"hf://acme/toy@" + commitA, "toy"},
		"hf://acme/toy@feature%2Fx/onnx":                 {"hf://acme/toy@feature/x/onnx", "onnx"},
		"hf://acme/toy@refs/pr/12/a/b/":                  {"hf://acme/toy@refs/pr/12/a/b", "b"},
		"hf://acme/toy/sub":                              {"hf://acme/toy@main/sub", "sub"},
		"s3://bucket/models/toy/":                        {"s3://bucket/models/toy", "toy"},
		"s3://bucket":                                    {"s3://bucket", "bucket"},
		"https://user:pw@host/a/toy":                     {"https://host/a/toy/", "toy"},
		"http://host:80/toy.tar.gz?sig=a,b=c":            {"http://host:80/toy.tar.gz", "toy"},
		"https://host/TOY.TGZ":                           {"https://host/TOY.TGZ", "TOY"},
		"https://host/":                                  {"https://host/", ""},
		"hf://toy":                                       {},
		"hf://acme/toy@":                                 {},
		"hf://acme/toy@a..b":                             {},
		"hf://acme/toy@-x":                               {},
		"hf://acme/toy@%2e%2e%2fx":                       {},
		"hf://acme/toy/../x":                             {},
		"hf://../toy":                                    {},
		"hf://acme/to..y":                                {},
		"s3:///x":                                        {},
		"s3://bucket/a/../b":                             {},
		"ftp://host/x":                                   {},
		"/models/toy":                                    {},
		"https:///x":                                     {},
		"https://host/x#y":                               {},
		"https://host/x?y=z":                             {},
		"https://host/x?sig=pw":                          {},
		"https://host/x.tar?sig=pw#y":                    {},
		"https://h\x00st/x":                              {},
		"hf://acme/toy@" + strings.Repeat("x", 300):      {},
		"hf://acme/" + strings.Repeat("x", 97) + "@main": {},
	} {
		src, err := parse(in)
		if (err != nil) != (want.text == "") {
			t.Errorf("%s: %v", in, err)
		} else if err == nil && (src.String() != want.text || Name(in) != want.name) {
			t.Errorf("%s is %s with the name %q", in, src, Name(in))
		}
		if err != nil && (Check(in) == nil || Name(in) != "" || strings.Contains(err.Error(), "pw")) {
			t.Errorf("%s: %v", in, err)
		}
	}
	if Remote("models/tiny-emoji") || !Remote("hf://a/b") {
		t.Error("what is a URL?")
	}
}

func TestNew(t *testing.T) {
	for name, c := range map[string]Config{
		"folder": {}, "STIPPLE_MODEL_CACHE": {}, "HF_ENDPOINT": {Dir: "x", Endpoint: "huggingface.co"}, "https://host": {Dir: "x", Endpoint: "ftp://a"},
		"HF_TOKEN": {Dir: "x", Token: "a\nb"},
	} {
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "a\nb") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestExplain: what a disk says becomes what to do.
func TestExplain(t *testing.T) {
	for _, tt := range []struct {
		err  error
		says string
	}{
		{&fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}, "make room"}, {syscall.EDQUOT, "make room"},
		{&fs.PathError{Op: "mkdir", Path: "x", Err: fs.ErrPermission}, "STIPPLE_MODEL_CACHE"}, {syscall.EROFS, "cannot be written"},
	} {
		if err := explain(tt.err, "/cache"); !errors.Is(err, tt.err) || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), "/cache") {
			t.Errorf("%v: %v", tt.err, err)
		}
	}
}

// FuzzParse: no source leads a file or a request elsewhere.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"hf://acme/toy@refs/pr/1/x", "hf://a/b@%2e%2e", "s3://b/p", "https://u:p@h/x.tar?y", "hf://a/b/../../c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		src, err := parse(s)
		if err != nil {
			return
		}
		if src.path != "" && !fs.ValidPath(src.path) {
			t.Errorf("%q has the path %q", s, src.path)
		}
		store := &Store{config: Config{Dir: "/cache"}, client: &client{}}
		if store.client, err = newClient(Config{}); err != nil {
			t.Fatal(err)
		}
		shelf := store.shelf(src)
		for _, name := range []string{shelf.dir, shelf.reference(src)} {
			if !strings.HasPrefix(name, "/cache/") || strings.Contains(name, "/../") || strings.ContainsRune(name, 0) {
				t.Errorf("%q lies at %q", s, name)
			}
		}
		if src.kind == kindHub && strings.Contains(src.revision, "..") {
			t.Errorf("%q has the revision %q", s, src.revision)
		}
	})
}

// FuzzRevision and its neighbours: whatever a server answers, every file that is picked lies in the model's folder.
func FuzzRevision(f *testing.F) {
	f.Add([]byte(`{"sha":"`+commitA+`","siblings":[{"rfilename":"unet/model.onnx","size":1,"blobId":"x","lfs":{"sha256":"","size":-1}}]}`), "")
	f.Add([]byte(`{"sha":"`+commitA+`","siblings":[{"rfilename":"a/../b"}]}`), "a")
	f.Fuzz(func(t *testing.T, data []byte, folder string) {
		version, files, err := parseRevision(data)
		if err != nil {
			return
		}
		if !commit.MatchString(version) {
			t.Errorf("commit %q", version)
		}
		picked, err := pick(files, folder)
		if err != nil {
			return
		}
		inside(t, picked)
	})
}

func inside(t *testing.T, files []file) {
	t.Helper()
	for _, f := range files {
		if !fs.ValidPath(f.name) || strings.ContainsAny(f.name, "\\\x00") || f.size < -1 || strings.Count(f.name, "/") > 1 {
			t.Errorf("picked %+v", f)
		}
	}
}

func FuzzSums(f *testing.F) {
	f.Add([]byte(sums(map[string]string{"unet/model.onnx": "x"})))
	f.Add([]byte(commitA + " *../x\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		files, err := parseSums(data)
		if err != nil {
			return
		}
		for _, f := range files {
			if !fs.ValidPath(f.name) || len(f.sum.hex) != 64 {
				t.Errorf("read %+v", f)
			}
		}
	})
}

func FuzzHeaders(f *testing.F) {
	f.Add("bytes 5-9/10", "120")
	f.Add("bytes 0-0/*", "Wed, 21 Oct 2015 07:28:00 GMT")
	f.Fuzz(func(t *testing.T, span, wait string) {
		at, size, err := parseContentRange(span)
		if err == nil && (at < 0 || (size >= 0 && size <= at)) {
			t.Errorf("%q is from %d of %d", span, at, size)
		}
		if d := retryAfter(wait); d < 0 || d > mostPatience {
			t.Errorf("%q is %v", wait, d)
		}
	})
}

// FuzzUnpack: nothing that an archive holds is written outside of the folder, or as anything but a file.
func FuzzUnpack(f *testing.F) {
	t := &testing.T{}
	for i, suffix := range []string{".tar", ".tgz", ".zip"} {
		f.Add(i, []byte(pack(t, suffix, map[string]string{"unet/model.onnx": "x", "../unet/model.onnx": "y", "a/unet/w": "z"})))
	}
	f.Fuzz(func(t *testing.T, kind int, data []byte) {
		above := t.TempDir()
		dir, archive := above+"/in", above+"/archive"
		if err := errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(archive, data, 0o644)); err != nil {
			t.Fatal(err)
		}
		err := unpackFile(t.Context(), archive, []string{".tar", ".tgz", ".zip"}[uint(kind)%3], dir)
		var names []string
		walk := fs.WalkDir(os.DirFS(above), ".", func(name string, d fs.DirEntry, err error) error {
			if !d.IsDir() && !d.Type().IsRegular() {
				t.Errorf("%s is a %v", name, d.Type())
			}
			names = append(names, name)
			return err
		})
		if walk != nil {
			t.Fatal(walk)
		}
		for _, name := range names {
			if name != "." && name != "in" && name != "archive" && !strings.HasPrefix(name, "in/") {
				t.Errorf("%s was written (%v)", name, err)
			}
		}
	})
}

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1 kB", 3_400_000_000: "3.4 GB", 7e15: "7e+03 TB"} {
		if got := Bytes(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}

// TestProgressText: what is logged of a long download.
func TestProgressText(t *testing.T) {
	var b bytes.Buffer
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", (Progress{Source: "hf://a/b@main", Done: 5, Total: 10, Files: 2, PerSecond: 2.5e6}).attrs()...)
	for _, want := range []string{"model=hf://a/b@main", "bytes=5", "of=10", `rate="2.5 MB/s"`} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q lacks %q", &b, want)
		}
	}
}
