package doctor

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/stipple-ai/stipple/internal/local/natsd"
	"github.com/stipple-ai/stipple/internal/queue"
)

// proxy stands before the store; serve answers, or passes on. It returns its address.
func proxy(t *testing.T, serve func(w http.ResponseWriter, r *http.Request, pass http.Handler)) string {
	t.Helper()
	target, err := url.Parse(shared.store.Endpoint())
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	pass := &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host }}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serve(w, r, pass) }))
	t.Cleanup(func() {
		s.Close()
		transport.CloseIdleConnections()
	})
	return s.URL
}

// forbidding refuses requests for objects by these methods.
func forbidding(methods ...string) func(*testing.T, *Config) {
	return func(t *testing.T, c *Config) {
		c.Store.Endpoint = proxy(t, func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
			if slices.Contains(methods, r.Method) && strings.Contains(r.URL.Path, ".probe/") {
				w.Header().Set("Content-Type", "application/xml")
				w.WriteHeader(http.StatusForbidden)
				if r.Method != http.MethodHead {
					io.WriteString(w, `<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>`)
				}
				return
			}
			pass.ServeHTTP(w, r)
		})
	}
}

// restricted is a broker whose worker may not publish results.
func restricted(t *testing.T, c Config) string {
	t.Helper()
	s, err := natsd.Start(natsd.Options{Configure: func(o *server.Options) {
		o.Users = []*server.User{{Username: "admin", Password: "a"}, {Username: "worker", Password: "w",
			Permissions: &server.Permissions{Publish: &server.SubjectPermission{Deny: []string{c.Queue.Prefix + ".results.>"}}}}}
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	c.Queue.URL = strings.Replace(s.URL(), "//", "//admin:a@", 1)
	setUp(t, c)
	return strings.Replace(s.URL(), "//", "//worker:w@", 1)
}

// registered puts another model under the name.
func registered(t *testing.T, c *Config) {
	client := setUp(t, *c)
	err := client.RegisterModel(t.Context(), queue.Model{Name: "sd15", Digest: "another", Limits: queue.ModelLimits{SizeMultiple: 8, MaxWidth: 64, MaxHeight: 64}}, false)
	if err != nil {
		t.Fatal(err)
	}
}

// answer is a network in which every server answers with a status.
type answer int

func (a answer) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Body.Close(); err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: int(a), Status: http.StatusText(int(a)), Header: http.Header{}, Body: http.NoBody, Request: r}, nil
}
