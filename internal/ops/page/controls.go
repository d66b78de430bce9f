package page

import (
	"context"
	"net/http"
	"time"

	"github.com/stipple-ai/stipple/internal/ops"
	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/web"
)

// Controls stops and starts what is in the queue of a system.
type Controls struct{ *System }

// Cancel cancels a batch, or one job of it, and returns how many jobs that were not done.
func (o Controls) Cancel(ctx context.Context, id string, index int64) (n int64, err error) {
	err = o.work(ctx, func(ctx context.Context, c *queue.Client) error {
		if index >= 0 {
			r, found, err := c.Lookup(ctx, id, index)
			if err != nil {
				return err
			}
			if found {
				back, err := putBack(ctx, c, r)
				if err != nil {
					return err
				}
				if !back {
					return web.Errorf(http.StatusConflict, "job %s/%d is %s already", id, index, r.Status)
				}
			}
			n = 1
		}
		purged, err := ops.Cancel(ctx, c, id, index)
		if index < 0 {
			n = int64(purged)
		}
		return err
	})
	if err != nil {
		n = 0
	}
	return n, forPeople(err)
}

// putBack reports whether a job that has a result is in the queue once more.
func putBack(ctx context.Context, c *queue.Client, r queue.Result) (bool, error) {
	q, found, err := c.FindJob(ctx, r.BatchID, r.Index)
	return found && q.ID.Retry > r.Retry, err
}

// Pause keeps the jobs of a model from being fetched, or ends that.
func (o Controls) Pause(ctx context.Context, model string, pause bool) (consumers []string, err error) {
	err = o.work(ctx, func(ctx context.Context, c *queue.Client) error {
		scope := queue.Scope{Models: []string{model}}
		if pause {
			consumers, err = c.Pause(ctx, scope, time.Time{})
		} else {
			consumers, err = c.Resume(ctx, scope)
		}
		if err == nil && len(consumers) == 0 {
			return web.Errorf(http.StatusNotFound, "no worker has served the model %s yet: there is nothing to pause", model)
		}
		return err
	})
	return consumers, forPeople(err)
}
