package webhook

import (
	"math/rand/v2"
	"sync"
	"time"
)

// Bounds of what a host is spared.
const (
	brokenAfter = 3                      // attempts in a row that failed, after which a host is left alone
	deferMin    = 250 * time.Millisecond // of an event whose host has no room
	deferMax    = 10 * time.Minute
	paceFirst   = 20 * time.Millisecond // of an attempt at a host of which nothing is known
	paceMin     = 5 * time.Millisecond  // so that events that are put off come again at most so often, times the host's room
	manyHosts   = 1024                  // that are remembered, before those are forgotten of which there is nothing to say
)

// gates keep one receiver from taking what the others need: each host has room for a few attempts at once, and one that
// fails is left alone for a while, after which a single attempt shows whether it is well again. Events for which
// there is no room are put off for as long as those before them will take. Its methods may be called from several
// goroutines.
type gates struct {
	room               int           // attempts at once at one host
	spareMin, spareMax time.Duration // for which a broken host is left alone
	now                func() time.Time

	mu    sync.Mutex
	hosts map[string]*gate
}

// gate is what is known of a host.
type gate struct {
	busy   int           // attempts on their way
	failed int           // in a row
	until  time.Time     // none before
	next   time.Time     // when the event that was put off last comes again
	pace   time.Duration // of an attempt, on average
}

func newGates(room int, spareMin, spareMax time.Duration) *gates {
	return &gates{room: room, spareMin: spareMin, spareMax: spareMax, now: time.Now, hosts: map[string]*gate{}}
}

// enter lets an attempt at a host begin, for which leave is called at its end, or says for how long to put it off.
func (g *gates) enter(host string) (wait time.Duration, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	h := g.hosts[host]
	if h == nil {
		g.forget(now)
		h = &gate{pace: paceFirst}
		g.hosts[host] = h
	}
	room := g.room
	if h.failed >= brokenAfter {
		room = 1
	}
	if h.busy < room && !now.Before(h.until) {
		h.busy++
		return 0, true
	}
	for _, t := range []time.Time{now, h.until} {
		if h.next.Before(t) {
			h.next = t
		}
	}
	h.next = h.next.Add(h.pace / time.Duration(g.room))
	wait = max(h.next.Sub(now), deferMin)
	if wait > deferMax {
		h.next = now.Add(deferMax)
		wait = deferMax - rand.N(deferMax/2)
	}
	return wait, false
}

// leave ends an attempt, and returns whether the host has just been found broken, or well again.
func (g *gates) leave(host string, took time.Duration, well bool) (broken, mended bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	h := g.hosts[host]
	h.busy--
	h.pace = max((7*h.pace+took)/8, paceMin)
	if well {
		mended = h.failed >= brokenAfter
		h.failed, h.until = 0, time.Time{}
		if mended {
			h.next = time.Time{}
		}
		return false, mended
	}
	h.failed++
	if h.failed >= brokenAfter {
		spare := min(g.spareMin<<min(h.failed-brokenAfter, 10), g.spareMax)
		h.until = g.now().Add(spare - rand.N(spare/4+1))
	}
	return h.failed == brokenAfter, false
}

// broken is the number of hosts that are left alone.
func (g *gates) broken() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := 0
	for _, h := range g.hosts {
		if h.failed >= brokenAfter {
			n++
		}
	}
	return n
}

// forget makes room where many hosts are known. The caller holds mu.
func (g *gates) forget(now time.Time) {
	if len(g.hosts) < manyHosts {
		return
	}
	for name, h := range g.hosts {
		if h.busy == 0 && h.failed < brokenAfter && now.After(h.next) {
			delete(g.hosts, name)
		}
	}
}
