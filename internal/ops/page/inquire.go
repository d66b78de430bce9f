package page

import (
	"context"
	"errors"
	"net/http"

	"github.com/stipple-ai/stipple/internal/batch"
	"github.com/stipple-ai/stipple/internal/ops"
	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/upload"
	"github.com/stipple-ai/stipple/internal/web"
)

// inquire asks about a job as enqueue explain does; the workers are known already.
func (s *System) inquire(batchID string, index int64) *ops.Inquiry {
	return &ops.Inquiry{
		Batch: batchID, Index: index, Explanation: &ops.Explanation{Type: "explanation", Notes: []string{}},
		Timeout: storeTimeout, Prefix: s.cfg.Store.Prefix, Workers: s.serving,
		Store: func(ctx context.Context, bucket string) (*upload.Store, error) {
			if bucket == "" {
				bucket = s.bucketOf(batchID)
			}
			return s.stores.Get(ctx, bucket)
		},
	}
}

// readPicture adds what a picture's file tells: the job it was drawn from, and what the model's defaults made of it.
func (s *System) readPicture(ctx context.Context, x *ops.Inquiry) {
	e := x.Explanation
	bucket, key := s.bucketOf(x.Batch), x.Key
	if e.Image != nil {
		bucket, key = e.Image.Bucket, e.Image.Key
	}
	if key == "" {
		return
	}
	note := func(err error) { e.Notes = append(e.Notes, "the picture was not read: "+err.Error()) }
	store, err := s.stores.Get(ctx, bucket)
	if err != nil {
		note(err)
		return
	}
	bounded, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	o, err := store.Get(bounded, key)
	if err != nil {
		note(err)
		return
	}
	e.TakeObject(bucket, o)
	meta, err := upload.ReadMeta(o.Body)
	if err != nil {
		note(err)
	}
	e.AddFile(meta)
}

// forPeople gives an error its HTTP status.
func forPeople(err error) error {
	_, mine := errors.AsType[ops.InputError](err)
	_, row := errors.AsType[*batch.RowError](err)
	_, invalid := errors.AsType[*queue.InvalidError](err)
	_, known := errors.AsType[*web.Error](err)
	switch {
	case err == nil, known:
		return err
	case errors.Is(err, queue.ErrNoBatch), errors.Is(err, queue.ErrMissing), errors.Is(err, upload.ErrNotFound):
		return &web.Error{Status: http.StatusNotFound, Err: err}
	case mine, row, invalid:
		return &web.Error{Status: http.StatusBadRequest, Err: err}
	case errors.Is(err, batch.ErrRowsDiffer), errors.Is(err, batch.ErrTaken), errors.Is(err, batch.ErrCancelled),
		errors.Is(err, queue.ErrJobCancelled), errors.Is(err, queue.ErrNotRequeued):
		return &web.Error{Status: http.StatusConflict, Err: err}
	}
	return err
}
