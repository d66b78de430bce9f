package web

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"
)

// Times of a stream of events.
const (
	stateEvery = time.Second            // between two states, at least
	mergeFor   = 200 * time.Millisecond // so long images are gathered into one event
	pingEvery  = 5 * time.Second        // so that a client notices a connection that went silent
	eventTime  = 10 * time.Second       // for a client to take an event; a slower one is cut off, and comes back
)

// mostImages is how many images one event carries.
const mostImages = 200

// events streams what happens. What a client costs is the same however much happens: it has a place in what has landed,
// and takes from there as fast as it can.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	if !s.watchers.TryAcquire(1) {
		fail(w, r, Errorf(http.StatusServiceUnavailable, "%d clients listen already: close some of them", s.cfg.Watchers))
		return
	}
	defer s.watchers.Release(1)
	c := &listener{server: s, w: w, rc: http.NewResponseController(w), dead: lastLetter{count: -1}}
	var err error
	if c.after, err = lastEvent(r); err != nil {
		fail(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // a proxy that gathers would hold events back
	if r.Method == http.MethodHead {
		return
	}
	// An error is a client that went away, or was too slow.
	_ = c.run(r.Context())
}

// lastEvent is the sequence after which a client goes on; of one that is new, that of what landed last.
func lastEvent(r *http.Request) (uint64, error) {
	id := r.Header.Get("Last-Event-ID")
	if id == "" {
		return math.MaxUint64, nil
	}
	after, err := strconv.ParseUint(id, 10, 64)
	if err != nil {
		return 0, Errorf(http.StatusBadRequest, "Last-Event-ID is %q: it is the id of an event of this stream", id)
	}
	return after, nil
}

// listener is one client's stream. The goroutine of its request owns it.
type listener struct {
	server *Server
	w      http.ResponseWriter
	rc     *http.ResponseController

	after  uint64 // of what has landed, all up to here was sent
	sent   *State
	sentAt time.Time
	dead   lastLetter // that was told
}

// run sends what there is, and then what comes, until ctx ends or the client does not take it any more.
func (c *listener) run(ctx context.Context) error {
	news := c.server.cfg.News
	// The id of the first event is where a client goes on that has seen no other.
	c.after = news.Landed(c.after, 0).Last
	if err := c.write("retry: 1000\nid: %d\nevent: ping\ndata: {}\n\n", c.after); err != nil {
		return err
	}
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	for {
		changed := news.Changed()
		if err := c.tell(news); err != nil {
			return err
		}
		var due <-chan time.Time // of a state that came too soon after the last
		if news.State() != c.sent {
			due = time.After(time.Until(c.sentAt.Add(stateEvery)))
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-due:
		case <-changed:
			if err := pause(ctx, mergeFor); err != nil {
				return err
			}
		case <-ping.C:
			if err := c.write("event: ping\ndata: {}\n\n"); err != nil {
				return err
			}
		}
	}
}

// tell sends what is new.
func (c *listener) tell(news News) error {
	if st := news.State(); st != c.sent && time.Since(c.sentAt) >= stateEvery {
		data, err := c.server.render(st)
		if err != nil {
			return err
		}
		if err := c.write("event: state\ndata: %s\n\n", data); err != nil {
			return err
		}
		c.sent, c.sentAt = st, time.Now()
	}
	for more := true; more; {
		l := news.Landed(c.after, mostImages)
		more = l.More
		if len(l.Images) > 0 || l.Missed {
			if err := c.event(l.Last, "image", imageEvent{nonNil(l.Images), l.Missed}); err != nil {
				return err
			}
		}
		c.after = l.Last
	}
	if l := news.Letters(); lastOf(l) != c.dead {
		if err := c.event(c.after, "dead", deadEvent{nonNil(l.Dead), l.Count}); err != nil {
			return err
		}
		c.dead = lastOf(l)
	}
	return nil
}

// lastLetter tells dead letters from those before.
type lastLetter struct {
	count int64
	id    string
}

func lastOf(p LetterPage) lastLetter {
	l := lastLetter{count: p.Count}
	if n := len(p.Dead); n > 0 {
		l.id = p.Dead[n-1].ID
	}
	return l
}

// Data of events.
type (
	imageEvent struct {
		Images []Image `json:"images"`
		Missed bool    `json:"missed,omitempty"` // more has landed than the server keeps: list it
	}
	deadEvent struct {
		Dead  []Letter `json:"dead"` // the last ones
		Count int64    `json:"count"`
	}
)

// event sends one event with JSON, which has no line break in it.
func (c *listener) event(id uint64, name string, data any) error {
	text, err := json.Marshal(data)
	if err != nil {
		return err
	}
	return c.write("id: %d\nevent: %s\ndata: %s\n\n", id, name, text)
}

func (c *listener) write(format string, args ...any) error {
	if err := c.rc.SetWriteDeadline(time.Now().Add(eventTime)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(c.w, format, args...); err != nil {
		return err
	}
	return c.rc.Flush()
}

// pause waits, or returns why ctx ended.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// nonNil is a list that JSON does not write as null.
func nonNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
