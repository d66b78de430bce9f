package e2e_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// hearer is a receiver of webhooks: it verifies what arrives by the rule of Standard Webhooks and keeps it.
type hearer struct {
	*httptest.Server

	refuse atomic.Bool // answer 503 to everything

	mu      sync.Mutex
	refused int
	events  map[string][]string // bodies by id
}

func newHearer(t *testing.T, key string) *hearer {
	t.Helper()
	l := &hearer{events: map[string][]string{}}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("reading a webhook: %v", err)
		}
		id := r.Header.Get("Webhook-Id")
		mac := hmac.New(sha256.New, []byte(key))
		fmt.Fprintf(mac, "%s.%s.%s", id, r.Header.Get("Webhook-Timestamp"), body)
		if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); !slices.Contains(strings.Fields(r.Header.Get("Webhook-Signature")), want) {
			t.Errorf("event %s is signed by %q, want %s", id, r.Header.Get("Webhook-Signature"), want)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.refuse.Load() {
			l.refused++
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		l.events[id] = append(l.events[id], string(body))
	}))
	t.Cleanup(l.Close)
	return l
}

// TestEveryResultIsTold: a batch names a webhook before anyone sends, and is told so. A sender whose receiver refuses is
// killed, and the next one tells every result, as it was recorded; nothing is told to a host that is not on the list.
func TestEveryResultIsTold(t *testing.T) {
	w := newWorld(t)
	w.worker("painter")
	oldKey, key := strings.Repeat("o", 32), strings.Repeat("n", 32)
	hook, elsewhere := newHearer(t, key), newHearer(t, key)
	p := w.launchEnqueue(nil, "a fox", "--seeds", "1..6", "--steps", "2", "--batch", "b", "--webhook", hook.URL+"/stipple", "--wait")
	if code := p.exit(startTime); code != 0 {
		t.Fatalf("enqueue ended with exit code %d:\n%s", code, p.errs())
	}
	mentions(t, "enqueue without a sender", p.errs(), "no `enqueue serve` sends webhooks now")
	w.says(0, "a hen", "--steps", "2", "--batch", "elsewhere", "--webhook", strings.Replace(elsewhere.URL, "127.0.0.1", "localhost", 1), "--wait")
	w.says(0, "a cow", "--steps", "2", "--batch", "silent", "--wait")

	hook.refuse.Store(true)
	text := func(key string) string { return "whsec_" + base64.StdEncoding.EncodeToString([]byte(key)) }
	send := func(name string) *process {
		return start(t, w.dir, name, w.environment("WEBHOOK_KEYS="+text(key)+","+text(oldKey)), given.enqueue,
			"serve", "--listen", "127.0.0.1:0", "--webhook-hosts", "127.0.0.1", "--webhook-http")
	}
	first := send("sender")
	eventually(t, startTime, func() string {
		hook.mu.Lock()
		defer hook.mu.Unlock()
		if hook.refused < 3 {
			return fmt.Sprintf("%d events were refused by now", hook.refused)
		}
		return ""
	})
	eventually(t, startTime, func() string { // so that none is on its way
		if !strings.Contains(first.errs(), "left alone for a while") {
			return "the sender goes on asking"
		}
		return ""
	})
	first.kill()
	hook.refuse.Store(false)
	send("sender")
	results := w.results("b")
	eventually(t, startTime, func() string {
		hook.mu.Lock()
		defer hook.mu.Unlock()
		if len(hook.events) < 6 {
			return fmt.Sprintf("%d of the 6 results were told", len(hook.events))
		}
		return ""
	})
	hook.mu.Lock()
	defer hook.mu.Unlock()
	for id, bodies := range hook.events {
		var index int
		if _, err := fmt.Sscanf(id, "b/%d", &index); err != nil || bodies[0] != string(results[index].raw) {
			t.Errorf("event %s is\n%s\nand the record\n%s", id, bodies[0], results[index].raw)
		}
	}
	elsewhere.mu.Lock()
	defer elsewhere.mu.Unlock()
	if len(elsewhere.events) > 0 {
		t.Errorf("a host that is not on the list was told %v", elsewhere.events)
	}
}
