package worker

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// proxy puts a handler in front of the store: it may answer by itself or pass the request on.
func proxy(t *testing.T, handle func(w http.ResponseWriter, r *http.Request, pass http.Handler)) (endpoint string) {
	t.Helper()
	target, err := url.Parse(shared.store.Endpoint())
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	pass := &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // what was signed
	}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handle(w, r, pass) }))
	t.Cleanup(func() {
		server.Close()
		transport.CloseIdleConnections()
	})
	return server.URL
}

var serving = regexp.MustCompile(`serving /healthz.*addr=(\S+)`)

// get reads what the worker serves, of one that was given an HTTPAddr.
func (r *running) get(path string) (status int, body string) {
	r.t.Helper()
	addr := serving.FindStringSubmatch(r.log.String())
	if addr == nil {
		r.t.Fatalf("the worker serves nothing:\n%s", r.log)
	}
	res, err := http.Get(fmt.Sprintf("http://%s%s", addr[1], path))
	if err != nil {
		r.t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// metric returns the value of the one series whose line begins with start; "" if there is none.
func (r *running) metric(start string) string {
	r.t.Helper()
	_, text := r.get("/metrics")
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, start) {
			return line[strings.LastIndex(line, " ")+1 : len(line)-1]
		}
	}
	return ""
}
