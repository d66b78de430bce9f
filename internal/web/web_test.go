package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"image"
	_ "image/jpeg" // thumbnails are
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stipple-ai/stipple/internal/web"
)

var listenAt = flag.String("listen", "", "serve a page of a system in memory at this address until Ctrl-C, for those who work on the assets")

// TestPage serves the page over a real connection. With -listen it goes on serving:
//
//	go test ./internal/web -run TestPage -listen 127.0.0.1:8081 -timeout 0
func TestPage(t *testing.T) {
	w := newWorld()
	w.land("monday", 24)
	server := must(web.New(w.config()))
	at := "127.0.0.1:0"
	if *listenAt != "" {
		at = *listenAt
	}
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	if *listenAt != "" {
		ctx, stop = signal.NotifyContext(t.Context(), os.Interrupt)
		t.Logf("the page is at http://%s", l.Addr())
	}
	defer stop()
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, l) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + l.Addr().String() + "/")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || resp.StatusCode != http.StatusOK || !bytes.Contains(bytes.ToLower(body), []byte("<!doctype html>")) {
		t.Errorf("%s, %v:\n%.200s", resp.Status, err, body)
	}
	if *listenAt != "" {
		<-ctx.Done()
	}
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// ask sends a request to a page of the world as a browser would that has it open.
func ask(c web.Config, method, target, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://localhost:8081"+target, strings.NewReader(body))
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
			continue
		}
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	must(web.New(c)).Handler().ServeHTTP(w, r)
	return w
}

// read decodes an answer.
func read[T any](t *testing.T, w *httptest.ResponseRecorder) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil || w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("status %d, %v:\n%s", w.Code, err, w.Body)
	}
	return v
}

func TestReading(t *testing.T) {
	w := newWorld()
	w.land("monday", 5)
	w.letters = []web.Letter{{ID: "4", Job: "monday/9"}}
	c := w.config()

	st := read[web.State](t, ask(c, "GET", "/api/state", ""))
	if st.ReadOnly || st.Version != "test" || len(st.Queues) != 1 || st.Problems == nil {
		t.Errorf("state %+v", st)
	}
	c.Orders, c.Controls = nil, nil
	if st = read[web.State](t, ask(c, "GET", "/api/state", "")); !st.ReadOnly {
		t.Error("a page that cannot write does not say so")
	}
	if b := read[web.Batch](t, ask(c, "GET", "/api/batches/monday", "")); b.Images != 5 {
		t.Errorf("batch %+v", b)
	}
	jobs := func(target string) (ids string, next string) {
		p := read[web.ImagePage](t, ask(c, "GET", target, ""))
		for _, i := range p.Images {
			ids += i.Job + " "
		}
		return strings.TrimSpace(ids), p.Next
	}
	for target, want := range map[string][2]string{
		"/api/batches/monday/images?limit=2":         {"monday/0 monday/1", "2"},
		"/api/batches/monday/images?limit=2&after=4": {"monday/4", ""},
		"/api/batches/monday/images?limit=2&from=3":  {"monday/3 monday/4", ""},
		"/api/batches/monday/images?order=new":       {"monday/4 monday/3 monday/2 monday/1 monday/0", ""},
		"/api/images?limit=3":                        {"monday/4 monday/3 monday/2", "3"},
		"/api/images?limit=3&after=3":                {"monday/1 monday/0", ""},
	} {
		ids, next := jobs(target)
		if diff := cmp.Diff(want, [2]string{ids, next}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", target, diff)
		}
	}
	if d := read[web.Details](t, ask(c, "GET", "/api/jobs/monday/3", "")); d.Command == "" || len(d.Images) != 1 {
		t.Errorf("details %+v", d)
	}
	if p := read[web.LetterPage](t, ask(c, "GET", "/api/dead?limit=1", "")); p.Count != 1 || p.Dead[0].ID != "4" {
		t.Errorf("letters %+v", p)
	}
	// A prompt is text, whoever takes the answer for HTML.
	if body := ask(c, "GET", "/api/images", "").Body.String(); strings.ContainsAny(body, "<>") {
		t.Errorf("an answer holds a prompt unescaped:\n%s", body)
	}
}

func TestReadingRefuses(t *testing.T) {
	w := newWorld()
	w.land("monday", 1)
	for target, want := range map[string]int{
		"/api/batches/monday/images?limit=0":        http.StatusBadRequest,
		"/api/batches/monday/images?limit=1001":     http.StatusBadRequest,
		"/api/batches/monday/images?after=-1":       http.StatusBadRequest,
		"/api/batches/monday/images?after=007":      http.StatusBadRequest,
		"/api/batches/monday/images?order=old":      http.StatusBadRequest,
		"/api/batches/monday/images?from=1&after=1": http.StatusBadRequest,
		"/api/batches/monday/images?from=x":         http.StatusBadRequest,
		"/api/batches/mon.day":                      http.StatusBadRequest,
		"/api/batches/other":                        http.StatusNotFound,
		"/api/jobs/monday/-1":                       http.StatusBadRequest,
		"/api/jobs/monday/01":                       http.StatusBadRequest,
		"/api/jobs/monday/9":                        http.StatusNotFound,
		"/api/other":                                http.StatusNotFound,
		"/other":                                    http.StatusNotFound,
		"/assets/..%2fweb.go":                       http.StatusNotFound,
		"/image/monday/00000000-0123456789abcdef":   http.StatusNotFound,
		"/image/..%2f..%2fetc/passwd":               http.StatusNotFound,
		"/thumb/monday/x.png?w=0":                   http.StatusBadRequest,
		"/thumb/monday/x.png?w=256":                 http.StatusNotFound,
		"/api/events?x=":                            http.StatusBadRequest, // by its Last-Event-ID
	} {
		got := ask(w.config(), "GET", target, "", "Last-Event-ID", "x")
		var f struct {
			Error string `json:"error"`
		}
		if err := json.Unmarshal(got.Body.Bytes(), &f); got.Code != want || err != nil || f.Error == "" {
			t.Errorf("%s: status %d, want %d; %v:\n%s", target, got.Code, want, err, got.Body)
		}
	}
}

func TestAssets(t *testing.T) {
	c := newWorld().config()
	page := ask(c, "GET", "/", "")
	tag := page.Header().Get("ETag")
	if page.Code != http.StatusOK || tag == "" || page.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("status %d, tag %q", page.Code, tag)
	}
	if again := ask(c, "GET", "/", "", "If-None-Match", tag); again.Code != http.StatusNotModified || again.Body.Len() != 0 {
		t.Errorf("status %d for a page that the browser has", again.Code)
	}
	if head := ask(c, "HEAD", "/", ""); head.Code != http.StatusOK || head.Body.Len() != 0 {
		t.Errorf("HEAD: status %d, %d bytes", head.Code, head.Body.Len())
	}
}

func TestPictures(t *testing.T) {
	w := newWorld()
	w.land("monday", 1)
	key := w.images[0].Key
	w.files["monday/small.png"] = drawing(20, 10, 1)
	w.files["monday/other.html"] = []byte("<script>alert(1)</script>")
	w.files["monday/damaged.png"] = drawing(640, 480, 1)[:60]
	w.files["monday/empty.png"] = []byte{}
	server := must(web.New(w.config())).Handler()
	get := func(target string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, "http://localhost"+target, nil)
		rec := httptest.NewRecorder()
		server.ServeHTTP(rec, r)
		return rec
	}
	full := get("/image/" + key)
	if full.Code != http.StatusOK || full.Header().Get("Content-Type") != "image/png" || !strings.Contains(full.Header().Get("Cache-Control"), "immutable") {
		t.Errorf("image: status %d, %v", full.Code, full.Header())
	}
	if i, format, err := image.Decode(full.Body); err != nil || format != "png" || i.Bounds().Dx() != 640 {
		t.Errorf("image: %s, %v", format, err)
	}
	before := w.reads
	for range 3 {
		small := get("/thumb/" + key + "?w=100")
		i, format, err := image.Decode(small.Body)
		if err != nil || format != "jpeg" || i.Bounds() != image.Rect(0, 0, 128, 96) {
			t.Fatalf("thumbnail: status %d, %s, %v", small.Code, format, err)
		}
	}
	if w.reads != before+1 {
		t.Errorf("three thumbnails took %d reads of the picture, want 1", w.reads-before)
	}
	if small := get("/thumb/monday/small.png?w=64"); small.Header().Get("Content-Type") != "image/png" || !bytes.Equal(small.Body.Bytes(), w.files["monday/small.png"]) {
		t.Errorf("a picture that is small enough is not served as it is: %v", small.Header())
	}
	for target, want := range map[string]int{
		"/image/monday/other.html":  http.StatusUnsupportedMediaType,
		"/thumb/monday/other.html":  http.StatusUnsupportedMediaType,
		"/thumb/monday/damaged.png": http.StatusUnsupportedMediaType,
		"/image/monday/empty.png":   http.StatusBadGateway,
		"/image/monday/none.png":    http.StatusNotFound,
	} {
		if got := get(target); got.Code != want || got.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: status %d, want %d; %v", target, got.Code, want, got.Header())
		}
	}
}
