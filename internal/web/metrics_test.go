package web_test

import (
	"io"
	"net/http"
	"testing"
)

// TestMetrics are behind the checks that all else is behind, and nowhere else.
func TestMetrics(t *testing.T) {
	c := newWorld().config()
	if got := ask(c, "GET", "/metrics", ""); got.Code != http.StatusNotFound {
		t.Errorf("status %d without metrics", got.Code)
	}
	c.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if _, err := io.WriteString(w, "events_total 5\n"); err != nil {
			t.Error(err)
		}
	})
	if got := ask(c, "GET", "/metrics", ""); got.Code != http.StatusOK || got.Body.String() != "events_total 5\n" {
		t.Errorf("status %d: %s", got.Code, got.Body)
	}
	c.Token = "a token of many letters"
	if got := ask(c, "GET", "/metrics", ""); got.Code == http.StatusOK {
		t.Error("metrics without the token")
	}
	if got := ask(c, "GET", "/metrics", "", "Authorization", "Bearer "+c.Token); got.Code != http.StatusOK {
		t.Errorf("status %d with the token", got.Code)
	}
}
