package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/stipple-ai/stipple/internal/ops"
	"github.com/stipple-ai/stipple/internal/queue"
)

// write writes the overview for people.
func (o *overview) write(w io.Writer, now time.Time) {
	if len(o.Batches) == 0 {
		fmt.Fprintln(w, "no batches")
	} else {
		o.batches(now).write(w)
	}
	if o.Older > 0 {
		fmt.Fprintf(w, "… and %d that began before (--limit 0 lists all)\n", o.Older)
	}
	fmt.Fprintln(w)
	if len(o.Queue) == 0 {
		fmt.Fprintln(w, "no jobs, and no worker has served a model yet")
	} else {
		o.depths(now).write(w)
	}
	fmt.Fprintln(w)
	if len(o.Workers) == 0 {
		fmt.Fprintf(w, "no worker was heard within %v\n", ops.HearFor)
	} else {
		o.workers().write(w)
	}
	for _, l := range o.Stranded {
		fmt.Fprintf(w, "\n%s stranded: %s. Run: enqueue repair\n", isOrAre(l.Jobs, "job"), strandedWhy(l))
	}
}

// strandedWhy says what is wrong with a consumer.
func strandedWhy(s queue.Stranding) string {
	if s.Missing {
		return fmt.Sprintf("consumer %s is missing", s.Consumer)
	}
	return fmt.Sprintf("consumer %s does not deliver %s any more", s.Consumer, themOrIt(s.Jobs))
}

func (o *overview) batches(now time.Time) *table {
	t := newTable("BATCH", "STATE", "JOBS", "SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED", "WAITING", "BEGUN")
	for _, b := range o.Batches {
		state := b.State
		if b.State == queue.BatchEnqueuing {
			state = fmt.Sprintf("%s, %d sent", b.State, b.Sent)
		}
		if s := b.Summary; s != nil {
			t.add(b.BatchID, state, b.Total, s.Succeeded, s.Failed, s.Cancelled, s.Expired, b.Waiting, ago(b.Created, now))
		} else {
			t.add(b.BatchID, state, b.Total, fmt.Sprintf("%d done", b.Done), "", "", "", b.Waiting, ago(b.Created, now))
		}
	}
	return t
}

func (o *overview) depths(now time.Time) *table {
	t := newTable("PRIORITY", "MODEL", "WAITING", "RUNNING", "")
	for _, d := range o.Queue {
		var notes []string
		if !d.Consumer {
			notes = append(notes, "no worker has served this model yet")
		}
		if d.PausedUntil.After(now) {
			notes = append(notes, pausedUntil(d.PausedUntil, now))
		}
		t.add(d.Priority, d.Model, d.Waiting, d.Running, strings.Join(notes, ", "))
	}
	return t
}

func (o *overview) workers() *table {
	t := newTable("WORKER", "STATE", "JOBS", "STEPS/S", "MODELS")
	for _, s := range o.Workers {
		t.add(s.Worker, cmp.Or(s.State, "?"), fmt.Sprintf("%d of %d", s.Jobs, s.Slots), fmt.Sprintf("%.1f", s.StepsPerSecond), strings.Join(s.Models, ", "))
	}
	return t
}

// ago is a time before now, roughly; "" for the zero time.
func ago(t, now time.Time) string {
	switch d := now.Sub(t); {
	case t.IsZero():
		return ""
	case d < time.Second:
		return "now"
	case d < time.Minute:
		return fmt.Sprintf("%ds ago", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm ago", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh ago", d/time.Hour)
	default:
		return fmt.Sprintf("%dd ago", d/(24*time.Hour))
	}
}

// pausedUntil says how long a pause goes on; one of many years was meant for good.
func pausedUntil(t, now time.Time) string {
	if t.Sub(now) > 365*24*time.Hour {
		return "paused"
	}
	return "paused until " + t.UTC().Format(time.DateTime) + " UTC"
}

func isOrAre(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun + " is"
	}
	return ops.Plural(n, noun) + " are"
}

func themOrIt(n int64) string {
	if n == 1 {
		return "it"
	}
	return "them"
}
