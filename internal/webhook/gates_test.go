package webhook

import (
	"testing"
	"time"
)

const (
	spareMin = 5 * time.Second
	spareMax = 5 * time.Minute
)

// clocked are gates with a clock that stands still.
func clocked(room int) (*gates, *time.Time) {
	now := time.Unix(1_800_000_000, 0)
	g := newGates(room, spareMin, spareMax)
	g.now = func() time.Time { return now }
	return g, &now
}

// enter fails the test unless an attempt may begin.
func (g *gates) mustEnter(t *testing.T, host string) {
	t.Helper()
	if wait, ok := g.enter(host); !ok {
		t.Fatalf("%s has no room for %v", host, wait)
	}
}

func TestGatesHaveRoomForAFewPerHost(t *testing.T) {
	g, _ := clocked(2)
	for range 20 { // it is slow
		g.mustEnter(t, "slow")
		g.leave("slow", time.Second, true)
	}
	g.mustEnter(t, "slow")
	g.mustEnter(t, "slow")
	last := time.Duration(0)
	for i := range 100 {
		wait, ok := g.enter("slow")
		if ok || wait < last || wait > deferMax {
			t.Fatalf("event %d: %v, %v; want it put off behind those before it, %v", i, wait, ok, last)
		}
		last = wait
	}
	if last < 40*time.Second {
		t.Errorf("the hundredth event comes after %v, want what those before it take", last)
	}
	g.mustEnter(t, "other")
	g.leave("slow", time.Second, true)
	g.mustEnter(t, "slow")
}

func TestGatesLeaveBrokenHostsAlone(t *testing.T) {
	g, now := clocked(4)
	fail := func() (broken bool) {
		g.mustEnter(t, "dead")
		broken, _ = g.leave("dead", time.Second, false)
		return broken
	}
	for i, want := range []bool{false, false, true} {
		if got := fail(); got != want || g.broken() != i/2 {
			t.Fatalf("after %d attempts that failed the host is said to be broken: %v, want %v", i+1, got, want)
		}
	}
	for spare := spareMin; spare < 2*spareMax; spare *= 2 {
		wait, ok := g.enter("dead")
		if ok || wait < min(spare, spareMax)/2 {
			t.Fatalf("after %v an event comes after %v, %v", spare, wait, ok)
		}
		*now = now.Add(min(spare, spareMax))
		g.mustEnter(t, "dead")
		if _, ok := g.enter("dead"); ok {
			t.Fatal("a broken host is asked by more than one event")
		}
		if broken, _ := g.leave("dead", time.Second, false); broken {
			t.Fatal("a host is said to be broken again")
		}
	}
	*now = now.Add(spareMax)
	g.mustEnter(t, "dead")
	if _, mended := g.leave("dead", time.Second, true); !mended || g.broken() != 0 {
		t.Error("a host that takes an event is not said to be mended")
	}
	for range 4 {
		g.mustEnter(t, "dead")
	}
}

func TestGatesForgetHosts(t *testing.T) {
	g, now := clocked(4)
	g.mustEnter(t, "busy")
	for i := range 3 * manyHosts {
		host := string(rune('A'+i%26)) + time.Duration(i).String()
		g.mustEnter(t, host)
		g.leave(host, time.Millisecond, true)
		*now = now.Add(time.Millisecond)
	}
	if len(g.hosts) > manyHosts+1 || g.hosts["busy"] == nil {
		t.Errorf("%d hosts are remembered, the busy one among them: %v", len(g.hosts), g.hosts["busy"] != nil)
	}
}
