package web

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

// FuzzCursor holds that a cursor is read or refused, and that there is one text for each.
func FuzzCursor(f *testing.F) {
	for _, s := range []string{"", "0", "1", "18446744073709551615", "18446744073709551616", "-1", "01", "+1", "1e3", " 1", "x"} {
		f.Add(s, "200")
	}
	f.Add("1", "1001")
	f.Fuzz(func(t *testing.T, after, limit string) {
		n, most, err := position(url.Values{"after": {after}, "limit": {limit}})
		if err != nil {
			if refused, ok := errors.AsType[*Error](err); !ok || refused.Status != 400 {
				t.Fatalf("%q, %q: %v", after, limit, err)
			}
			return
		}
		if after != "" && strconv.FormatUint(n, 10) != after || most < 1 || most > maxLimit {
			t.Fatalf("%q, %q: %d, %d", after, limit, n, most)
		}
	})
}

// FuzzHost holds that no Host header but those of the loopback interface is taken for it.
func FuzzHost(f *testing.F) {
	for _, s := range []string{"localhost", "localhost:8081", "[::1]:80", "127.0.0.1", "127.0.0.1:x", "evil.example", "[", "]", "[::1", "::1", "a:b:c", "localhost.", "[::1%25lo]", "\x00", "１２７.0.0.1"} {
		f.Add(s)
	}
	s := &Server{hosts: map[string]bool{}}
	f.Fuzz(func(t *testing.T, host string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host = host
		name, ok := hostName(host)
		if ok && (name == "" || strings.ContainsAny(name, "/@ []%") || name != strings.ToLower(name)) {
			t.Fatalf("%q: name %q", host, name)
		}
		if s.answersTo(r) && name != "localhost" && !net.ParseIP(name).IsLoopback() {
			t.Fatalf("%q is taken for this machine", host)
		}
	})
}

// FuzzBody holds that a body is read or refused, and that what is read keeps within what the page takes.
func FuzzBody(f *testing.F) {
	for _, s := range []string{`{}`, `{"jobs":[{"prompt":"a"}],"priority":"low"}`, `{"job":{},"axes":{"x":{"field":"seed","values":[1,"2",3e4]}}}`, `{"jobs":[1]}`, `null`, `[`, "", "{\"axes\":{\"x\":null}}", `{"ids":["1"]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if o, err := readJobs(body); err == nil {
			if len(o.Jobs) == 0 {
				t.Fatal("no jobs, and no error")
			}
			for _, j := range o.Jobs {
				if !json.Valid(j) {
					t.Fatalf("a job is no JSON: %q", j)
				}
			}
		}
		o, err := readGrid(body)
		if err != nil {
			return
		}
		if len(o.Axes) == 0 || len(o.Axes) > 3 || len(o.Jobs) != 1 {
			t.Fatalf("%+v", o)
		}
		for _, a := range o.Axes {
			if len(a.Values) == 0 {
				t.Fatalf("%+v", a)
			}
		}
	})
}
