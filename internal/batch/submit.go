package batch

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/stipple-ai/stipple/internal/queue"
)

// Queue is what Submit needs of the broker; *queue.Client is one. It is called from one goroutine.
type Queue interface {
	Submissions
	Chunks
}

// Submissions are the records of batches, written by compare-and-swap.
type Submissions interface {
	GetBatch(ctx context.Context, id string) (queue.Batch, error)
	CreateBatch(ctx context.Context, b queue.Batch) (queue.Batch, error)
	UpdateBatch(ctx context.Context, b queue.Batch) (queue.Batch, error)
}

// Place is where the jobs go.
type Place interface {
	Names() queue.Names

	// Server is the broker that the client is connected to, "" for none.
	Server() (host string, port int)
}

// Chunks takes jobs a thousand at a time; after is a sequence of JOBS from before a chunk was first published.
type Chunks interface {
	Place
	PublishChunk(ctx context.Context, chunk []queue.Message, after uint64) (queue.Ack, error)

	// ResumeChunk publishes a chunk that may have been published before; ChunkStored only looks.
	ResumeChunk(ctx context.Context, chunk []queue.Message, after uint64) (queue.Ack, error)
	ChunkStored(ctx context.Context, chunk []queue.Message, after uint64) (queue.Ack, bool, error)
}

var _ Queue = (*queue.Client)(nil)

// Submission is a batch on its way into the queue.
type Submission struct {
	Batch    string // its id; see NewID
	Priority string // queue.High, Normal or Low; "" is Normal
	Plan     Plan
	Total    int64 // Census.Jobs of the plan

	// Webhook is the URL that hears of each result; "" for none, or for the one that an earlier run has named.
	Webhook string

	Tracing Tracing

	// OnJobs hears of jobs that this run has published, at most 1000 at a time and in order. The slice is the
	// caller's to keep. nil hears nothing.
	OnJobs func(jobs []Published)

	// OnFull hears that the queue has no room and how long Submit will wait before it tries again.
	OnFull func(wait time.Duration)
}

// Published is a job that is in the queue.
type Published struct {
	Job     queue.Job
	TraceID string // of the context that the job carries; "" if it was in the queue before, with another's
}

// Receipt says what Submit found and did.
type Receipt struct {
	Total  int64 // jobs of the batch
	Before int64 // of which earlier runs had published so many; Total for a batch that was committed
}

// Errors that callers tell apart with errors.Is.
var (
	// ErrRowsDiffer is a run whose rows are not those that an earlier run of the batch has sent.
	ErrRowsDiffer = errors.New("the rows are not those that this batch was begun with")

	// ErrCancelled is a batch that was cancelled, before or while it was sent.
	ErrCancelled = errors.New("the batch is cancelled")

	// ErrTaken is a batch that another enqueue is sending.
	ErrTaken = errors.New("another enqueue is sending this batch")
)

// NewID draws the id of a batch: when it was drawn, so that ids sort by time, and forty random bits.
func NewID(now time.Time) string {
	return now.UTC().Format("20060102-150405-") + strings.ToLower(rand.Text()[:8])
}

// ValidateID returns what is wrong with the id of a batch.
func ValidateID(id string) error {
	_, err := queue.Job{BatchID: id, Model: "m"}.Encode() // any valid model
	return err
}

// Submit publishes the jobs of a batch, beginning where an earlier run of it ended, and marks the batch as
// committed. It waits while the queue is full and while the broker is away, until ctx ends; what is in the
// queue by then stays there, and another Submit of the same batch goes on.
//
// Errors: *RowError for input that turns out to be bad, ErrRowsDiffer, ErrCancelled, ErrTaken, and those of the
// queue.
func Submit(ctx context.Context, q Queue, s Submission) (Receipt, error) {
	if s.Priority == "" {
		s.Priority = queue.Normal
	}
	if s.Total < 1 || s.Total > MaxJobs {
		return Receipt{}, fmt.Errorf("submitting batch %s: it has %d jobs, must have 1 to %d", s.Batch, s.Total, MaxJobs)
	}
	record, found, err := claim(ctx, q, s)
	if err != nil {
		return Receipt{}, fmt.Errorf("submitting batch %s: %w", s.Batch, err)
	}
	receipt := Receipt{Total: s.Total, Before: record.Cursor}
	run := submit{Submission: s, q: q, record: record, again: found, publisher: newPublisher(s.Tracing, q, s.Total)}
	if record.Sending != nil {
		run.after = record.Sending.After
	}
	if err := run.all(ctx); err != nil {
		return receipt, fmt.Errorf("submitting batch %s: %w", s.Batch, err)
	}
	return receipt, nil
}

// claim returns the batch's record, written by this run unless the batch is committed, and whether there was one:
// from then on an earlier run that is still at work finds its record changed and stops.
func claim(ctx context.Context, q Queue, s Submission) (record queue.Batch, found bool, err error) {
	run := rand.Text()
	for {
		record, err = q.GetBatch(ctx, s.Batch)
		switch {
		case errors.Is(err, queue.ErrNoBatch):
			record = queue.Batch{ID: s.Batch, Total: s.Total, State: queue.BatchEnqueuing, Created: time.Now().UTC().Truncate(time.Millisecond), TraceID: traceID(ctx), Run: run, Webhook: s.Webhook}
			if record, err = q.CreateBatch(ctx, record); errors.Is(err, queue.ErrBatchExists) {
				continue // made in between
			}
			return record, false, err
		case err != nil:
			return record, true, err
		case record.State == queue.BatchCancelled:
			return record, true, ErrCancelled
		case record.Total != s.Total:
			return record, true, fmt.Errorf("%w: it has %d jobs, these rows make %d; use another --batch", ErrRowsDiffer, record.Total, s.Total)
		case record.Cursor != record.Total && record.Cursor%queue.ChunkSize != 0:
			return record, true, fmt.Errorf("its record is damaged: cursor %d of %d is at no end of a chunk", record.Cursor, record.Total)
		case record.State == queue.BatchCommitted && (s.Webhook == "" || s.Webhook == record.Webhook):
			return record, true, nil
		}
		if record.Run = run; s.Webhook != "" {
			record.Webhook = s.Webhook
		}
		if record, err = q.UpdateBatch(ctx, record); errors.Is(err, queue.ErrBatchChanged) {
			continue // a run that is ahead of this one; it stops as soon as this one has written
		}
		return record, true, err
	}
}

// submit is one run of Submit. Its goroutine owns the record.
//
// Before a chunk is published the record says so (queue.Sending), so that a run which finds the record after a crash
// knows which rows may be in the queue above the cursor, and where to look for them. The entry that moves the cursor
// over one chunk announces the next: a chunk costs one write.
type submit struct {
	Submission
	q         Queue
	publisher publisher
	record    queue.Batch
	again     bool   // the first chunk may be in the queue: another run has had the record
	after     uint64 // a sequence of JOBS from before the chunk at the cursor was first published
}

// all reads the jobs, checks those that earlier runs have sent, and sends the others. The next chunk is read
// while one is on its way.
func (s *submit) all(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	chunks := make(chan chunk, 1) // written and closed by the goroutine below
	go func() {
		defer close(chunks)
		s.cut(ctx, chunks, s.record)
	}()
	defer func() {
		cancel()
		for range chunks { // until the goroutine is gone
		}
	}()
	c, more := <-chunks
	if more && c.err == nil {
		if err := s.begin(ctx, c); err != nil {
			return err
		}
	}
	for more {
		if c.err != nil {
			return c.err
		}
		started, ack, err := s.send(ctx, c)
		if err != nil {
			return err
		}
		sent := c
		c, more = <-chunks
		if err := s.move(ctx, sent, c); err != nil {
			return err
		}
		if s.OnJobs != nil {
			s.OnJobs(published(sent.messages, started, ack))
		}
	}
	return context.Cause(ctx)
}

// begin writes down that the first chunk of this run is on its way. Another run may have written the same, or, of
// other rows that never reached the queue, something else.
func (s *submit) begin(ctx context.Context, c chunk) error {
	was := s.record.Sending
	if was != nil && was.Hash == c.hash {
		return nil
	}
	if was != nil {
		_, found, err := s.q.ChunkStored(ctx, c.messages, s.after)
		if err != nil {
			return err
		}
		if found {
			return fmt.Errorf("%w: those from %d on are others; restore them or use another --batch", ErrRowsDiffer, s.record.Cursor)
		}
	}
	next := s.record
	next.Sending = &queue.Sending{Hash: c.hash, After: s.after}
	return s.write(ctx, next)
}

// move moves the cursor over a chunk that is published, and writes down that the next one is on its way, if it is.
func (s *submit) move(ctx context.Context, sent, then chunk) error {
	next := s.record
	next.Cursor += int64(len(sent.messages))
	next.Hash = sent.hash
	next.Sending = nil
	if len(then.messages) > 0 {
		next.Sending = &queue.Sending{Hash: then.hash, After: s.after}
	}
	if next.Cursor == s.Total {
		next.State = queue.BatchCommitted
	}
	return s.write(ctx, next)
}

// write writes the record.
func (s *submit) write(ctx context.Context, next queue.Batch) (err error) {
	if s.record, err = s.q.UpdateBatch(ctx, next); err != nil {
		return s.whoChanged(ctx, err)
	}
	return nil
}

// chunk is jobs 1000k to 1000k+999 of the batch.
type chunk struct {
	messages []queue.Message
	hash     string // of all rows up to its end
	err      error  // instead of messages
}

// cut reads the jobs, compares those below the record's cursor by their hash and hands on the others. Nothing
// follows an error.
func (s *submit) cut(ctx context.Context, out chan<- chunk, record queue.Batch) {
	hand := func(c chunk) bool {
		select {
		case out <- c:
			return c.err == nil
		case <-ctx.Done():
			return false
		}
	}
	hash, end := "", int64(0)
	messages := make([]queue.Message, 0, queue.ChunkSize)
	flush := func() bool {
		var err error
		if hash, err = queue.HashRows(hash, messages); err != nil {
			return hand(chunk{err: err})
		}
		end += int64(len(messages))
		switch {
		case end > record.Cursor:
			if !hand(chunk{messages: messages, hash: hash}) {
				return false
			}
			messages = make([]queue.Message, 0, queue.ChunkSize) // the others are with Submit
		case end == record.Cursor && hash != record.Hash:
			return hand(chunk{err: fmt.Errorf("%w: the first %d are others; restore them or use another --batch", ErrRowsDiffer, end)})
		}
		messages = messages[:0]
		return ctx.Err() == nil
	}
	for j, err := range s.Plan.Jobs(s.Batch) {
		if err == nil && j.Index >= s.Total {
			err = fmt.Errorf("the input changed while it was read: it made %d jobs and now makes more", s.Total)
		}
		if err != nil {
			hand(chunk{err: err})
			return
		}
		messages = append(messages, queue.Message{Priority: s.Priority, Job: j})
		if len(messages) == queue.ChunkSize && j.Index < s.Total-1 && !flush() {
			return
		}
	}
	// The last chunk goes out only when nothing can follow it.
	if n := end + int64(len(messages)); n != s.Total {
		hand(chunk{err: fmt.Errorf("the input changed while it was read: it made %d jobs and now makes %d", s.Total, n)})
		return
	}
	flush()
}

// send publishes a chunk.
func (s *submit) send(ctx context.Context, c chunk) (spans, queue.Ack, error) {
	started := s.publisher.start(ctx, c.messages)
	ack, err := s.publish(ctx, c.messages)
	s.publisher.end(started, ack, err)
	s.after = max(s.after, ack.Sequence)
	return started, ack, err
}

func published(messages []queue.Message, started spans, ack queue.Ack) []Published {
	jobs := make([]Published, len(messages))
	for i, m := range messages {
		jobs[i].Job = m.Job
		if !ack.Duplicate {
			jobs[i].TraceID = started.traceID(i)
		}
	}
	return jobs
}

// publish publishes a chunk as soon as the queue has room for it. What may have been published before is looked for
// first: also after a wait, for a publish whose answer was lost may be what filled the queue.
func (s *submit) publish(ctx context.Context, messages []queue.Message) (queue.Ack, error) {
	publish := s.q.PublishChunk
	if s.again {
		publish = s.q.ResumeChunk
	}
	s.again = false
	var ack queue.Ack
	err := whenRoom(ctx, s.OnFull, func() (err error) {
		ack, err = publish(ctx, messages, s.after)
		publish = s.q.ResumeChunk
		return err
	})
	return ack, err
}

// whoChanged replaces the error of an update that lost by what it means.
func (s *submit) whoChanged(ctx context.Context, err error) error {
	if !errors.Is(err, queue.ErrBatchChanged) {
		return err
	}
	now, readErr := s.q.GetBatch(ctx, s.Batch)
	switch {
	case readErr != nil:
		return errors.Join(err, readErr)
	case now.State == queue.BatchCancelled:
		return ErrCancelled
	}
	return ErrTaken
}
