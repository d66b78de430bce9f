package page

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/stipple-ai/stipple/internal/ops"
	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/upload"
	"github.com/stipple-ai/stipple/internal/web"
)

// Batch is a batch of any age. Where its results are gone and its record keeps no counts, the pictures in the bucket are
// counted.
func (s *System) Batch(ctx context.Context, id string) (web.Batch, error) {
	var record queue.Batch
	err := s.ask(ctx, func(ctx context.Context, c *queue.Client) (err error) {
		record, err = c.GetBatch(ctx, id)
		return err
	})
	f := &s.facts
	f.mu.Lock()
	t := f.tallies[id]
	f.mu.Unlock()
	switch {
	case (errors.Is(err, queue.ErrNoBatch) || errors.Is(err, queue.ErrMissing)) && t == nil:
		return web.Batch{}, web.Errorf(http.StatusNotFound, "there is no batch %s", id)
	case errors.Is(err, queue.ErrNoBatch):
		record = queue.Batch{ID: id, Created: t.first}
	case err != nil:
		return web.Batch{}, err
	}
	f.mu.Lock()
	shown := f.batch(record, time.Now())
	f.mu.Unlock()
	if shown.Pending > 0 && record.State == queue.BatchCommitted {
		if gone, err := s.gone(ctx, id); err != nil || !gone {
			return shown, err
		}
		if n, err := s.countPictures(ctx, id); err == nil {
			shown.Succeeded = max(shown.Succeeded, n)
			shown.Images, shown.From, shown.Done = shown.Succeeded, "bucket", true
			shown.Pending = max(shown.Total-shown.Succeeded-shown.Failed-shown.Cancelled-shown.Expired, 0)
		}
	}
	return shown, nil
}

// gone reports whether a batch has no job in the queue: what it lacks are results that were kept long enough.
func (s *System) gone(ctx context.Context, id string) (gone bool, err error) {
	err = s.ask(ctx, func(ctx context.Context, c *queue.Client) error {
		waiting, err := c.WaitingJobs(ctx, id)
		gone = waiting == 0
		return err
	})
	f := &s.facts
	f.mu.Lock()
	defer f.mu.Unlock()
	return gone && f.read >= f.old, err
}

// countPictures counts the jobs of a batch whose picture lies in the bucket.
func (s *System) countPictures(ctx context.Context, id string) (int64, error) {
	store, err := s.stores.Get(ctx, s.bucketOf(id))
	if err != nil {
		return 0, err
	}
	count, last := int64(0), int64(-1)
	for o, err := range store.List(ctx, upload.BatchPrefix(s.cfg.Store.Prefix, id)) {
		if err != nil {
			return 0, err
		}
		// Keys come in order, so those of one job are neighbours.
		if k, ok := upload.ParseKey(s.cfg.Store.Prefix, o.Key); ok && k.Batch == id && k.Index != last {
			last = k.Index
			count++
		}
	}
	return count, nil
}

// Images is a page of images.
func (s *System) Images(ctx context.Context, q web.ImageQuery) (web.ImagePage, error) {
	page := web.ImagePage{Images: []web.Image{}}
	if s.facts.empty() {
		return page, nil
	}
	batch := q.Batch
	if batch == "" {
		batch = "*"
	}
	var found []queue.Followed
	err := s.ask(ctx, func(ctx context.Context, c *queue.Client) (err error) {
		switch q.Order {
		case web.ByIndex:
			found, err = c.ResultsOf(ctx, batch, q.From, q.Limit)
		case web.Newest:
			found, err = c.NewestResults(ctx, batch, q.After, q.Limit)
			if n := len(found); n == q.Limit {
				page.Next = strconv.FormatUint(found[n-1].Sequence, 10)
			}
		case web.ByRecord:
			var p queue.Page[queue.Followed]
			p, err = c.PageResults(ctx, batch, q.After, q.Limit)
			if found = p.Entries; p.Pending > 0 {
				page.Next = strconv.FormatUint(p.Last, 10)
			}
		}
		return err
	})
	if err != nil {
		return page, err
	}
	some := make([]landed, len(found))
	for i, f := range found {
		some[i] = landedOf(f)
	}
	s.findPrompts(ctx, some)
	for _, l := range some {
		page.Images = append(page.Images, l.image)
	}
	page.Total = s.facts.ended(q.Batch)
	return page, nil
}

// ended is how many jobs of a batch have a result, "" of all.
func (f *facts) ended(batch string) (n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, t := range f.tallies {
		if batch == "" || id == batch {
			n += t.all.Summary().Total()
		}
	}
	return n
}

// Job is all that is known of a job.
func (s *System) Job(ctx context.Context, batch string, index int64) (web.Details, error) {
	x := s.inquire(batch, index)
	if err := s.ask(ctx, x.Ask); err != nil {
		return web.Details{}, forPeople(err)
	}
	s.readPicture(ctx, x)
	e := x.Explanation
	e.ID = fmt.Sprintf("%s/%d", batch, index)
	e.Account()
	d := web.Details{TraceID: e.TraceID, Images: []web.Image{}, Job: e.Job}
	if e.Decoded != nil {
		again := *e.Decoded
		again.Seed = e.Seed // of the job, whose name the picture's file does not hold
		d.Command = ops.Command(again)
	}
	var err error
	if d.Ledger, err = json.Marshal(e); err != nil {
		return d, err
	}
	if x.Result != nil {
		if d.Result, err = json.Marshal(*x.Result); err != nil {
			return d, err
		}
	}
	if e.Image != nil {
		shown := queue.Followed{Result: queue.Result{BatchID: batch, Index: index, Status: e.Status, Seed: e.Seed, Model: e.Model, Worker: e.Worker, Image: e.Image, Error: e.Error}}
		if recorded, err := s.recorded(ctx, batch, index); err == nil {
			shown.Stored = recorded
		}
		l := landedOf(shown)
		if e.Decoded != nil {
			l.image.Prompt = queue.Or(e.Decoded.Prompt, "")
		}
		d.Images = append(d.Images, l.image)
	}
	return d, nil
}

// recorded is when the result of a job was stored; zero where there is none.
func (s *System) recorded(ctx context.Context, batch string, index int64) (at time.Time, err error) {
	err = s.ask(ctx, func(ctx context.Context, c *queue.Client) error {
		found, err := c.ResultsOf(ctx, batch, index, 1)
		if len(found) == 1 {
			at = found[0].Stored
		}
		return err
	})
	return at, err
}
