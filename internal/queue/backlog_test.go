package queue

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBacklog(t *testing.T) {
	t.Parallel()
	layout := Layout{Models: []string{"a"}}
	server, c := newQueue(t, layout)
	source := newSource(t, c, SourceConfig{Layout: layout})
	publishMany(t, c, "normal", "a", 3)
	publishMany(t, c, "low", "a", 1)
	visible(t, c, layout)
	held := fetch(t, source, 2)
	if err := held[0].Nak(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	again := fetchOne(t, source)
	got, err := c.Backlog(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	want := []Backlog{
		{Stream: "JOBS", Consumer: "w-high-a"},
		{Stream: "JOBS", Consumer: "w-normal-a", Pending: 1, Held: 2, Redelivered: 1},
		{Stream: "JOBS", Consumer: "w-low-a", Pending: 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, d := range append(held[1:], again) {
		if err := d.Ack(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if got, err := c.Backlog(t.Context(), "nobody's"); err != nil || len(got) != 0 {
		t.Errorf("of consumers that are missing: %v, %v", got, err)
	}
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Backlog(t.Context(), "a"); err == nil {
		t.Errorf("of a broker that is away: %v", got)
	}
}
