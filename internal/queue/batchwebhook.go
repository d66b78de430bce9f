package queue

import (
	"context"
	"encoding/json"
	"fmt"
)

// BatchWebhook is the URL that hears of the results of a batch; "" where the batch names none, or has no record. It asks the
// leader: a replica that lags would not know yet of a batch whose first result is there.
func (c *Client) BatchWebhook(ctx context.Context, id string) (string, error) {
	if !validBatch(id) {
		return "", nil
	}
	bucket := c.names.BatchesBucket()
	entry, err := c.leaderGet(ctx, "KV_"+bucket, messageAt{Last: "$KV." + bucket + "." + id})
	if err != nil || entry == nil || entry.Header.Get("KV-Operation") != "" {
		return "", err
	}
	var b Batch
	if err := json.Unmarshal(entry.Data, &b); err != nil {
		return "", fmt.Errorf("reading the webhook of batch %s: its entry is damaged: %w", id, err)
	}
	return b.Webhook, nil
}
