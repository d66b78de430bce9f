package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// CancelBatch cancels a batch: no more of it is published, the jobs that wait are taken out of the queue, and
// workers stop those that run, record them as cancelled, and drop what they fetch of it later. It returns how many
// messages it took out, those of running jobs among them. A batch that nobody has written down, because others than
// enqueue published it, gets a record.
//
// Cancelling twice purges twice: what an enqueue had on its way the first time is gone then.
func (c *Client) CancelBatch(ctx context.Context, id string) (purged uint64, err error) {
	if err := c.markCancelled(ctx, id); err != nil {
		return 0, err
	}
	return c.purge(ctx, c.names.JobsStream(), c.names.BatchFilter(id))
}

// markCancelled sets the state of a batch.
func (c *Client) markCancelled(ctx context.Context, id string) error {
	for {
		b, err := c.GetBatch(ctx, id)
		switch {
		case errors.Is(err, ErrNoBatch) && validBatch(id):
			b = Batch{ID: id, State: BatchCancelled, Created: time.Now().UTC().Truncate(time.Millisecond)}
			_, err = c.CreateBatch(ctx, b)
		case err != nil || b.State == BatchCancelled:
			return err
		default:
			b.State, b.Sending = BatchCancelled, nil
			_, err = c.UpdateBatch(ctx, b)
		}
		if !errors.Is(err, ErrBatchExists) && !errors.Is(err, ErrBatchChanged) {
			return err
		}
	}
}

// purge deletes the messages of a stream on the subjects that filter matches and returns how many there were. Of one
// whose answer was lost the number is lost, too. (nats.go's own does not tell it.)
func (c *Client) purge(ctx context.Context, stream, filter string) (purged uint64, err error) {
	request, err := json.Marshal(jetstream.StreamPurgeRequest{Subject: filter})
	if err != nil {
		return 0, err
	}
	err = c.try(ctx, "purging "+filter, func(ctx context.Context) error {
		msg, err := c.nc.RequestWithContext(ctx, "$JS.API.STREAM.PURGE."+stream, request)
		if err != nil {
			return err
		}
		var answer struct {
			Error  *jetstream.APIError `json:"error"`
			Purged uint64              `json:"purged"`
		}
		if err := json.Unmarshal(msg.Data, &answer); err != nil {
			return fmt.Errorf("its answer: %w", err)
		}
		if answer.Error != nil {
			return answer.Error
		}
		purged = answer.Purged
		return nil
	})
	return purged, err
}

// CancelJob marks one job as cancelled, whether it waits, runs or is not published yet. Its message stays where it is,
// for a queue is not searched: the worker that fetches it records it as cancelled.
func (c *Client) CancelJob(ctx context.Context, batch string, index int64) error {
	if err := (Identity{Batch: batch, Index: index}).validate(); err != nil {
		return fmt.Errorf("cancelling a job: %w", err)
	}
	kv, err := c.bucket(ctx, c.names.BatchesBucket())
	if err != nil {
		return err
	}
	return c.try(ctx, fmt.Sprintf("cancelling job %s/%d", batch, index), func(ctx context.Context) error {
		_, err := kv.Put(ctx, jobKey(batch, index), []byte(`{"state":"`+BatchCancelled+`"}`))
		return err
	})
}

// Cancelled reports whether a job was cancelled, alone or with its batch.
func (c *Client) Cancelled(ctx context.Context, batch string, index int64) (bool, error) {
	b, err := c.GetBatch(ctx, batch)
	if err != nil && !errors.Is(err, ErrNoBatch) {
		return false, err
	}
	if b.State == BatchCancelled {
		return true, nil
	}
	kv, err := c.bucket(ctx, c.names.BatchesBucket())
	if err != nil {
		return false, err
	}
	found := false
	err = c.try(ctx, fmt.Sprintf("looking whether job %s/%d is cancelled", batch, index), func(ctx context.Context) error {
		_, err := kv.Get(ctx, jobKey(batch, index))
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			return nil
		}
		found = err == nil
		return err
	})
	return found, err
}
