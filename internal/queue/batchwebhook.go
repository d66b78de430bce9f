package queue

import (
	"context"
	"errors"
)

// BatchWebhook is the URL that hears of the results of a batch; "" where the batch names none, or has no record.
func (c *Client) BatchWebhook(ctx context.Context, id string) (string, error) {
	b, err := c.GetBatch(ctx, id)
	if errors.Is(err, ErrNoBatch) {
		return "", nil
	}
	return b.Webhook, err
}
