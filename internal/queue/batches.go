package queue

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// The values of a batch's state.
const (
	BatchEnqueuing = "enqueuing" // jobs are being published; a crash leaves it here, and a second run goes on at the cursor
	BatchCommitted = "committed" // all jobs are published
	BatchCancelled = "cancelled" // nothing more is published, and jobs that are fetched are dropped
)

// Batch is the state of a batch in the bucket of batches. Writers take turns by compare-and-swap: whoever
// writes next must have read what was written last, so that a cancel or a second enqueue stops the first.
type Batch struct {
	ID      string    `json:"-"`     // the key
	Total   int64     `json:"total"` // jobs; while enqueuing a source of unknown length, those known so far
	State   string    `json:"state"`
	Cursor  int64     `json:"cursor"`             // indexes below it are published
	Hash    string    `json:"hash"`               // HashRows of the rows below the cursor
	Created time.Time `json:"created,omitzero"`   // when the first enqueue began
	TraceID string    `json:"trace_id,omitempty"` // of that enqueue
	Summary *Summary  `json:"summary,omitempty"`  // what became of the jobs, for when their records are gone
	Webhook string    `json:"webhook,omitempty"`  // URL that hears of each result, by enqueue serve

	// Run is drawn by each run of enqueue, so that two which send the same rows at the same pace still write
	// different entries, and only one of them takes the other's place.
	Run     string   `json:"run,omitempty"`
	Sending *Sending `json:"sending,omitempty"` // the chunk that begins at the cursor; nil if none is on its way

	revision uint64 // of the entry that was read or written
}

// Sending is a chunk that is written down before it is published: a run that finds it does not know whether it was.
type Sending struct {
	Hash  string `json:"hash"`            // HashRows of the rows up to its end
	After uint64 `json:"after,omitempty"` // a sequence of JOBS from before it was first published
}

// Summary counts the jobs of a batch by what became of them.
type Summary struct {
	Succeeded int64 `json:"succeeded"`
	Failed    int64 `json:"failed"`
	Cancelled int64 `json:"cancelled"`
	Expired   int64 `json:"expired"`
}

// Errors of the bucket of batches.
var (
	ErrNoBatch      = errors.New("no such batch")
	ErrBatchExists  = errors.New("the batch exists")
	ErrBatchChanged = errors.New("the batch was changed by another command")
)

// CreateBatch writes a batch that is not there yet and returns it as written; else the error is ErrBatchExists.
func (c *Client) CreateBatch(ctx context.Context, b Batch) (Batch, error) {
	b.revision = 0
	return c.putBatch(ctx, b, ErrBatchExists)
}

// UpdateBatch writes a batch over the entry that b was read from, or written as, and returns it as written. If
// the entry has changed since, the error is ErrBatchChanged.
func (c *Client) UpdateBatch(ctx context.Context, b Batch) (Batch, error) {
	if b.revision == 0 {
		return Batch{}, fmt.Errorf("updating batch %s: it was not read before", b.ID)
	}
	return c.putBatch(ctx, b, ErrBatchChanged)
}

// putBatch writes b over revision b.revision, 0 for none; lost is the error if another revision is there.
func (c *Client) putBatch(ctx context.Context, b Batch, lost error) (Batch, error) {
	doing := "writing batch " + b.ID
	if !validBatch(b.ID) {
		return Batch{}, fmt.Errorf("writing batch %s: its id must be 1 to 64 of A-Z a-z 0-9 _ -", quote(b.ID))
	}
	kv, err := c.bucket(ctx, c.names.BatchesBucket())
	if err != nil {
		return Batch{}, err
	}
	value, err := marshal(b)
	if err != nil {
		return Batch{}, fmt.Errorf("%s: %w", doing, err)
	}
	var conflict error
	var written uint64
	err = c.try(ctx, doing, func(ctx context.Context) (err error) {
		written, err = c.swap(ctx, kv, b.ID, value, b.revision) // each try over the same revision
		if errors.Is(err, errAgain) {
			conflict = fmt.Errorf("%s: %w", doing, lost)
			return nil
		}
		return err
	})
	if err = errors.Join(err, conflict); err != nil {
		return Batch{}, err
	}
	b.revision = written
	return b, nil
}

// swap writes value under key if its revision is still the one given, 0 for a key that is not there, and
// returns the new revision; else the error is errAgain. An earlier try whose answer was lost counts as done: the
// leader is asked, for a replica that lags would make another's write of it. While the leader knows of no write after
// the revision given, one that was refused meets an earlier try that is not stored yet: the error is errUnsettled.
func (c *Client) swap(ctx context.Context, kv jetstream.KeyValue, key string, value []byte, revision uint64) (uint64, error) {
	write := func() (uint64, error) {
		if revision == 0 {
			return kv.Create(ctx, key, value)
		}
		return kv.Update(ctx, key, value, revision)
	}
	written, err := write()
	if !wrongLastSequence(err) {
		return written, err
	}
	entry, getErr := c.askLeader(ctx, "KV_"+kv.Bucket(), messageAt{Last: "$KV." + kv.Bucket() + "." + key})
	switch {
	case getErr != nil:
		return 0, getErr
	case entry == nil && revision == 0, entry != nil && entry.Sequence <= revision:
		return 0, fmt.Errorf("%w: %w", errUnsettled, err)
	case entry != nil && bytes.Equal(entry.Data, value):
		return entry.Sequence, nil
	}
	return 0, again(err)
}

// GetBatch reads a batch; if it is not there the error is ErrNoBatch. It asks the leader: a replica that lags would not
// know yet of a batch that was just made, and who writes over what it says would lose each time until it does.
func (c *Client) GetBatch(ctx context.Context, id string) (Batch, error) {
	if !validBatch(id) {
		return Batch{}, fmt.Errorf("reading batch %s: %w", quote(id), ErrNoBatch)
	}
	var b Batch
	var missing error
	err := c.try(ctx, "reading batch "+id, func(ctx context.Context) error {
		entry, err := c.leaderEntry(ctx, c.names.BatchesBucket(), id)
		if err != nil {
			return err
		}
		if entry == nil {
			missing = fmt.Errorf("reading batch %s: %w", id, ErrNoBatch)
			return nil
		}
		b = Batch{}
		if err := json.Unmarshal(entry.Data, &b); err != nil {
			return fmt.Errorf("its entry is damaged: %w", err)
		}
		b.ID, b.revision = id, entry.Sequence
		return nil
	})
	if err = errors.Join(err, missing); err != nil {
		return Batch{}, err
	}
	return b, nil
}

// HashRows returns the rolling hash of a batch's rows after more of them: a SHA-256 chain over the hash before
// ("" at the start) and each row's priority and body, so that it does not depend on how rows are cut into
// chunks. A run whose rows hash otherwise is not the same batch.
func HashRows(before string, rows []Message) (string, error) {
	sum, err := hex.DecodeString(before)
	if err != nil || len(sum) != 0 && len(sum) != sha256.Size {
		return "", fmt.Errorf("hashing rows: %s is no hash of rows", quote(before))
	}
	for _, row := range rows {
		body, err := row.Job.Encode()
		if err != nil {
			return "", fmt.Errorf("hashing rows: job %s: %w", row.Job.Identity(), err)
		}
		h := sha256.New()
		for _, part := range [][]byte{sum, []byte(row.Priority), {'\n'}, body} {
			h.Write(part) // a hash never fails
		}
		sum = h.Sum(nil)
	}
	return hex.EncodeToString(sum), nil
}
