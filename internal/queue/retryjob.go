package queue

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/nats-io/nats.go/jetstream"
)

// RetryJob publishes a job again, with a retry one higher than that of its record, so that the broker takes it and its
// result takes the record's place. A job without a record, because it is gone by now, gets one higher than m says.
// The job keeps what else m says, its seed above all: a job that names none has the seed it had.
//
// A second call before the first one's job is done publishes nothing for two minutes, and after that a message of the
// same identity: whichever worker comes second finds the record of the first.
//
// Errors: ErrJobCancelled, and those of Publish.
func (c *Client) RetryJob(ctx context.Context, m Message) (Identity, error) {
	ids, err := c.retryJobs(ctx, []Message{m}, c.notCancelled)
	if err != nil {
		return Identity{}, err
	}
	return ids[0], nil
}

// RetryJobs is RetryJob for up to ChunkSize jobs of one batch, none twice, which are published in one atomic batch, or one
// by one if some of them were a moment ago. It does not look for jobs that are cancelled one by one: workers record those
// as cancelled again.
func (c *Client) RetryJobs(ctx context.Context, jobs []Message) ([]Identity, error) {
	return c.retryJobs(ctx, jobs, func(ctx context.Context, id Identity) error {
		b, err := c.GetBatch(ctx, id.Batch)
		switch {
		case errors.Is(err, ErrNoBatch):
			return nil
		case b.State == BatchCancelled:
			return fmt.Errorf("retrying jobs of batch %s: %w", id.Batch, ErrJobCancelled)
		}
		return err
	})
}

// retryJobs retries jobs unless check, which gets the first of them, refuses.
func (c *Client) retryJobs(ctx context.Context, jobs []Message, check func(context.Context, Identity) error) ([]Identity, error) {
	if len(jobs) == 0 || len(jobs) > ChunkSize {
		return nil, fmt.Errorf("retrying jobs: there are %d, must be 1 to %d", len(jobs), ChunkSize)
	}
	batch := jobs[0].Job.BatchID
	again := make([]Message, len(jobs))
	for i, m := range jobs {
		if err := m.Job.Identity().validate(); err != nil {
			return nil, fmt.Errorf("retrying a job: %w", err)
		}
		if m.Job.BatchID != batch {
			return nil, fmt.Errorf("retrying jobs: %s is not of batch %s", m.Job.Identity(), batch)
		}
		again[i] = m
	}
	if err := check(ctx, jobs[0].Job.Identity()); err != nil {
		return nil, err
	}
	have, err := c.retries(ctx, again)
	if err != nil {
		return nil, err
	}
	ids := make([]Identity, len(again))
	for i := range again {
		j := &again[i].Job
		j.Retry = max(j.Retry, have[j.Index])
		if j.Retry == math.MaxInt32 {
			return nil, fmt.Errorf("retrying job %s: it was retried too often", j.Identity())
		}
		j.Retry++
		ids[i] = j.Identity()
	}
	after, err := c.newestJob(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.publishApart(ctx, again, after); err != nil {
		return nil, err
	}
	return ids, nil
}

// retries returns the retry of the record of each job that has one, by index; the jobs are of one batch.
func (c *Client) retries(ctx context.Context, jobs []Message) (map[int64]int, error) {
	batch := jobs[0].Job.BatchID
	newest, err := c.leaderGet(ctx, c.names.ResultsStream(), messageAt{Last: c.names.ResultFilter(batch)})
	if newest == nil || err != nil {
		return nil, err
	}
	subjects := []string{newest.Subject}
	for _, m := range jobs {
		if s := c.names.ResultSubject(batch, m.Job.Index); s != newest.Subject {
			subjects = append(subjects, s)
		}
	}
	var records []*jetstream.RawStreamMsg
	err = c.try(ctx, "reading the results of jobs to retry", func(ctx context.Context) (err error) {
		records, err = c.lastOf(ctx, c.names.ResultsStream(), subjects)
		return err
	})
	if err != nil {
		return nil, err
	}
	// Under a retry that a job has had, its message would be taken for one that is done. So a replica that does not know
	// the newest result is not believed, and the leader is asked for each.
	if !slices.ContainsFunc(records, func(r *jetstream.RawStreamMsg) bool {
		return r.Subject == newest.Subject && r.Sequence >= newest.Sequence
	}) {
		records = nil
		for _, subject := range subjects {
			r, err := c.leaderGet(ctx, c.names.ResultsStream(), messageAt{Last: subject})
			if err != nil {
				return nil, err
			}
			if r != nil {
				records = append(records, r)
			}
		}
	}
	have := make(map[int64]int, len(records))
	for _, msg := range records {
		if r, err := DecodeResult(msg.Data); err == nil { // a damaged one gives way to any
			have[r.Index] = r.Retry
		}
	}
	return have, nil
}
