package page

import (
	"context"
	"strconv"

	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/web"
)

// Dead is a page of dead letters, the oldest first.
func (s *System) Dead(ctx context.Context, after uint64, limit int) (web.LetterPage, error) {
	page := web.LetterPage{Dead: []web.Letter{}}
	if s.facts.empty() {
		return page, nil
	}
	var p queue.Page[queue.DeadMessage]
	err := s.ask(ctx, func(ctx context.Context, c *queue.Client) (err error) {
		p, err = c.PageDead(ctx, "", after, limit)
		return err
	})
	if err != nil {
		return page, err
	}
	for _, d := range p.Entries {
		page.Dead = append(page.Dead, letterOf(d))
	}
	if p.Pending > 0 {
		page.Next = strconv.FormatUint(p.Last, 10)
	}
	page.Count = max(s.Letters().Count, int64(len(page.Dead))+int64(p.Pending))
	return page, nil
}

// letterOf is a dead letter as the page shows it.
func letterOf(d queue.DeadMessage) web.Letter {
	l := web.Letter{
		ID: strconv.FormatUint(d.Sequence, 10), Batch: d.ID.Batch, Reason: d.Type + ": " + d.Message, Error: web.JobError{Type: d.Type, Message: d.Message},
		Attempts: d.Attempts, At: d.Stored.UTC(), TraceID: d.TraceID,
	}
	if d.HasID {
		l.Job, l.Index = d.ID.String(), &d.ID.Index
	}
	if job, err := queue.Decode(d.Data, d.ID); err == nil {
		l.Model, l.Prompt = job.Model, queue.Or(job.Prompt, "")
	}
	return l
}
