package web_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stipple-ai/stipple/internal/web"
)

// TestHeaders holds that every answer, whatever it is, tells the browser to trust nothing else.
func TestHeaders(t *testing.T) {
	w := newWorld()
	w.land("monday", 1)
	for _, target := range []string{"/", "/assets/none.js", "/api/state", "/image/" + w.images[0].Key, "/thumb/" + w.images[0].Key, "/none"} {
		h := ask(w.config(), "GET", target, "").Header()
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin",
			"Cross-Origin-Opener-Policy": "same-origin", "X-Frame-Options": "DENY", "Access-Control-Allow-Origin": "",
			"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", target, name, got, want)
			}
		}
	}
}

func TestHosts(t *testing.T) {
	c := newWorld().config()
	c.Hosts = []string{"Stipple.Example.org"}
	for host, want := range map[string]int{
		"localhost":                http.StatusOK,
		"localhost:8081":           http.StatusOK,
		"LOCALHOST.:8081":          http.StatusOK,
		"127.0.0.1:8081":           http.StatusOK,
		"127.1.2.3":                http.StatusOK,
		"[::1]:8081":               http.StatusOK,
		"[::ffff:127.0.0.1]:8081":  http.StatusOK,
		"stipple.example.org:443":  http.StatusOK,
		"evil.example":             http.StatusMisdirectedRequest,
		"localhost.evil.example":   http.StatusMisdirectedRequest,
		"evil.localhost":           http.StatusMisdirectedRequest,
		"192.0.2.7:8081":           http.StatusMisdirectedRequest,
		"0.0.0.0:8081":             http.StatusMisdirectedRequest,
		"127.0.0.1.evil.example":   http.StatusMisdirectedRequest,
		"2130706433":               http.StatusMisdirectedRequest,
		"localhost:80:80":          http.StatusMisdirectedRequest,
		"localhost@evil.example":   http.StatusMisdirectedRequest,
		"[fe80::1%25eth0]:8081":    http.StatusMisdirectedRequest,
		"a.stipple.example.org":    http.StatusMisdirectedRequest,
		"stipple.example.org.evil": http.StatusMisdirectedRequest,
		"":                         http.StatusMisdirectedRequest,
	} {
		if got := ask(c, "GET", "/api/state", "", "Host", host); got.Code != want {
			t.Errorf("Host %q: status %d, want %d:\n%s", host, got.Code, want, got.Body)
		}
	}
}

// TestHostIsTheAddress holds that a page at an address of the network answers to that very address.
func TestHostIsTheAddress(t *testing.T) {
	handler := must(web.New(newWorld().config())).Handler()
	for host, want := range map[string]int{"192.0.2.7:8081": http.StatusOK, "192.0.2.8:8081": http.StatusMisdirectedRequest} {
		r := httptest.NewRequest(http.MethodGet, "http://"+host+"/api/state", nil)
		at := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 8081}
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, at))
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("Host %s of a page at %s: status %d, want %d", host, at, w.Code, want)
		}
	}
}

// TestOtherSites holds that nothing is changed on behalf of another site, or by a form.
func TestOtherSites(t *testing.T) {
	for name, tt := range map[string]struct {
		header []string
		want   int
	}{
		"the page":          {nil, http.StatusOK},
		"a program":         {[]string{"Sec-Fetch-Site", ""}, http.StatusOK},
		"another site":      {[]string{"Sec-Fetch-Site", "cross-site"}, http.StatusForbidden},
		"another port":      {[]string{"Sec-Fetch-Site", "same-site"}, http.StatusForbidden},
		"an old browser":    {[]string{"Sec-Fetch-Site", "", "Origin", "http://evil.example"}, http.StatusForbidden},
		"a form":            {[]string{"Content-Type", "application/x-www-form-urlencoded"}, http.StatusUnsupportedMediaType},
		"a form of text":    {[]string{"Content-Type", "text/plain"}, http.StatusUnsupportedMediaType},
		"nothing":           {[]string{"Content-Type", ""}, http.StatusUnsupportedMediaType},
		"JSON and charset":  {[]string{"Content-Type", "application/json; charset=utf-8"}, http.StatusOK},
		"its own and a lie": {[]string{"Origin", "http://localhost:8081", "Sec-Fetch-Site", "cross-site"}, http.StatusForbidden},
	} {
		w := newWorld()
		got := ask(w.config(), "POST", "/api/batches/monday/cancel", "{}", tt.header...)
		if got.Code != tt.want || (len(w.done) > 0) != (tt.want == http.StatusOK) {
			t.Errorf("%s: status %d, want %d; done %q:\n%s", name, got.Code, tt.want, w.done, got.Body)
		}
	}
}

func TestToken(t *testing.T) {
	w := newWorld()
	c := w.config()
	c.Token = "0123456789abcdef"
	for name, tt := range map[string]struct {
		method, target string
		header         []string
		want           int
	}{
		"none":             {"GET", "/api/state", nil, http.StatusUnauthorized},
		"page without":     {"GET", "/", nil, http.StatusUnauthorized},
		"bearer":           {"GET", "/api/state", []string{"Authorization", "Bearer 0123456789abcdef"}, http.StatusOK},
		"wrong bearer":     {"GET", "/api/state", []string{"Authorization", "Bearer 0123456789abcdeF"}, http.StatusUnauthorized},
		"longer bearer":    {"GET", "/api/state", []string{"Authorization", "Bearer 0123456789abcdef0"}, http.StatusUnauthorized},
		"in the address":   {"GET", "/?token=0123456789abcdef", nil, http.StatusSeeOther},
		"wrong there":      {"GET", "/?token=0123", nil, http.StatusUnauthorized},
		"at another path":  {"GET", "/api/state?token=0123456789abcdef", nil, http.StatusUnauthorized},
		"token as cookie":  {"GET", "/api/state", []string{"Cookie", "stipple_page=0123456789abcdef"}, http.StatusUnauthorized},
		"write without":    {"POST", "/api/batches/monday/cancel", nil, http.StatusUnauthorized},
		"write with":       {"POST", "/api/batches/monday/cancel", []string{"Authorization", "Bearer 0123456789abcdef"}, http.StatusOK},
		"events without":   {"GET", "/api/events", nil, http.StatusUnauthorized},
		"pictures without": {"GET", "/image/a/b.png", nil, http.StatusUnauthorized},
	} {
		if got := ask(c, tt.method, tt.target, "{}", tt.header...); got.Code != tt.want {
			t.Errorf("%s: status %d, want %d:\n%s", name, got.Code, tt.want, got.Body)
		}
	}
	in := ask(c, "GET", "/?token=0123456789abcdef", "")
	cookie := in.Result().Cookies()[0]
	if in.Header().Get("Location") != "/" || !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || strings.Contains(cookie.Value, c.Token) {
		t.Errorf("to %s with %+v", in.Header().Get("Location"), cookie)
	}
	if got := ask(c, "GET", "/", "", "Cookie", cookie.Name+"="+cookie.Value); got.Code != http.StatusOK {
		t.Errorf("a browser that was let in: status %d", got.Code)
	}
	c.Token = "another token of that length"
	if got := ask(c, "GET", "/", "", "Cookie", cookie.Name+"="+cookie.Value); got.Code != http.StatusUnauthorized {
		t.Errorf("the cookie of another token: status %d", got.Code)
	}
}
