package queue

import (
	"context"
	"encoding/json"
)

// attempts is the record of a job in the bucket of attempts: its counted starts, which are those that ended
// neither in success nor in a clean hand-back, and one that is running. The broker's own count will not do: it
// counts hand-backs, and a crash of the broker resets it.
type attempts struct {
	Retry int          `json:"retry"`
	Count int          `json:"attempts"`
	By    string       `json:"by"`              // the mark of the write: a delivery's token and what it wrote
	Error *ResultError `json:"error,omitempty"` // of the last start that failed and could say so
}

// Marks of a delivery's writes. By them a write whose answer was lost is known when it is done again, and a
// hand-back knows that the start it takes off is its own.
const (
	markStart  = "/start"
	markFailed = "/failed"
	markBack   = "/handed-back"
)

// Start is a start of a job that is about to be made.
type Start struct {
	Attempt   int          // counted starts, this one included: from 1
	LastError *ResultError // of the last start that failed; nil for none, and for one that crashed
}

// Begin counts a start. It must have returned before the engine sees the job, so that a job which kills its
// worker is counted too. A job whose Attempt is above MAX_ATTEMPTS has had its starts: it is not begun, it goes
// to the dead letters.
//
// The first start of a job writes nothing. A job that was delivered before and has no record was started once,
// by a worker that had no time to say how it ended.
func (c *Client) Begin(ctx context.Context, d *Delivery) (Start, error) {
	now, err := c.count(ctx, "counting a start of job ", d, markStart, func(old *attempts) *attempts {
		switch {
		case old != nil:
			return &attempts{Count: old.Count + 1, Error: old.Error}
		case d.NumDelivered > 1:
			return &attempts{Count: 2}
		}
		return nil
	})
	if err != nil {
		return Start{}, err
	}
	if now == nil {
		return Start{Attempt: 1}, nil
	}
	return Start{Attempt: now.Count, LastError: now.Error}, nil
}

// Failed keeps the start of d counted and notes its error. It comes before the Nak. With a lease that may be
// lost nothing is written: the next worker's start counts this one.
func (c *Client) Failed(ctx context.Context, d *Delivery, e ResultError) error {
	if d.LeaseLost() {
		return nil
	}
	_, err := c.count(ctx, "counting a failure of job ", d, markFailed, func(old *attempts) *attempts {
		switch {
		case old != nil && old.By == d.token+markStart:
			return &attempts{Count: old.Count, Error: &e}
		case old != nil:
			return nil // another delivery's; it has counted this start
		case d.NumDelivered > 1:
			return &attempts{Count: 2, Error: &e}
		}
		return &attempts{Count: 1, Error: &e}
	})
	return err
}

// HandedBack takes the start of d off the count; of a delivery that was not begun it sees to it that none is
// counted. It comes before the Nak, for the next delivery of a job without a record counts one. With a lease
// that may be lost nothing is written.
func (c *Client) HandedBack(ctx context.Context, d *Delivery) error {
	if d.LeaseLost() {
		return nil
	}
	_, err := c.count(ctx, "handing back job ", d, markBack, func(old *attempts) *attempts {
		switch {
		case old == nil && d.NumDelivered == 1:
			return &attempts{}
		case old != nil && old.By == d.token+markStart:
			return &attempts{Count: old.Count - 1, Error: old.Error}
		}
		return nil
	})
	return err
}

// count writes what next makes of a job's record, by compare-and-swap, and returns the record as it then is. For
// a job without a record, or with one of an earlier retry, next gets nil; when it returns nil nothing is
// written.
func (c *Client) count(ctx context.Context, doing string, d *Delivery, mark string, next func(old *attempts) *attempts) (*attempts, error) {
	if !d.HasID {
		return nil, nil //nolint:nilnil // no record: no job, which is never begun
	}
	kv, err := c.bucket(ctx, c.names.AttemptsBucket())
	if err != nil {
		return nil, err
	}
	key := jobKey(d.ID.Batch, d.ID.Index)
	var now *attempts
	err = c.try(ctx, doing+d.String(), func(ctx context.Context) error {
		var revision uint64
		var old *attempts
		entry, err := c.leaderEntry(ctx, c.names.AttemptsBucket(), key) // a replica may not know yet of this delivery's start
		if err != nil {
			return err
		}
		if entry != nil {
			revision = entry.Sequence
			old = readAttempts(entry.Data)
		}
		now = nil
		if old != nil {
			if old.Retry > d.ID.Retry {
				return nil // this message is of a retry that was replaced; its job's record will stop it
			}
			if old.Retry < d.ID.Retry {
				old = nil
			}
		}
		if now = old; old != nil && old.By == d.token+mark {
			return nil // written by an earlier try
		}
		change := next(old)
		if change == nil {
			return nil
		}
		change.Retry, change.By = d.ID.Retry, d.token+mark
		value, err := marshal(change)
		if err != nil {
			return err
		}
		if _, err := c.swap(ctx, kv, key, value, revision); err != nil {
			return err
		}
		now = change
		return nil
	})
	return now, err
}

// readAttempts reads a record; a damaged one counts as none, for it must not hold the job for ever.
func readAttempts(value []byte) *attempts {
	var a attempts
	if json.Unmarshal(value, &a) != nil || a.Count < 0 {
		return nil
	}
	return &a
}
