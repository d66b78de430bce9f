package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

// pageMost is how many entries a page has at most: the broker sends no more than 1024 messages for a request.
const pageMost = 1000

// Page is entries of a stream, for who looks at a part of it: it is read by single requests, without a consumer, and
// takes memory for what is in it alone.
type Page[T any] struct {
	Entries []T
	Last    uint64 // sequence of the last message that was read; a damaged one is no entry
	Pending uint64 // further ones of the same subjects behind it
}

// PageResults returns at most n results, at most 1000, of a batch, "*" for all batches, that are stored after a
// sequence, 0 for all, in the order in which they were.
func (c *Client) PageResults(ctx context.Context, batch string, after uint64, n int) (Page[Followed], error) {
	return readPage(ctx, c, c.names.ResultsStream(), c.names.ResultFilter(batch), after, n, c.followed)
}

// PageDead returns at most n dead letters, at most 1000, of a batch, "" for all, that are stored after a sequence, 0 for
// all, the oldest first.
func (c *Client) PageDead(ctx context.Context, batch string, after uint64, n int) (Page[DeadMessage], error) {
	return readPage(ctx, c, c.names.DeadStream(), c.names.deadFilter(batch), after, n, func(m *jetstream.RawStreamMsg, _ uint64) (DeadMessage, bool) {
		d := c.names.readDead(m.Subject, m.Header, m.Data)
		d.Sequence, d.Stored = m.Sequence, m.Time
		return d, true
	})
}

// followed reads a result; ok is false for one that is damaged.
func (c *Client) followed(m *jetstream.RawStreamMsg, pending uint64) (f Followed, ok bool) {
	r, err := DecodeResult(m.Data)
	return Followed{r, m.Sequence, pending, m.Time}, err == nil
}

// readPage reads a page.
func readPage[T any](ctx context.Context, c *Client, stream, filter string, after uint64, n int, read func(m *jetstream.RawStreamMsg, pending uint64) (T, bool)) (Page[T], error) {
	var p Page[T]
	err := c.try(ctx, "reading "+filter, func(ctx context.Context) error {
		p = Page[T]{Last: after}
		messages, err := jetstreamext.GetBatch(ctx, c.js, stream, min(max(n, 1), pageMost), jetstreamext.GetBatchSeq(after+1), jetstreamext.GetBatchSubject(filter))
		if err != nil {
			return err
		}
		for m, err := range messages {
			switch {
			case errors.Is(err, jetstreamext.ErrNoMessages):
				return nil
			case err != nil:
				return noAnswer(err)
			}
			if p.Pending, err = strconv.ParseUint(m.Header.Get("Nats-Num-Pending"), 10, 64); err != nil {
				return fmt.Errorf("the broker's answer: %w", err)
			}
			p.Last = m.Sequence
			if entry, ok := read(m, p.Pending); ok {
				p.Entries = append(p.Entries, entry)
			}
		}
		if p.Last == after {
			return errSilence
		}
		return nil
	})
	return p, err
}

// NewestResults returns at most n results, at most 1000, of a batch, "*" for all batches, that are stored before a
// sequence, 0 for the end, those first that were stored last. It looks for where the last n begin, which takes a request
// where results of other batches are not in between, and some twenty where they are.
func (c *Client) NewestResults(ctx context.Context, batch string, before uint64, n int) ([]Followed, error) {
	filter := c.names.ResultFilter(batch)
	n = min(max(n, 1), pageMost)
	if before == 0 {
		last, err := c.leaderGet(ctx, c.names.ResultsStream(), messageAt{Last: filter})
		if last == nil || err != nil {
			return nil, err
		}
		before = last.Sequence + 1
	}
	// Where no other results are in between, the last n lie in the last n sequences.
	if dense, err := c.PageResults(ctx, batch, max(before, uint64(n)+1)-uint64(n)-1, n); err != nil {
		return nil, err
	} else if k := len(dense.Entries); k == n && dense.Entries[k-1].Sequence < before {
		slices.Reverse(dense.Entries)
		return dense.Entries, nil
	}
	// after counts the results from a sequence on.
	after := func(sequence uint64) (int64, error) {
		p, err := readPage(ctx, c, c.names.ResultsStream(), filter, sequence-1, 1, func(*jetstream.RawStreamMsg, uint64) (struct{}, bool) { return struct{}{}, true })
		return int64(len(p.Entries)) + int64(p.Pending), err
	}
	behind, err := after(before)
	if err != nil {
		return nil, err
	}
	// Enough results lie from enough on, and too few from more on: a step twice as long each time, then halves.
	more, enough := before, before
	for step := uint64(n); enough > 1; step *= 2 {
		enough = max(before, step+1) - step
		have, err := after(enough)
		if err != nil {
			return nil, err
		}
		if have-behind >= int64(n) {
			break
		}
		more = enough
	}
	for more-enough > 1 {
		middle := enough + (more-enough)/2
		have, err := after(middle)
		if err != nil {
			return nil, err
		}
		switch {
		case have-behind == int64(n):
			enough, more = middle, middle
		case have-behind > int64(n):
			enough = middle
		default:
			more = middle
		}
	}
	p, err := c.PageResults(ctx, batch, max(enough, 1)-1, n)
	if err != nil {
		return nil, err
	}
	newest := slices.DeleteFunc(p.Entries, func(f Followed) bool { return f.Sequence >= before })
	slices.Reverse(newest)
	return newest, nil
}

// ResultsOf returns the results of jobs from to from+n-1 of a batch, at most 1000, of those that have one, by index. It
// takes one request.
func (c *Client) ResultsOf(ctx context.Context, batch string, from int64, n int) ([]Followed, error) {
	if err := (Identity{Batch: batch, Index: from}).validate(); err != nil {
		return nil, fmt.Errorf("reading results: %w", err)
	}
	subjects := make([]string, min(max(n, 1), lastOfMost))
	for i := range subjects {
		subjects[i] = c.names.ResultSubject(batch, from+int64(i))
	}
	var found []Followed
	err := c.try(ctx, fmt.Sprintf("reading results of batch %s from %d on", batch, from), func(ctx context.Context) error {
		messages, err := c.lastOf(ctx, c.names.ResultsStream(), subjects)
		if err != nil {
			return err
		}
		found = found[:0]
		for _, m := range messages {
			if f, ok := c.followed(m, 0); ok {
				found = append(found, f)
			}
		}
		return nil
	})
	slices.SortFunc(found, func(a, b Followed) int { return int(a.Index - b.Index) })
	return found, err
}

// LastDead returns the sequence of the last dead letter, 0 for none.
func (c *Client) LastDead(ctx context.Context) (uint64, error) {
	last, err := c.leaderGet(ctx, c.names.DeadStream(), messageAt{Last: c.names.deadFilter("")})
	if last == nil || err != nil {
		return 0, err
	}
	return last.Sequence, nil
}
