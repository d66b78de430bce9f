package upload

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// A clock that is wrong is made up for where the store tells the time.
func TestAWrongClock(t *testing.T) {
	for name, tells := range map[string]bool{"the store tells the time": true, "it does not": false} {
		t.Run(name, func(t *testing.T) {
			var refused atomic.Int32
			m := newMemory()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				now := time.Now().Add(time.Hour) // or ours is an hour slow
				w.Header()["Date"] = nil
				if tells {
					w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
				}
				signed, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
				if err != nil || signed.Before(now.Add(-15*time.Minute)) || signed.After(now.Add(15*time.Minute)) {
					refused.Add(1)
					fail(w, http.StatusForbidden, "RequestTimeTooSkewed", "The difference between the request time and the server's time is too large.")
					return
				}
				m.ServeHTTP(w, r)
			}))
			defer server.Close()
			s := open(t, Config{Bucket: "pictures", Endpoint: server.URL, AccessKeyID: "a", SecretAccessKey: "s", MaxBackoff: time.Millisecond}, nil)
			s.found.Store(&Capabilities{Conditional: true, Read: true, Delete: true, Encrypt: true})
			put := func(key string) error {
				_, err := s.Put(t.Context(), key, cat())
				return err
			}
			for i, call := range []func() error{
				func() error { return put("one") }, func() error { return put("two") }, func() error { return s.Check(t.Context()) },
			} {
				err := call()
				switch {
				case tells && err != nil:
					t.Errorf("call %d: %v", i, err)
				case !tells:
					checkMessage(t, err, TypeConfig, "set the clock (NTP) (403")
				}
			}
			if n := refused.Load(); tells && n != 2 {
				t.Errorf("%d requests refused, want the first PUT and the first of the SDK, which has a clock of its own", n)
			}
		})
	}
}
