package gallery

import (
	"cmp"
	"slices"
	"time"
)

// idleShare is the largest part of an axis that stretches without work may take.
const idleShare = 0.25

// axis maps times to positions from 0 to 100, from the start of the first span to the end of the last. Stretches
// in which no span is open, such as a wait in the queue, are drawn shorter where they would take more than
// idleShare of the axis; all else is to one scale.
type axis []stretch

// stretch is a part of an axis with one scale.
type stretch struct {
	from, to time.Time
	x0, x1   float64 // percent
	short    bool    // drawn shorter than the axis' scale
}

// newAxis returns the axis of nodes; nil where nothing takes time.
func newAxis(nodes []node) axis {
	parts, busy, idle := stretches(nodes)
	if busy+idle <= 0 {
		return nil
	}
	scale, idleScale := 100/float64(busy+idle), 100/float64(busy+idle)
	if busy > 0 && float64(idle) > idleShare*float64(busy+idle) {
		scale = 100 * (1 - idleShare) / float64(busy)
		idleScale = 100 * idleShare / float64(idle)
	}
	x := 0.0
	for i := range parts {
		p := &parts[i]
		per := scale
		if p.short {
			per, p.short = idleScale, idleScale < scale
		}
		p.x0 = x
		x += per * float64(p.to.Sub(p.from))
		p.x1 = x
	}
	return parts
}

// stretches cuts the time of nodes into parts in which something runs and parts (short is set) in which nothing does,
// alternating, and sums both.
func stretches(nodes []node) (parts []stretch, busy, idle time.Duration) {
	open := make([]stretch, 0, 2*len(nodes))
	for _, n := range nodes {
		open = append(open, stretch{from: n.Start, to: later(n.Start, n.End)})
		if !n.waited.IsZero() { // nothing runs, but the axis has to reach back
			open = append(open, stretch{from: n.waited, to: n.waited})
		}
	}
	slices.SortFunc(open, func(a, b stretch) int { return cmp.Or(a.from.Compare(b.from), a.to.Compare(b.to)) })
	for _, o := range open {
		if len(parts) == 0 {
			parts = append(parts, o)
			continue
		}
		last := &parts[len(parts)-1]
		if o.from.After(last.to) {
			parts = append(parts, stretch{from: last.to, to: o.from, short: true}, o)
			continue
		}
		last.to = later(last.to, o.to)
	}
	for _, p := range parts {
		if p.short {
			idle += p.to.Sub(p.from)
		} else {
			busy += p.to.Sub(p.from)
		}
	}
	return parts, busy, idle
}

// at is the position of t; before the axis it is 0, after it 100.
func (a axis) at(t time.Time) float64 {
	x := 0.0
	for _, p := range a {
		if t.Before(p.from) {
			break
		}
		x = p.x1
		if t.Before(p.to) {
			return p.x0 + (p.x1-p.x0)*float64(t.Sub(p.from))/float64(p.to.Sub(p.from))
		}
	}
	return x
}

// shortened says whether a part of from..to is drawn shorter than the axis' scale.
func (a axis) shortened(from, to time.Time) bool {
	return slices.ContainsFunc(a, func(p stretch) bool { return p.short && p.from.Before(to) && from.Before(p.to) })
}

// Tick is a mark on an axis.
type Tick struct {
	At    float64 // percent
	Label string  // time since the axis' zero
}

// ticks returns marks at round times from zero on, about most of them, none in shortened stretches.
func (a axis) ticks(zero time.Time, most int64) []Tick {
	var scaled time.Duration // after zero, and drawn to scale
	for _, p := range a {
		if !p.short && p.to.After(zero) {
			scaled += p.to.Sub(later(p.from, zero))
		}
	}
	step := roundStep(scaled, most)
	var ticks []Tick
	for i, p := range a {
		if p.short || p.to.Before(zero) {
			continue
		}
		end := p.to // is the next stretch's, except at the end of the axis
		if i == len(a)-1 {
			end = end.Add(1)
		}
		first := later(p.from, zero).Sub(zero)
		if over := first % step; over > 0 {
			first += step - over
		}
		for d := first; zero.Add(d).Before(end); d += step {
			label := "0"
			if d > 0 {
				label = FormatDuration(d)
			}
			ticks = append(ticks, Tick{a.at(zero.Add(d)), label})
		}
	}
	return ticks
}

// roundStep is the smallest of 1, 2 and 5 times a power of ten of nanoseconds of which total holds less than most.
func roundStep(total time.Duration, most int64) time.Duration {
	for power := int64(1); ; power *= 10 {
		for _, m := range []int64{1, 2, 5} {
			if total.Nanoseconds()/(m*power) < most {
				return time.Duration(m * power)
			}
		}
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
