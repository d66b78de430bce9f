package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stipple-ai/stipple/internal/local/otlpd"
)

// collector is an OTLP sink that keeps everything it is sent, and the variables that lead a program to it.
func collector(t *testing.T) (*otlpd.Server, []string) {
	t.Helper()
	s, err := otlpd.Start(otlpd.Options{KeepBodies: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Stop() })
	return s, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + s.Endpoint(), "OTEL_BSP_SCHEDULE_DELAY=200"}
}

// spans are those of a collector, found by what one looks for.
type (
	span  = otlpd.Span
	spans []span
)

// spansOf are the spans that a collector has, each once: an export that is cut off when its program leaves is made anew,
// and what had arrived arrives again. Backends know it by its ids.
func spansOf(s *otlpd.Server) spans { return once(s.Spans()) }

func once(all []span) spans {
	type ids struct{ trace, span string }
	known := map[ids]bool{}
	var found spans
	for _, span := range all {
		if id := (ids{span.TraceID, span.SpanID}); !known[id] {
			known[id] = true
			found = append(found, span)
		}
	}
	return found
}

// named are the spans of that name, in order of their start.
func (s spans) named(name string) spans {
	var found spans
	for _, span := range s {
		if span.Name == name {
			found = append(found, span)
		}
	}
	slices.SortFunc(found, func(a, b span) int { return a.Start.Compare(b.Start) })
	return found
}

// trace are the spans of a trace.
func (s spans) trace(id string) spans {
	var found spans
	for _, span := range s {
		if span.TraceID == id {
			found = append(found, span)
		}
	}
	return found
}

// with are the spans with that value of an attribute.
func (s spans) with(attribute string, value any) spans {
	var found spans
	for _, span := range s {
		if span.Attributes[attribute] == value {
			found = append(found, span)
		}
	}
	return found
}

// tree draws spans below a parent, "" for the roots, as `name(child, child)`, children in order of their start. Spans
// whose parent is somewhere else are roots.
func (s spans) tree(parent string) string {
	known := map[string]bool{}
	for _, span := range s {
		known[span.SpanID] = true
	}
	var children spans
	for _, span := range s {
		if span.ParentID == parent || parent == "" && !known[span.ParentID] {
			children = append(children, span)
		}
	}
	slices.SortFunc(children, func(a, b span) int { return a.Start.Compare(b.Start) })
	var drawn []string
	for _, span := range children {
		text := span.Name
		if below := s.tree(span.SpanID); below != "" {
			text += "(" + below + ")"
		}
		drawn = append(drawn, text)
	}
	return strings.Join(drawn, ", ")
}

// await waits until a collector has n spans of a name, and returns all it has.
func await(t *testing.T, s *otlpd.Server, n int, name string) spans {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	all, err := s.WaitFor(ctx, func(all []span) bool { return len(once(all).named(name)) >= n })
	if err != nil {
		t.Fatalf("the collector has %v, want %d of %s: %v", names(all), n, name, err)
	}
	return once(all)
}

// names counts spans by name.
func names(all []span) string {
	count := map[string]int{}
	for _, span := range all {
		count[span.Name]++
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(count)) {
		list = append(list, fmt.Sprintf("%s×%d", name, count[name]))
	}
	return strings.Join(list, " ")
}

// checkAttributes holds that a span has these attributes, of these types.
func checkAttributes(t *testing.T, span span, want map[string]any) {
	t.Helper()
	for name, value := range want {
		if got := span.Attributes[name]; got != value {
			t.Errorf("%s of %s is %v (%T), want %v (%T)", name, span.Name, got, got, value, value)
		}
	}
}

// checkSent holds that every one of the words was sent to the collector, and checkNowhere that none was.
func checkSent(t *testing.T, s *otlpd.Server, words ...string) {
	t.Helper()
	for _, word := range words {
		if !sent(s, word) {
			t.Errorf("nothing that was sent to the collector has %q in it", word)
		}
	}
}

func checkNowhere(t *testing.T, s *otlpd.Server, words ...string) {
	t.Helper()
	for _, word := range words {
		if sent(s, word) {
			t.Errorf("what was sent to the collector has %q in it", word)
		}
	}
}

func sent(s *otlpd.Server, word string) bool {
	return slices.ContainsFunc(s.Requests(), func(r otlpd.Request) bool { return bytes.Contains(r.Body, []byte(word)) })
}
