// Package grafana holds that dashboard and rules parse, ask for metrics and labels that workers serve, and that each
// rule fires when it should and at no other time.
package grafana_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
)

// scraped are labels that the scraper adds.
var scraped = []string{"job", "instance"}

// metrics reads metrics.txt: the labels of each series, those of histograms under the names of their parts.
func metrics(t *testing.T) map[string][]string {
	t.Helper()
	data, err := os.ReadFile("metrics.txt")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string][]string{}
	for line := range strings.Lines(string(data)) {
		fields := append(strings.Fields(line), "")
		name, kind := fields[0], fields[1]
		labels := append(strings.Split(fields[2], ","), scraped...)
		if kind != "histogram" {
			known[name] = labels
			continue
		}
		for _, part := range []string{"_bucket", "_sum", "_count"} {
			known[name+part] = labels
		}
	}
	return known
}

// check parses an expression and holds that the metrics it asks for have the labels by which it picks and groups.
func check(t *testing.T, known map[string][]string, where, expr string) {
	t.Helper()
	tree, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		t.Errorf("%s: %v", where, err)
		return
	}
	has := func(node parser.Node, label string) {
		for _, name := range selected(node) {
			if !slices.Contains(known[name], label) {
				t.Errorf("%s: %s has no label %s", where, name, label)
			}
		}
	}
	parser.Inspect(tree, func(node parser.Node, _ []parser.Node) error {
		switch n := node.(type) {
		case *parser.VectorSelector:
			if _, ok := known[n.Name]; !ok {
				t.Errorf("%s: workers serve no %q", where, n.Name)
				return nil
			}
			for _, m := range n.LabelMatchers {
				if m.Name != "__name__" {
					has(n, m.Name)
				}
			}
		case *parser.AggregateExpr:
			for _, label := range n.Grouping {
				has(n.Expr, label)
			}
		case *parser.BinaryExpr:
			if n.VectorMatching != nil {
				for _, label := range n.VectorMatching.MatchingLabels {
					has(n.LHS, label)
					has(n.RHS, label)
				}
			}
		}
		return nil
	})
}

// selected are the metrics below a node.
func selected(node parser.Node) []string {
	var names []string
	parser.Inspect(node, func(n parser.Node, _ []parser.Node) error {
		if v, ok := n.(*parser.VectorSelector); ok {
			names = append(names, v.Name)
		}
		return nil
	})
	return names
}

// TestCheck: the check itself finds what it is there for.
func TestCheck(t *testing.T) {
	if len(metrics(t)) < 40 {
		t.Errorf("%d series are known", len(metrics(t)))
	}
	if got := metrics(t)["worker_upload_duration_seconds_bucket"]; !slices.Contains(got, "le") || !slices.Contains(got, "error_type") {
		t.Errorf("labels %v", got)
	}
}
