package queue

import (
	"context"
	"iter"
)

// ReadResults returns the results of a batch, "*" for all batches, that are stored now, and ends. One that is
// replaced while they are read may come twice. Errors are those of FollowResults, and ctx's own.
func (c *Client) ReadResults(ctx context.Context, batch string) iter.Seq2[Followed, error] {
	return func(yield func(Followed, error) bool) {
		err := c.readResults(batch, 0).rest(ctx, c.eachResult(func(f Followed) bool { return yield(f, nil) }))
		if err != nil {
			yield(Followed{}, err)
		}
	}
}

// CountResults returns how many jobs of a batch, "*" for all batches, have a result.
func (c *Client) CountResults(ctx context.Context, batch string) (int64, error) {
	r := c.readResults(batch, 0)
	err := r.open(ctx)
	return int64(r.left), err
}
