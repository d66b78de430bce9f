package page

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/upload"
	"github.com/stipple-ai/stipple/internal/web"
)

// Bounds of a poll.
const (
	shownLetters   = 20 // that an event about dead letters carries
	countedAtATime = 10 // batches whose dead letters are counted
)

// poll asks for what nobody tells: depths, batches, models, dead letters.
func (s *System) poll(ctx context.Context) {
	c := s.client.Load()
	if !c.Connected() {
		return // checkBroker says so
	}
	bounded, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	group, asking := errgroup.WithContext(bounded)
	f := &s.facts
	ask(group, f, "the queue's depth", func() ([]queue.Depth, error) { return c.QueueDepth(asking) }, &f.depths)
	ask(group, f, "the batches", func() ([]queue.Batch, error) { return c.ListBatches(asking) }, &f.batches)
	ask(group, f, "the models", func() ([]queue.Model, error) { return c.ListModels(asking) }, &f.models)
	group.Go(func() error {
		if err := s.pollLetters(asking, c); err != nil {
			return fmt.Errorf("the dead letters: %w", err)
		}
		return nil
	})
	err := group.Wait()
	if ctx.Err() == nil && c.Connected() {
		f.couldNot(err)
	}
}

// ask gathers one thing, which stays as it was where that fails.
func ask[T any](group *errgroup.Group, f *facts, what string, get func() (T, error), into *T) {
	group.Go(func() error {
		got, err := get()
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		*into = got
		return nil
	})
}

// pollLetters counts the dead letters, and reads the last of them when there are others than before.
func (s *System) pollLetters(ctx context.Context, c *queue.Client) error {
	p, err := c.PageDead(ctx, "", 0, 1)
	if err != nil {
		return err
	}
	last, err := c.LastDead(ctx)
	if err != nil {
		return err
	}
	now := lettersAt{count: int64(len(p.Entries)) + int64(p.Pending), last: last}
	f := &s.facts
	f.mu.Lock()
	before := f.letters
	f.letters = now
	f.mu.Unlock()
	if now != before {
		shown := web.LetterPage{Dead: []web.Letter{}, Count: now.count}
		// Where letters in between were put back, these are fewer.
		p, err := c.PageDead(ctx, "", max(last, shownLetters)-shownLetters, shownLetters)
		if err != nil {
			return err
		}
		for _, d := range p.Entries {
			shown.Dead = append(shown.Dead, letterOf(d))
		}
		s.board.tell(shown)
	}
	return s.countLetters(ctx, c, now)
}

// countLetters counts the dead letters of batches that have some, a few at a time.
func (s *System) countLetters(ctx context.Context, c *queue.Client, now lettersAt) error {
	f := &s.facts
	stale := map[string]int64{} // jobs that failed, by batch
	f.mu.Lock()
	for _, b := range f.batches[:min(len(f.batches), mostBatches)] {
		t := f.tallies[b.ID]
		if t == nil || len(stale) == countedAtATime {
			continue
		}
		if failed := t.all.Summary().Failed; failed > 0 && (f.lettered[b.ID].failed != failed || f.lettered[b.ID].all != now) {
			stale[b.ID] = failed
		}
	}
	f.mu.Unlock()
	for id, failed := range stale {
		p, err := c.PageDead(ctx, id, 0, 1)
		if err != nil {
			return err
		}
		f.mu.Lock()
		f.lettered[id] = letterCount{int64(len(p.Entries)) + int64(p.Pending), failed, now}
		f.mu.Unlock()
	}
	return nil
}

// lookForStranded looks for jobs that no consumer delivers.
func (s *System) lookForStranded(ctx context.Context) {
	f := &s.facts
	f.mu.Lock()
	var layout queue.Layout
	for _, m := range f.models {
		layout.Models = append(layout.Models, m.Name)
	}
	f.mu.Unlock()
	c := s.client.Load()
	if len(layout.Models) == 0 || !c.Connected() {
		return
	}
	bounded, cancel := context.WithTimeout(ctx, 2*askTimeout)
	defer cancel()
	stranded, err := c.Stranded(bounded, layout)
	if err != nil {
		return // poll says what is wrong with the queue
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stranded = stranded
}

// lookAtStore asks the store for an object that is not there: an answer is what counts.
func (s *System) lookAtStore(ctx context.Context) {
	bucket := s.anyBucket()
	if bucket == "" {
		return // nobody has said which, and no picture either
	}
	bounded, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	store, err := s.stores.Get(bounded, bucket)
	if err == nil {
		_, err = store.Head(bounded, s.cfg.Store.Prefix+".probe/none")
	}
	if errors.Is(err, upload.ErrNotFound) || errors.Is(err, upload.ErrUnknown) {
		err = nil
	}
	if ctx.Err() == nil {
		s.facts.storeIs(err)
	}
}

// anyBucket is the bucket that is set, or that of the newest batch with a picture.
func (s *System) anyBucket() string {
	if s.cfg.Store.Bucket != "" {
		return s.cfg.Store.Bucket
	}
	f := &s.facts
	f.mu.Lock()
	defer f.mu.Unlock()
	var newest *tally
	for _, t := range f.tallies {
		if t.bucket != "" && (newest == nil || t.last.After(newest.last)) {
			newest = t
		}
	}
	if newest == nil {
		return ""
	}
	return newest.bucket
}

// bucketOf is the bucket of a batch's pictures, "" if no result of it has told.
func (s *System) bucketOf(batch string) string {
	if s.cfg.Store.Bucket != "" {
		return s.cfg.Store.Bucket
	}
	f := &s.facts
	f.mu.Lock()
	defer f.mu.Unlock()
	if t := f.tallies[batch]; t != nil {
		return t.bucket
	}
	return ""
}

// serving are the workers that are heard, as ops wants them.
func (s *System) serving(context.Context, *queue.Client) ([]queue.Status, error) {
	f := &s.facts
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []queue.Status
	for _, w := range f.workers {
		if !w.gone {
			all = append(all, w.last)
		}
	}
	slices.SortFunc(all, byWorker)
	return all, nil
}
