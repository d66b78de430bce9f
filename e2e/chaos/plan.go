package main

import (
	"math/rand/v2"
	"slices"
	"time"
)

// fault is one planned fault. Its fields are all that is random about it, so that a seed is a plan.
type fault struct {
	Number int           `json:"number"`
	Kind   kind          `json:"kind"`
	After  int           `json:"after"`          // results recorded before it comes
	Worker int           `json:"worker"`         // of kinds that aim at one
	Edge   edge          `json:"edge,omitempty"` // of freeze, kill-saving, store-reset, broker-kill and store-kill; "" is any time
	For    time.Duration `json:"for"`            // how long it lasts; of kill-fetched, kill-step and kill-drain how long after the edge or signal the kill comes
	Choice int           `json:"choice"`         // of collector which way it fails, of broker-kill in a cluster whose leader dies
}

// plan draws so many faults over nine tenths of the jobs: fault n comes while the n-th share of them is drawn. Kinds are
// dealt as from a deck of cards: none comes again before all have come. So are the edges of each kind that has some.
func plan(seed uint64, kinds []kind, faults, jobs, workers int, lease time.Duration) []fault {
	r := rand.New(rand.NewPCG(seed, 1))
	all := make([]fault, 0, faults)
	nextKind := deal(r, kinds)
	nextEdge := map[kind]func() edge{
		freeze: deal(r, frozenAt()), killSaving: deal(r, []edge{edgeSaving, edgeSaved}),
		brokerKill: deal(r, brokerDiesAt()), storeKill: deal(r, storeDiesAt()), storeReset: deal(r, []edge{edgePut, edgeStored}),
	}
	for n := range faults {
		f := fault{Number: n, Kind: nextKind(), Worker: r.IntN(workers), Choice: r.IntN(6)}
		first, last := stormShare(n, faults, jobs), stormShare(n+1, faults, jobs)
		f.After = first + r.IntN(last-first+1)
		f.For = between(r, lasts(f.Kind, lease))
		if next := nextEdge[f.Kind]; next != nil {
			f.Edge = next()
		}
		all = append(all, f)
	}
	return all
}

// deal deals cards of a deck that is shuffled and dealt again when it is used up.
func deal[T any](r *rand.Rand, cards []T) func() T {
	deck := slices.Clone(cards)
	next := len(deck)
	return func() T {
		if next == len(deck) {
			r.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
			next = 0
		}
		next++
		return deck[next-1]
	}
}

// lasts are the least and the most time that a fault of a kind lasts.
func lasts(k kind, lease time.Duration) [2]time.Duration {
	switch k {
	case freeze: // a lease is missed for certain
		return [2]time.Duration{lease * 3 / 2, lease * 5 / 2}
	case netStall: // or not
		return [2]time.Duration{lease / 2, lease * 2}
	case killFetched:
		return [2]time.Duration{0, 20 * time.Millisecond}
	case killStep:
		return [2]time.Duration{0, 200 * time.Millisecond}
	case killDrain:
		return [2]time.Duration{0, time.Second}
	case brokerKill, storeKill, storeHole:
		return [2]time.Duration{0, 2 * time.Second}
	case storeBusy:
		return [2]time.Duration{500 * time.Millisecond, 3 * time.Second}
	case collectorAway:
		return [2]time.Duration{time.Second, 10 * time.Second}
	default:
		return [2]time.Duration{}
	}
}

func between(r *rand.Rand, b [2]time.Duration) time.Duration {
	if b[1] <= b[0] {
		return b[0]
	}
	return b[0] + time.Duration(r.Int64N(int64(b[1]-b[0]))).Round(time.Millisecond)
}
