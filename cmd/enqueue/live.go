package main

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/terminal"
)

// liveResults counts the results of all batches as they come. Its goroutine, which newLiveResults starts and stop
// ends, reads them; what it knows is shared.
type liveResults struct {
	tell   func(queue.Result) // of those that come once all that were there are read
	cancel context.CancelFunc
	done   chan struct{}

	mu       sync.Mutex
	tallies  map[string]*queue.Tally
	caughtUp bool
	last     []queue.Result // that have landed, at most lastShown
	err      error
}

// lastShown is how many of the last results a page shows.
const lastShown = 8

func newLiveResults(ctx context.Context, c *queue.Client, tell func(queue.Result)) *liveResults {
	ctx, cancel := context.WithCancel(ctx)
	l := &liveResults{tell: tell, cancel: cancel, done: make(chan struct{}), tallies: map[string]*queue.Tally{}}
	go l.run(ctx, c)
	return l
}

func (l *liveResults) stop() {
	l.cancel()
	<-l.done
}

func (l *liveResults) run(ctx context.Context, c *queue.Client) {
	defer close(l.done)
	there, err := c.CountResults(ctx, "*")
	if err == nil && there == 0 {
		l.note(nil, true)
	}
	if err == nil {
		for r, followErr := range c.FollowResults(ctx, "*", 0) {
			if err = followErr; err != nil {
				break
			}
			if l.note(&r.Result, r.Pending == 0) {
				l.tell(r.Result)
			}
		}
	}
	if ctx.Err() == nil {
		l.mu.Lock()
		l.err = err
		l.mu.Unlock()
	}
}

// note counts a result and reports whether it is news.
func (l *liveResults) note(r *queue.Result, caughtUp bool) (news bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	news = l.caughtUp
	l.caughtUp = l.caughtUp || caughtUp
	if r == nil {
		return false
	}
	t := l.tallies[r.BatchID]
	if t == nil {
		t = &queue.Tally{}
		l.tallies[r.BatchID] = t
	}
	t.Add(*r)
	if len(l.last) == lastShown {
		l.last = l.last[1:]
	}
	l.last = append(l.last, *r)
	return news
}

// count is a counter.
func (l *liveResults) count(_ context.Context, batch string) (int64, *queue.Summary, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var s queue.Summary
	if t := l.tallies[batch]; t != nil {
		s = t.Summary()
	}
	return s.Total(), &s, nil
}

// failure is what ended the reading, if anything did.
func (l *liveResults) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// write writes the last results, each on a line of at most so many characters.
func (l *liveResults) write(w io.Writer, width int, style terminal.Style) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.caughtUp {
		fmt.Fprintln(w, "still reading the results that are there: counts grow")
	}
	for _, r := range l.last {
		fmt.Fprintln(w, painted(style, r.Status, shorten(landed(r), width)))
	}
}
