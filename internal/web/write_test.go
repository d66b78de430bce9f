package web_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stipple-ai/stipple/internal/web"
)

func TestWriting(t *testing.T) {
	for _, tt := range []struct{ target, body, done, answer string }{
		{"/api/jobs", `{"prompt":"a cat","seed":3}`, `submit  {"prompt":"a cat","seed":3}`, `{"batch":"drawn","jobs":["drawn/0"],"total":1}`},
		{"/api/jobs", `{"jobs":[{"prompt":"a"},{"prompt":"b"}],"priority":"high","batch":"tuesday"}`, `submit high {"prompt":"a"} {"prompt":"b"}`, `{"batch":"tuesday","jobs":["tuesday/0"],"total":2}`},
		{"/api/grids", `{"job":{"prompt":"a"},"axes":{"x":{"field":"seed","values":[1,"18446744073709551615"]},"z":{"field":"scheduler","values":["ddim"]},"y":{"field":"guidance_scale","values":[2.50,5]}},"batch":"g"}`,
			`submit  {"prompt":"a"} scheduler=ddim guidance_scale=2.50,5 seed=1,18446744073709551615`, `{"batch":"g","jobs":["g/0"],"total":4}`},
		{"/api/grids", `{"axes":{"x":{"field":"prompt","values":["a, or b","c"]}}}`, `submit  {} prompt=a, or b,c`, `{"batch":"drawn","jobs":["drawn/0"],"total":2}`},
		{"/api/batches/monday/cancel", ``, `cancel monday -1`, `{"cancelled":7}`},
		{"/api/jobs/monday/12/cancel", `{}`, `cancel monday 12`, `{"cancelled":7}`},
		{"/api/jobs/monday/12/retry", `{}`, `retry monday 12 failed`, `{"jobs":2}`},
		{"/api/batches/monday/retry", `{"what":"failed"}`, `retry monday -1 failed`, `{"jobs":2}`},
		{"/api/batches/monday/retry", `{"what":"missing"}`, `retry monday -1 missing`, `{"jobs":2}`},
		{"/api/dead/4/requeue", `{}`, `requeue 4`, `{"requeued":1}`},
		{"/api/dead/requeue", `{"ids":["4","5"]}`, `requeue 4 5`, `{"requeued":2}`},
		{"/api/models/sd1.5/pause", ``, `pause sd1.5 true`, `{"paused":true,"consumers":["w-normal-sd1.5"]}`},
		{"/api/models/sd1.5/resume", ``, `pause sd1.5 false`, `{"paused":false,"consumers":["w-normal-sd1.5"]}`},
	} {
		w := newWorld()
		got := ask(w.config(), "POST", tt.target, tt.body)
		if diff := cmp.Diff([]string{tt.done, tt.answer}, []string{strings.Join(w.done, "; "), strings.TrimSpace(got.Body.String())}); diff != "" || got.Code != http.StatusOK {
			t.Errorf("%s %s: status %d (-want +got):\n%s", tt.target, tt.body, got.Code, diff)
		}
		c := w.config()
		c.Orders, c.Controls = nil, nil
		w.done = nil
		if refused := ask(c, "POST", tt.target, tt.body); refused.Code != http.StatusForbidden || !strings.Contains(refused.Body.String(), "--write") || len(w.done) > 0 {
			t.Errorf("%s of a read-only page: status %d, done %q:\n%s", tt.target, refused.Code, w.done, refused.Body)
		}
		w.failWith = web.Errorf(http.StatusConflict, "the batch is cancelled")
		if failed := ask(w.config(), "POST", tt.target, tt.body); failed.Code != http.StatusConflict || !strings.Contains(failed.Body.String(), `{"error":"the batch is cancelled"}`) {
			t.Errorf("%s that fails: status %d:\n%s", tt.target, failed.Code, failed.Body)
		}
		if got := ask(w.config(), "GET", tt.target, ""); got.Code != http.StatusNotFound {
			t.Errorf("GET %s: status %d", tt.target, got.Code)
		}
	}
}

func TestWritingRefuses(t *testing.T) {
	large := `{"prompt":"` + strings.Repeat("a", 5<<20) + `"}`
	for _, tt := range []struct {
		target, body string
		want         int
	}{
		{"/api/jobs", ``, http.StatusBadRequest},
		{"/api/jobs", `null`, http.StatusBadRequest},
		{"/api/jobs", `[]`, http.StatusBadRequest},
		{"/api/jobs", `{`, http.StatusBadRequest},
		{"/api/jobs", `{"jobs":[]}`, http.StatusBadRequest},
		{"/api/jobs", `{"jobs":[{}],"other":1}`, http.StatusBadRequest},
		{"/api/jobs", `{"jobs":{}}`, http.StatusBadRequest},
		{"/api/jobs", large, http.StatusRequestEntityTooLarge},
		{"/api/grids", `{}`, http.StatusBadRequest},
		{"/api/grids", `{"axes":{"x":{"field":"seed","values":[]}}}`, http.StatusBadRequest},
		{"/api/grids", `{"axes":{"x":{"field":"seed","values":[true]}}}`, http.StatusBadRequest},
		{"/api/grids", `{"axes":{"x":{"field":"seed","values":[null]}}}`, http.StatusBadRequest},
		{"/api/grids", `{"axes":{"x":{"field":"seed","values":[[1]]}}}`, http.StatusBadRequest},
		{"/api/grids", `{"axes":{"w":{"field":"seed","values":[1]}}}`, http.StatusBadRequest},
		{"/api/grids", `{"axes":{"x":{"field":"seed","values":[1]}}} {}`, http.StatusBadRequest},
		{"/api/batches/mon.day/cancel", `{}`, http.StatusBadRequest},
		{"/api/jobs/monday/x/cancel", `{}`, http.StatusBadRequest},
		{"/api/batches/monday/retry", `{}`, http.StatusBadRequest},
		{"/api/batches/monday/retry", `{"what":"all"}`, http.StatusBadRequest},
		{"/api/dead/0/requeue", `{}`, http.StatusBadRequest},
		{"/api/dead/x/requeue", `{}`, http.StatusBadRequest},
		{"/api/dead/requeue", `{"ids":[]}`, http.StatusBadRequest},
		{"/api/models/a%2Fb/pause", `{}`, http.StatusBadRequest},
	} {
		w := newWorld()
		got := ask(w.config(), "POST", tt.target, tt.body)
		var f struct {
			Error string `json:"error"`
		}
		if err := json.Unmarshal(got.Body.Bytes(), &f); got.Code != tt.want || err != nil || f.Error == "" || len(w.done) > 0 {
			t.Errorf("%s %.60s: status %d, want %d; done %q:\n%s", tt.target, tt.body, got.Code, tt.want, w.done, got.Body)
		}
	}
}

// TestWritingGoesOn holds that what was begun is done when its client goes away, and given up when the page ends.
func TestWritingGoesOn(t *testing.T) {
	for name, tt := range map[string]struct {
		leaves string
		want   error
	}{"the client goes": {"client", nil}, "the page ends": {"server", context.Canceled}} {
		w := newWorld()
		slow := &slowOrders{world: w, begun: make(chan struct{}), finish: make(chan struct{}), ended: make(chan error, 1)}
		c := w.config()
		c.Orders = slow
		l := must(net.Listen("tcp", "127.0.0.1:0"))
		serving, stop := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- must(web.New(c)).Serve(serving, l) }()
		asking, leave := context.WithCancel(t.Context())
		r := must(http.NewRequestWithContext(asking, http.MethodPost, "http://"+l.Addr().String()+"/api/jobs", strings.NewReader(`{}`)))
		r.Header.Set("Content-Type", "application/json")
		asked := make(chan struct{})
		go func() { // ends with its request
			defer close(asked)
			if resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r); err == nil {
				resp.Body.Close()
			}
		}()
		<-slow.begun
		if tt.leaves == "client" {
			leave()
			<-asked
			close(slow.finish)
		} else {
			stop()
		}
		if err := <-slow.ended; !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
		stop()
		if err := <-served; err != nil {
			t.Errorf("%s: %v", name, err)
		}
		leave()
		<-asked
	}
}

// slowOrders are orders that take until finish is closed.
type slowOrders struct {
	*world

	begun, finish chan struct{}
	ended         chan error
}

func (o *slowOrders) Submit(ctx context.Context, _ web.Order) (web.Submitted, error) {
	close(o.begun)
	var err error
	select {
	case <-o.finish:
	case <-ctx.Done():
		err = ctx.Err()
	}
	o.ended <- err
	return web.Submitted{}, err
}
