package worker

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func TestHealth(t *testing.T) {
	var reasons []string
	h := &health{ready: func() []string { return reasons }, metrics: http.NotFoundHandler()}
	get := func(path string) (int, map[string]any) {
		t.Helper()
		rec := httptest.NewRecorder()
		h.handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
		body := map[string]any{}
		if err := json.Unmarshal(rec.Body.Bytes(), &body); err != nil {
			t.Fatalf("%s: %v in %q", path, err, rec.Body)
		}
		return rec.Code, body
	}
	if code, body := get("/readyz"); code != http.StatusOK || body["status"] != "ready" {
		t.Errorf("ready: got %d, %v", code, body)
	}
	reasons = []string{"the broker is away"}
	code, body := get("/readyz")
	if list, ok := body["reasons"].([]any); code != http.StatusServiceUnavailable || !ok || !slices.Equal(list, []any{"the broker is away"}) {
		t.Errorf("not ready: got %d, %v", code, body)
	}
	if code, _ := get("/healthz"); code != http.StatusOK {
		t.Errorf("alive but not ready: /healthz says %d", code)
	}
}

func TestServe(t *testing.T) {
	h := &health{ready: func() []string { return nil }, metrics: http.NotFoundHandler()}
	logger := slog.New(slog.NewTextHandler(t.Output(), nil))
	addr, stop, err := h.serve("127.0.0.1:0", logger)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.Get("http://" + addr + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("got %s, %v", res.Status, err)
	}
	if _, _, err := h.serve(addr, logger); err == nil || !strings.Contains(err.Error(), "HTTP_ADDR") {
		t.Errorf("a taken address: got %v", err)
	}
	http.DefaultClient.CloseIdleConnections()
	stop()
}
