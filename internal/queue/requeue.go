package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Requeue puts the job of a dead letter back into the queue, with a retry one higher, and deletes the letter. Priority
// and trace context are those it had.
//
// Doing it again, after a crash in between or with a letter that was read before, changes nothing: the job's new
// identity follows from the letter, so the broker knows it for two minutes, and a job that has a result of that retry
// or a later one is not published at all. What is left is a second message of one identity, which the worker that
// fetches it finds done.
//
// Errors: ErrNotRequeued for a letter whose job cannot be read, ErrJobCancelled, and those of Publish.
func (c *Client) Requeue(ctx context.Context, d DeadMessage) (Identity, error) {
	m, err := c.names.revive(d)
	if err != nil {
		return Identity{}, err
	}
	id := m.Job.Identity()
	if err := c.notCancelled(ctx, id); err != nil {
		return Identity{}, err
	}
	err = c.publishAgain(ctx, m)
	if err == nil {
		_, err = c.deleteDead(ctx, d.Sequence)
	}
	if err != nil {
		return Identity{}, fmt.Errorf("putting job %s back: %w", d.ID, err)
	}
	return id, nil
}

// publishAgain publishes a job of a retry unless that is done.
func (c *Client) publishAgain(ctx context.Context, m Message) error {
	id := m.Job.Identity()
	msg, err := c.message(m)
	if err != nil {
		return err
	}
	done, err := c.done(ctx, id)
	if done || err != nil {
		return err
	}
	after, err := c.newestJob(ctx)
	if err != nil {
		return err
	}
	_, err = c.publish(ctx, msg, id, after)
	return err
}

// revive makes the message of a dead letter's next try.
func (n Names) revive(d DeadMessage) (Message, error) {
	if !d.HasID {
		return Message{}, fmt.Errorf("putting back the dead letter at sequence %d: %w: it does not say which job it is of", d.Sequence, ErrNotRequeued)
	}
	job, err := Decode(d.Data, d.ID)
	if err != nil {
		return Message{}, fmt.Errorf("putting job %s back: %w: %w", d.ID, ErrNotRequeued, err)
	}
	priority, modelToken, _, _ := n.parseJobSubject(d.Subject)
	switch {
	case !slices.Contains(Priorities(), priority):
		err = fmt.Errorf("its subject %s has no priority", quote(d.Subject))
	case ModelToken(job.Model) != modelToken:
		err = fmt.Errorf("its model %s is not that of its subject %s", quote(job.Model), quote(d.Subject))
	}
	if err != nil {
		return Message{}, fmt.Errorf("putting job %s back: %w: %w", d.ID, ErrNotRequeued, err)
	}
	job.Retry++
	return Message{Priority: priority, Job: job, Header: d.Header}, nil
}

// notCancelled returns ErrJobCancelled for a job that a worker would drop.
func (c *Client) notCancelled(ctx context.Context, id Identity) error {
	cancelled, err := c.Cancelled(ctx, id.Batch, id.Index)
	if cancelled {
		return fmt.Errorf("putting job %s back: %w", id, ErrJobCancelled)
	}
	return err
}

// Errors of Requeue and Retry.
var (
	// ErrNotRequeued is a dead letter that cannot become a job again.
	ErrNotRequeued = errors.New("it cannot become a job again")

	// ErrJobCancelled is a job that would be dropped, because it is cancelled, alone or with its batch.
	ErrJobCancelled = errors.New("the job is cancelled")
)
