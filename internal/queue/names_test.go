package queue

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// all lists every name, so that a change of one is seen.
func all(n Names) []string {
	return []string{
		n.JobsStream(), n.ResultsStream(), n.DeadStream(), n.BatchesBucket(), n.AttemptsBucket(), n.ModelsBucket(),
		n.JobSubject(High, "sd-1.5", "b"), n.BatchFilter("b"), n.consumerFilter(Low, "sd-1.5"), ConsumerName(Low, "sd-1.5"),
		n.ResultSubject("b", 12), n.ResultFilter("b"), n.DeadSubject("b", 12), n.deadSequenceSubject("b", 99),
		n.deadSequenceSubject("a b*\x00", 1), n.deadSequenceSubject("", 1),
		n.ProgressSubject("b", 12), n.ProgressFilter("*"), n.StatusSubject("host.example-1"), n.StatusFilter(),
	}
}

func TestNames(t *testing.T) {
	want := []string{
		"JOBS", "RESULTS", "DEAD", "batches", "attempts", "models",
		"jobs.high.sd-1_5.b", "jobs.*.*.b", "jobs.low.sd-1_5.*", "w-low-sd-1_5",
		"results.b.12", "results.b.*", "dead.b.12", "dead.b.s99", "dead.a_b__.s1", "dead._.s1",
		"progress.b.12", "progress.*.*", "status.host_example-1", "status.*",
	}
	if diff := cmp.Diff(want, all(Names{})); diff != "" {
		t.Errorf("without a prefix (-want +got):\n%s", diff)
	}
	acme, err := NewNames("acme")
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range want {
		switch {
		case i < 6:
			want[i] = "acme_" + name
		case !strings.HasPrefix(name, "w-"):
			want[i] = "acme." + name
		}
	}
	if diff := cmp.Diff(want, all(acme)); diff != "" {
		t.Errorf("with a prefix (-want +got):\n%s", diff)
	}
	for _, bad := range []string{"a.b", "a b", "a*", "jobs", "results", strings.Repeat("x", 33), "é"} {
		if _, err := NewNames(bad); err == nil {
			t.Errorf("NewNames(%q) succeeded", bad)
		}
	}
}

func TestParseJobSubject(t *testing.T) {
	acme, err := NewNames("acme")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []Names{{}, acme} {
		priority, model, batch, ok := n.parseJobSubject(n.JobSubject(Normal, "sd-1.5", "b"))
		if !ok || priority != Normal || model != "sd-1_5" || batch != "b" {
			t.Errorf("got %q %q %q %v", priority, model, batch, ok)
		}
		for _, bad := range []string{"", "jobs.high.m", "jobs.high.m.b.c", "results.b.1.2", "other.jobs.high.m.b"} {
			if _, _, _, ok := n.parseJobSubject(bad); ok {
				t.Errorf("%q was taken for a job's subject under prefix %q", bad, n.Prefix())
			}
		}
	}
}
