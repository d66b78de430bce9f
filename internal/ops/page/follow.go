package page

import (
	"context"
	"log/slog"
	"time"

	"github.com/stipple-ai/stipple/internal/ops"
	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/web"
)

// tally is what is known of a batch from its results. It takes two bytes a job, and the times of a minute.
type tally struct {
	all     queue.Tally
	invalid queue.Tally // counts jobs that could not be read as failed, and all others as cancelled
	images  ops.Rate
	first   time.Time
	last    time.Time
	bucket  string // of its last picture
}

func (t *tally) add(f queue.Followed) {
	t.all.Add(f.Result)
	invalid := f.Result
	invalid.Status = queue.Cancelled
	if f.Error != nil && f.Error.Type == queue.TypeInvalidJob {
		invalid.Status = queue.Failed
	}
	t.invalid.Add(invalid)
	if t.first.IsZero() {
		t.first = f.Stored
	}
	t.last = f.Stored
	if f.Image != nil {
		t.bucket = f.Image.Bucket
		t.images.Add(f.Stored)
	}
}

// follow reads all results that are stored, and then those that come, until ctx ends. Of the former it keeps counts, of
// the latter the images, too.
func (s *System) follow(ctx context.Context, c *queue.Client) {
	fresh := make(chan landed, ringSize) // closed by this goroutine
	done := make(chan struct{})
	go func() { // ends when fresh is closed
		defer close(done)
		s.present(ctx, fresh)
	}()
	defer func() {
		close(fresh)
		<-done
	}()
	for after := uint64(0); ctx.Err() == nil; {
		caughtUp, err := s.stored(ctx, c, after)
		if err == nil {
			s.facts.unreadable(nil)
			s.facts.reading(caughtUp)
			for f, followErr := range c.FollowResults(ctx, "*", after) {
				if err = followErr; err != nil {
					break
				}
				after = f.Sequence
				if s.facts.add(f) { // as of old
					s.board.skip(f.Sequence)
					continue
				}
				fresh <- landedOf(f)
			}
		}
		if ctx.Err() != nil {
			return
		}
		s.log.DebugContext(ctx, "following the results ended", slog.Any("error", err))
		s.facts.unreadable(err)
		if s.wait(ctx, againAfter) != nil {
			return
		}
	}
}

// stored is the sequence of the last result that is stored.
func (s *System) stored(ctx context.Context, c *queue.Client, after uint64) (uint64, error) {
	bounded, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	last, err := c.NewestResults(bounded, "*", 0, 1)
	if err != nil || len(last) == 0 {
		return after, err
	}
	return last[0].Sequence, nil
}

// present shows images in the order in which they came, after looking for the prompts of those that come one by one.
func (s *System) present(ctx context.Context, fresh <-chan landed) {
	for first := range fresh {
		some := []landed{first}
		for more := true; more && len(some) < ringSize; {
			select {
			case next, ok := <-fresh:
				if more = ok; ok {
					some = append(some, next)
				}
			default:
				more = false
			}
		}
		if len(some) <= mostPrompts {
			s.findPrompts(ctx, some)
		}
		s.board.land(some)
	}
}

// landedOf is a result as the page lists it.
func landedOf(f queue.Followed) landed {
	r := f.Result
	l := landed{sequence: f.Sequence, image: web.Image{
		Job: r.Identity().String(), Batch: r.BatchID, Index: r.Index, Status: r.Status, Model: r.Model, Worker: r.Worker, At: f.Stored.UTC(),
	}}
	if r.Seed != nil {
		l.image.Seed = *r.Seed
	}
	if r.Error != nil {
		l.image.Error = &web.JobError{Type: r.Error.Type, Message: r.Error.Message}
	}
	if r.Image != nil {
		l.image.Key, l.image.Width, l.image.Height = r.Image.Key, r.Image.Width, r.Image.Height
		l.bucket, l.size = r.Image.Bucket, r.Image.Size
		if isPicture(r.Image.Key) {
			l.image.Thumb, l.image.Src = "/thumb/"+pathOf(r.Image.Key), "/image/"+pathOf(r.Image.Key)
		}
	}
	return l
}
