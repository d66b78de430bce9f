package worker

import (
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
func (r *running) get(path string) string {
	r.t.Helper()
	addr := serving.FindStringSubmatch(r.log.String())
	if addr == nil {
		r.t.Fatalf("the worker serves nothing:\n%s", r.log)
	}
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, "http://"+addr[1]+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Accept", "application/openmetrics-text; version=1.0.0") // with exemplars
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(text)
}

func (r *running) metricsPage() string {
	r.t.Helper()
	return r.get("/metrics")
}

// metric returns the value of the one series whose line begins with start; "" if there is none.
func (r *running) metric(start string) string {
	r.t.Helper()
	for line := range strings.Lines(r.metricsPage()) {
		if strings.HasPrefix(line, start) {
			line, _, _ = strings.Cut(line, " # ")
			return strings.TrimSpace(line[strings.LastIndex(strings.TrimSpace(line), " ")+1:])
		}
	}
	return ""
}
