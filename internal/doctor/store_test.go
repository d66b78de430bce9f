package doctor

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// Whoever ends a doctor whose link hangs finds nothing of it in the bucket.
func TestNothingIsLeftBehindWhenItIsEnded(t *testing.T) {
	c := healthy(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	links := 0
	c.Store.Endpoint = proxy(t, func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if r.Method == http.MethodGet && r.URL.Query().Has("X-Amz-Signature") {
			links++
			cancel()
			<-r.Context().Done()
			return
		}
		pass.ServeHTTP(w, r)
	})
	checks := c.lookAtStore(ctx)
	if last := checks[len(checks)-1]; links != 1 || last.Name != "presign" || last.Status != Warning {
		t.Errorf("after %d links: %+v", links, checks)
	}
	left, err := filepath.Glob(filepath.Join(shared.store.Dir(), bucket, c.Store.Prefix, ".probe", "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("in the bucket lie %v, %v", left, err)
	}
	if _, err := os.Stat(filepath.Join(shared.store.Dir(), bucket)); err != nil {
		t.Error(err) // looked in the wrong place
	}
}
