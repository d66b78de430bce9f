package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/ready":
			w.WriteHeader(http.StatusNoContent)
		case "/moved":
			http.Redirect(w, r, "/broken", http.StatusFound)
		default:
			http.Error(w, "the broker is away", http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for _, tt := range []struct {
		name string
		args []string
		want string // of the error; "" for none
	}{
		{"ready", []string{server.URL + "/ready"}, ""},
		{"not ready", []string{server.URL + "/readyz"}, "503 Service Unavailable: the broker is away"},
		{"moved to where it is not ready", []string{server.URL + "/moved"}, "503"},
		{"nobody listens", []string{gone.URL}, "connection refused"},
		{"no address", nil, "name one address"},
		{"two addresses", []string{server.URL, server.URL}, "name one address"},
		{"no address that can be", []string{"::"}, "missing protocol scheme"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := run(t.Context(), tt.args)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
