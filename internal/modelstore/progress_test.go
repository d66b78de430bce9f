package modelstore

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestTell: somebody is told how far a download is, and the log only where nobody is.
func TestTell(t *testing.T) {
	for name, watched := range map[string]bool{"watched": true, "not": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				var last Progress
				calls := 0
				c := Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}
				if watched {
					c.Progress = func(p Progress) { last, calls = p, calls+1 }
				}
				var m meter
				m.earlier.Store(100)
				m.done.Store(100)
				m.total.Store(1000)
				ctx, stop := context.WithTimeout(t.Context(), 25*time.Second)
				defer stop()
				time.AfterFunc(5*time.Second, func() { m.done.Store(600) })
				m.tell(ctx, c, source{kind: kindHub, repo: "acme/toy", revision: "main"}, 7)

				lines := strings.Count(log.String(), "downloading a model")
				if watched {
					want := Progress{Source: "hf://acme/toy@main", Done: 600, Total: 1000, Files: 7, PerSecond: 20}
					if last != want || calls < 90 || lines > 0 {
						t.Errorf("told %d times, at the end %+v, and the log %d times; want %+v", calls, last, lines, want)
					}
				} else if lines != 2 || !strings.Contains(log.String(), "bytes=600 of=1000") {
					t.Errorf("the log has %d lines, want 2:\n%s", lines, &log)
				}
			})
		})
	}
}
