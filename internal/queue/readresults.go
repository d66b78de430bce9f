package queue

import (
	"context"
	"iter"
)

// ReadResults returns the results of a batch, "*" for all batches, that are stored now, and ends. One that is
// replaced while they are read may come twice. Errors are those of FollowResults, and ctx's own.
func (c *Client) ReadResults(ctx context.Context, batch string) iter.Seq2[Followed, error] {
	return func(yield func(Followed, error) bool) {
		f := follower{client: c, filter: c.names.ResultFilter(batch)}
		defer f.forget()
		for {
			if err := f.open(ctx); err != nil {
				yield(Followed{}, err)
				return
			}
			if f.left == 0 {
				return
			}
			before, wanted := f.after, true
			f.pull(ctx, func(r Followed) bool {
				wanted = yield(r, nil)
				return wanted && r.Pending > 0
			})
			switch {
			case !wanted:
				return
			case ctx.Err() != nil:
				yield(Followed{}, &brokerError{"reading " + f.filter, context.Cause(ctx)})
				return
			case f.after == before:
				f.forget() // what was left may have been removed: count again
			}
		}
	}
}

// CountResults returns how many jobs of a batch, "*" for all batches, have a result.
func (c *Client) CountResults(ctx context.Context, batch string) (int64, error) {
	f := follower{client: c, filter: c.names.ResultFilter(batch)}
	defer f.forget()
	err := f.open(ctx)
	return int64(f.left), err
}
