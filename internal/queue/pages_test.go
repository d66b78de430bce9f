package queue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/stipple-ai/stipple/internal/local/natsd"
)

// TestPages reads parts of results that lie between those of other batches, some of them replaced.
func TestPages(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, Layout{})
	for i := range 30 { // b has one of three
		record(t, c, "a", int64(2*i), 0)
		record(t, c, "a", int64(2*i+1), 0)
		record(t, c, "b", int64(i), 0)
	}
	record(t, c, "b", 3, 1) // takes an earlier one's place, at the end
	shown := func(all []Followed) string {
		var ids []string
		for _, f := range all {
			ids = append(ids, fmt.Sprint(f.Index))
		}
		return strings.Join(ids, " ")
	}
	var pages []string
	for after, more := uint64(0), true; more; {
		p, err := c.PageResults(t.Context(), "b", after, 12)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, fmt.Sprintf("%s (%d more)", shown(p.Entries), p.Pending))
		after, more = p.Last, p.Pending > 0
	}
	want := []string{"0 1 2 4 5 6 7 8 9 10 11 12 (18 more)", "13 14 15 16 17 18 19 20 21 22 23 24 (6 more)", "25 26 27 28 29 3 (0 more)"}
	if diff := cmp.Diff(want, pages); diff != "" {
		t.Errorf("in order (-want +got):\n%s", diff)
	}
	pages = nil
	for before := uint64(0); ; {
		newest, err := c.NewestResults(t.Context(), "b", before, 12)
		if err != nil {
			t.Fatal(err)
		}
		if len(newest) == 0 {
			break
		}
		pages = append(pages, shown(newest))
		before = newest[len(newest)-1].Sequence
	}
	want = []string{"3 29 28 27 26 25 24 23 22 21 20 19", "18 17 16 15 14 13 12 11 10 9 8 7", "6 5 4 2 1 0"}
	if diff := cmp.Diff(want, pages); diff != "" {
		t.Errorf("the newest first (-want +got):\n%s", diff)
	}
	all, err := c.NewestResults(t.Context(), "*", 0, 1000)
	if err != nil || len(all) != 90 || all[0].Index != 3 {
		t.Errorf("of all batches: %d, %v", len(all), err)
	}
	some, err := c.ResultsOf(t.Context(), "b", 2, 4)
	if err != nil || shown(some) != "2 3 4 5" || some[1].Retry != 1 {
		t.Errorf("by index: %s, %v", shown(some), err)
	}
	if some, err = c.ResultsOf(t.Context(), "b", 28, 100); err != nil || shown(some) != "28 29" {
		t.Errorf("by index, at the end: %s, %v", shown(some), err)
	}
	if none, err := c.ResultsOf(t.Context(), "none", 0, 10); err != nil || len(none) != 0 {
		t.Errorf("of no batch: %s, %v", shown(none), err)
	}
	if none, err := c.NewestResults(t.Context(), "none", 0, 10); err != nil || len(none) != 0 {
		t.Errorf("the newest of no batch: %s, %v", shown(none), err)
	}
	if p, err := c.PageResults(t.Context(), "none", 0, 10); err != nil || len(p.Entries) != 0 || p.Pending != 0 {
		t.Errorf("a page of no batch: %+v, %v", p, err)
	}
	if _, err := c.ResultsOf(t.Context(), "*", 0, 1); err == nil {
		t.Error("a pattern is taken for a batch")
	}
}

func TestPagesOfDeadLetters(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, shortLease)
	if last, err := c.LastDead(t.Context()); err != nil || last != 0 {
		t.Errorf("the last of none: %d, %v", last, err)
	}
	for i := range 5 {
		if _, err := c.js.PublishMsg(t.Context(), natsMsg(fmt.Sprintf("dead.b%d.%d", i%2, i), "", "not ours")); err != nil {
			t.Fatal(err)
		}
	}
	first, err := c.PageDead(t.Context(), "", 0, 3)
	if diff := cmp.Diff([]uint64{1, 2, 3}, sequences(first.Entries)); err != nil || diff != "" || first.Pending != 2 || first.Last != 3 {
		t.Errorf("%v, %d more behind %d (-want +got):\n%s", err, first.Pending, first.Last, diff)
	}
	rest, err := c.PageDead(t.Context(), "", first.Last, 3)
	if diff := cmp.Diff([]uint64{4, 5}, sequences(rest.Entries)); err != nil || diff != "" || rest.Pending != 0 {
		t.Errorf("%v, %d more (-want +got):\n%s", err, rest.Pending, diff)
	}
	of, err := c.PageDead(t.Context(), "b1", 0, 1)
	if diff := cmp.Diff([]uint64{2}, sequences(of.Entries)); err != nil || diff != "" || of.Pending != 1 {
		t.Errorf("of one batch: %v, %d more (-want +got):\n%s", err, of.Pending, diff)
	}
	if last, err := c.LastDead(t.Context()); err != nil || last != 5 {
		t.Errorf("the last: %d, %v", last, err)
	}
}

// TestNoAnswerIsNotNothing: where nobody answers in time, nothing is said of what is there.
func TestNoAnswerIsNotNothing(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, Layout{Models: []string{"m"}})
	record(t, c, "b", 1, 0)
	publish(t, c, Normal, plainJob(1))
	again := plainJob(2)
	again.Retry = 1
	publish(t, c, Normal, again)
	for _, stream := range []string{"JOBS", "RESULTS"} {
		s, err := c.js.Stream(t.Context(), stream)
		if err != nil {
			t.Fatal(err)
		}
		cfg := s.CachedInfo().Config
		cfg.AllowDirect = false
		if _, err := c.js.UpdateStream(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		sub, err := c.nc.Subscribe("$JS.API.DIRECT.GET."+stream, func(*nats.Msg) {}) // in its place, without a word
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := sub.Unsubscribe(); err != nil {
				t.Error(err)
			}
		}()
	}
	for what, ask := range map[string]func(context.Context) error{
		"PageResults": func(ctx context.Context) error {
			_, err := c.PageResults(ctx, "b", 0, 10)
			return err
		},
		"NewestResults": func(ctx context.Context) error {
			_, err := c.NewestResults(ctx, "b", 0, 10)
			return err
		},
		"FindJob of a retry": func(ctx context.Context) error {
			_, _, err := c.FindJob(ctx, "b", 2)
			return err
		},
		"FindJob, and what is behind it": func(ctx context.Context) error {
			_, _, err := c.FindJob(ctx, "b", 1)
			return err
		},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		if err := ask(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v, want that it is out of time", what, err)
		}
		cancel()
	}
}

// TestLastOfThatBreaksOff: a message that was found and cannot be read ends the answer as if there were no more.
func TestLastOfThatBreaksOff(t *testing.T) {
	t.Parallel()
	c := connect(t, startBroker(t, natsd.Options{}), Config{})
	sub, err := c.nc.Subscribe("$JS.API.DIRECT.GET.RESULTS", func(request *nats.Msg) {
		for _, answer := range []*nats.Msg{
			{Data: []byte("{}"), Header: nats.Header{
				"Nats-Stream": {"RESULTS"}, "Nats-Subject": {"results.b.1"}, "Nats-Sequence": {"1"},
				"Nats-Time-Stamp": {"2026-01-02T15:04:05Z"}, "Nats-Num-Pending": {"1"},
			}},
			{Header: nats.Header{"Status": {"404"}, "Description": {"Message Not Found"}}},
		} {
			if err := request.RespondMsg(answer); err != nil {
				t.Error(err)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := sub.Unsubscribe(); err != nil {
			t.Error(err)
		}
	}()
	if got, err := c.lastOf(t.Context(), "RESULTS", []string{"results.b.1", "results.b.2"}); err == nil || !transient(err) {
		t.Errorf("%d messages, %v; want that it is tried again", len(got), err)
	}
}
