package queue

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/nats-io/nats.go"

	"github.com/stipple-ai/stipple/internal/local/natsd"
)

func deadLetters(t *testing.T, c *Client, f DeadFilter) []DeadMessage {
	t.Helper()
	var all []DeadMessage
	for d, err := range c.DeadLetters(t.Context(), f) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
	return all
}

// sequences are those of letters.
func sequences(all []DeadMessage) []uint64 {
	var s []uint64
	for _, d := range all {
		s = append(s, d.Sequence)
	}
	return s
}

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, shortLease)
	source := newSource(t, c, SourceConfig{Layout: shortLease})
	if got := deadLetters(t, c, DeadFilter{}); got != nil {
		t.Errorf("in an empty stream: %+v", got)
	}
	before := time.Now()
	d := poison(t, c, source, "b/7#2")
	if err := c.DeadLetter(t.Context(), d, Failure{Type: TypeInvalidJob, Message: "bad", TraceID: strings.Repeat("0a", 16), Attempts: 3}); err != nil {
		t.Fatal(err)
	}
	if err := d.Term(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	lost := poison(t, c, source, "")
	if err := c.DeadLetter(t.Context(), lost, Failure{Type: TypeInvalidJob}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.js.PublishMsg(t.Context(), natsMsg("dead.x.y", "", "not ours")); err != nil {
		t.Fatal(err)
	}
	want := []DeadMessage{
		{
			Failure: Failure{TypeInvalidJob, "bad", strings.Repeat("0a", 16), 3}, ID: Identity{"b", 7, 2}, HasID: true, Subject: "jobs.normal.m.b",
			Header: nats.Header{"traceparent": {"00-a-b-01"}}, Data: []byte(`{"model":"m","steps":1}`), JobSeq: 1, Sequence: 1,
		},
		{
			Failure: Failure{Type: TypeInvalidJob}, ID: Identity{Batch: "b"}, Subject: "jobs.normal.m.b",
			Header: nats.Header{"traceparent": {"00-a-b-01"}}, Data: []byte(`{"model":"m","steps":1}`), JobSeq: 2, Sequence: 2,
		},
		{ID: Identity{Batch: "x"}, Header: nats.Header{}, Data: []byte("not ours"), Sequence: 3},
	}
	got := deadLetters(t, c, DeadFilter{})
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(DeadMessage{}, "Published", "Stored")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !got[0].Published.Equal(d.Published) || got[0].Stored.Before(before.Add(-time.Second)) || !got[2].Published.IsZero() {
		t.Errorf("published %v and %v, stored %v", got[0].Published, got[2].Published, got[0].Stored)
	}
}

func TestDeadFilter(t *testing.T) {
	t.Parallel()
	s, c := newQueue(t, Layout{})
	put := func(subject, errorType string) {
		t.Helper()
		msg := natsMsg(subject, "", "{}")
		msg.Header.Set(HeaderErrorType, errorType)
		if _, err := c.js.PublishMsg(t.Context(), msg); err != nil {
			t.Fatal(err)
		}
	}
	for range 300 { // more than one request, all in all
		put("dead.a.1", TypePanic)
		put("dead.b.1", TypeTimeout)
	}
	time.Sleep(10 * time.Millisecond)
	since := time.Now()
	put("dead.a.2", TypePanic)
	put("dead.a.3", TypeTimeout)
	put("dead.b.2", TypePanic)
	for _, tt := range []struct {
		name   string
		f      DeadFilter
		first  uint64
		number uint64
	}{
		{"all", DeadFilter{}, 1, 603},
		{"a batch", DeadFilter{Batch: "a"}, 1, 302},
		{"a type", DeadFilter{Type: TypeTimeout}, 2, 301},
		{"since", DeadFilter{Since: since}, 601, 3},
		{"all of it", DeadFilter{Batch: "a", Type: TypeTimeout, Since: since}, 602, 1},
		{"nothing", DeadFilter{Batch: "c"}, 0, 0},
		{"not yet", DeadFilter{Since: since.Add(time.Hour)}, 0, 0},
	} {
		got := sequences(deadLetters(t, c, tt.f))
		if uint64(len(got)) != tt.number || len(got) > 0 && got[0] != tt.first || !slices.IsSorted(got) {
			t.Errorf("%s: %d letters, the first at %v; want %d from %d", tt.name, len(got), got[:min(1, len(got))], tt.number, tt.first)
		}
	}
	left := uint64(603)
	for _, tt := range []struct {
		f      DeadFilter
		purged uint64
	}{
		{DeadFilter{Batch: "b", Type: TypeTimeout}, 300}, {DeadFilter{Batch: "a", Since: since}, 2}, {DeadFilter{Batch: "b"}, 1},
		{DeadFilter{Batch: "b"}, 0}, {DeadFilter{Type: TypeTimeout}, 0}, {DeadFilter{}, 300},
	} {
		n, err := c.PurgeDead(t.Context(), tt.f)
		left -= tt.purged
		if rest := waiting(t, c, "DEAD"); err != nil || n != tt.purged || rest != left {
			t.Errorf("PurgeDead(%+v): %d, %v, %d left; want %d and %d left", tt.f, n, err, rest, tt.purged, left)
		}
	}
	if deleted, err := connect(t, s, Config{}).deleteDead(t.Context(), 1); deleted || err != nil {
		t.Errorf("deleting what is gone: %v, %v", deleted, err)
	}
}

func TestDeadLettersOfNoStream(t *testing.T) {
	t.Parallel()
	c := connect(t, startBroker(t, natsd.Options{}), Config{})
	c.absence = 100 * time.Millisecond
	n := 0
	for _, err := range c.DeadLetters(t.Context(), DeadFilter{}) {
		if n++; err == nil {
			t.Error("a letter of no stream")
		}
	}
	if _, err := c.PurgeDead(t.Context(), DeadFilter{}); n != 1 || err == nil {
		t.Errorf("%d items, PurgeDead: %v; want an error each", n, err)
	}
}
