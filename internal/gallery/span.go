// Package gallery shows pictures and where their time went: a web page in one file, a contact sheet, and the
// waterfalls of spans that the page draws. It computes and renders; where pictures and spans come from is the
// caller's business.
package gallery

import (
	"cmp"
	"slices"
	"time"
)

// Span is one span of a trace, as far as a waterfall shows it.
type Span struct {
	ID, Parent string // Parent is "" for a root
	Name       string
	Kind       string // PRODUCER and CONSUMER enclose the wait in the queue; others need none
	Start, End time.Time
	Failed     bool
	Message    string // why it failed
	Attributes map[string]any
}

// node is a span with its place in the tree.
type node struct {
	Span
	depth int
	// waited is from when on the job of a CONSUMER span lay in the queue before it; zero for other spans.
	waited time.Time
}

// queueTime is the attribute of a CONSUMER span that says how long its message was in the queue, in seconds.
const queueTime = "job.queue_time"

// tree returns the spans depth first, siblings by their start. A span whose parent is not among them is a root.
func tree(spans []Span) []node {
	spans = slices.Clone(spans)
	slices.SortStableFunc(spans, func(a, b Span) int {
		return cmp.Or(a.Start.Compare(b.Start), b.End.Compare(a.End))
	})
	byID := make(map[string]Span, len(spans))
	children := make(map[string][]Span, len(spans))
	for _, s := range spans {
		byID[s.ID] = s
	}
	var roots []Span
	for _, s := range spans {
		if _, known := byID[s.Parent]; known && s.Parent != s.ID {
			children[s.Parent] = append(children[s.Parent], s)
		} else {
			roots = append(roots, s)
		}
	}
	var nodes []node
	seen := make(map[string]bool, len(spans)) // an exporter that tries again may send a span twice
	var walk func(s Span, depth int)
	walk = func(s Span, depth int) {
		if seen[s.ID] {
			return
		}
		seen[s.ID] = true
		nodes = append(nodes, node{Span: s, depth: depth})
		for _, c := range children[s.ID] {
			walk(c, depth+1)
		}
	}
	for _, s := range append(roots, spans...) { // the latter for spans that are each other's parents
		walk(s, 0)
	}
	addWaits(nodes, byID)
	return nodes
}

// addWaits finds out since when the job of each CONSUMER span lay in the queue: since the attempt before it ended,
// else since its parent, which published it, ended, else for as long as it says itself.
func addWaits(nodes []node, byID map[string]Span) {
	attempts := make(map[string]time.Time) // by parent: the end of the last attempt
	for i := range nodes {
		n := &nodes[i]
		if n.Kind != "CONSUMER" {
			continue
		}
		since, again := attempts[n.Parent]
		attempts[n.Parent] = n.End
		if parent, known := byID[n.Parent]; !again && known {
			since = parent.End
		} else if seconds, ok := n.Attributes[queueTime].(float64); !again && ok {
			since = n.Start.Add(-time.Duration(seconds * float64(time.Second)))
		}
		if !since.IsZero() && since.Before(n.Start) {
			n.waited = since
		}
	}
}
