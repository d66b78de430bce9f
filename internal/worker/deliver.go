package worker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/stipple-ai/stipple/internal/infer"
	"github.com/stipple-ai/stipple/internal/otel"
	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/upload"
)

// deliver encodes and stores a picture and records the result. While storage or broker are away it holds the picture and waits.
func (j *job) deliver(ctx context.Context, img infer.Image, drawn *infer.Result) error {
	j.drawn.Store(true)
	stored, err := j.upload(ctx, img, drawn)
	if err != nil {
		return j.cause(ctx, err)
	}
	return j.cause(ctx, j.record(ctx, j.success(stored)))
}

// stored is the image in the store, whoever put it there.
type stored struct {
	metadata    upload.Metadata // that it was put with; zero where the store does not let the worker read
	contentType string
	size        int64 // bytes; 0 where the store does not let the worker read
	mine        bool  // put by this attempt
}

// upload encodes the picture and puts it under the job's key, in the span upload.
func (j *job) upload(ctx context.Context, img infer.Image, drawn *infer.Result) (s stored, err error) {
	ctx, span := j.telemetry.Tracer().Start(ctx, otel.SpanUpload)
	defer span.End()
	begin := time.Now()
	span.SetAttributes(otel.S3Bucket.String(j.store.Bucket()), otel.S3Key.String(j.resolved.key))
	tries := 0
	defer func() {
		err = j.cause(ctx, err)
		if tries > 0 {
			span.SetAttributes(otel.UploadAttempts.Int(tries))
		}
		if err != nil && !handedBack(err) {
			otel.Fail(span, err, queue.ErrorType(err))
		}
		j.telemetry.Metrics.Upload(ctx, j.model.name, queue.ErrorType(err), max(0, tries-1), time.Since(begin))
		if err == nil && s.mine {
			j.telemetry.Metrics.Stored(ctx, j.model.name, s.size)
		}
	}()

	object, err := j.encode(img, drawn)
	if err != nil {
		return stored{}, err
	}
	span.SetAttributes(otel.UploadSize.Int(len(object.Body)), otel.ContentType.String(object.ContentType))
	var put upload.PutResult
	j.looked = false // it may be there from now on, whatever becomes of the tries
	err = j.hold(ctx, "storing the image", func(ctx context.Context) (err error) {
		tries++
		put, err = j.store.Put(ctx, j.resolved.key, object)
		return err
	})
	j.phases.enter(waiting)
	mine := stored{metadata: object.Metadata, contentType: object.ContentType, size: int64(len(object.Body)), mine: true}
	switch {
	case err != nil:
		return stored{}, err
	case put.Created:
		return mine, nil
	case put.Existing == nil: // it is another attempt's, or this one's whose answer was lost: nobody may look
		return stored{contentType: object.ContentType}, nil
	case sameAttempt(put.Existing.Metadata, object.Metadata):
		return mine, nil
	}
	return j.accept(*put.Existing)
}

// encode makes the object of the picture. The phase image encoding ends in it, since the object tells how long that took.
func (j *job) encode(img infer.Image, drawn *infer.Result) (upload.Object, error) {
	j.phases.enter(imageEncoding)
	meta, err := j.meta()
	if err != nil {
		return upload.Object{}, err
	}
	picture := upload.Picture(img)
	data, contentType, err := j.encoder.Encode(picture, j.resolved.format, j.resolved.quality, meta)
	if err != nil {
		return upload.Object{}, err
	}
	sum := sha256.Sum256(data)
	pixels := picture.SHA256()
	j.phases.enter(uploading)
	return upload.Object{Body: data, ContentType: contentType, Metadata: upload.Metadata{
		Spec16: j.resolved.spec16, SHA256: hex.EncodeToString(sum[:]), PixelsSHA256: pixels,
		Model: j.model.name, ModelDigest: j.model.digest, Seed: j.resolved.request.Seed, TraceID: meta.TraceID,
		Width: img.Width, Height: img.Height, Attempt: j.attempt, Worker: j.cfg.Name,
		PromptTruncated: drawn.PromptTruncated, RowsMean: drawn.RowsMean, Timings: j.timingsSoFar(),
	}}, nil
}

// sameAttempt reports whether a stored object is the one that was put: an earlier try of this very PUT, whose answer was lost.
func sameAttempt(found, put upload.Metadata) bool {
	return found.SHA256 == put.SHA256 && found.Attempt == put.Attempt && found.Worker == put.Worker && found.Timings.Denoise == put.Timings.Denoise.Truncate(time.Microsecond)
}

// accept takes an object that lies under the job's key for the job's image, if it is.
func (j *job) accept(o upload.Object) (stored, error) {
	if o.Metadata.Spec16 != j.resolved.spec16 {
		return stored{}, &infer.Error{Type: queue.TypeObjectConflict, Err: fmt.Errorf("s3://%s/%s holds an object of another origin (spec16 %q, the job's is %s): move it away and put the job back with `enqueue retry`",
			j.store.Bucket(), j.resolved.key, o.Metadata.Spec16, j.resolved.spec16)}
	}
	return stored{metadata: o.Metadata, contentType: o.ContentType, size: o.Size}, nil
}

// recordStored looks for the image of an earlier attempt that was not recorded, and records it: the model does not run again.
func (j *job) recordStored(ctx context.Context) (done bool, err error) {
	var found upload.Object
	err = j.hold(ctx, "looking for the image", func(ctx context.Context) (err error) {
		found, err = j.store.Head(ctx, j.resolved.key)
		return err
	})
	switch {
	case errors.Is(err, upload.ErrNotFound), errors.Is(err, upload.ErrUnknown):
		j.looked = true
		return false, nil // where the store does not say, the PUT decides
	case err != nil:
		return false, j.cause(ctx, err)
	}
	s, err := j.accept(found)
	if err != nil {
		return false, err
	}
	j.log.InfoContext(ctx, "the image is there already: recording it", slog.String("key", j.resolved.key))
	return true, j.cause(ctx, j.record(ctx, j.success(s)))
}

// lastLook keeps a job whose image is stored from ending as failed or expired. Of a job that was delivered before the store has been asked; but a broker that
// crashed may have forgotten that it was, and then this is the last moment to ask.
func (j *job) lastLook(ctx context.Context, err error) error {
	if j.looked || j.resolved.key == "" || !j.endsWithout(err) {
		return err
	}
	if done, other := j.recordStored(ctx); done || other != nil {
		return other
	}
	return err
}

// endsWithout reports whether err ends the job without an image that it could have.
func (j *job) endsWithout(err error) bool {
	class, _ := queue.ClassOf(queue.ErrorType(err)) // not known is no class
	return errors.Is(err, errExpired) || class == queue.Retried && j.attempt >= j.cfg.MaxAttempts
}

// success is the result of a job whose image is stored. What it says of the drawing was written down by the attempt that put the image, with the image; where that
// cannot be read, it says nothing of it.
func (j *job) success(s stored) queue.Result {
	m := s.metadata
	r := j.result(queue.Succeeded)
	if !s.mine {
		r.Attempt, r.Worker, r.Timings = m.Attempt, m.Worker, ledger(m.Timings)
	}
	width, height := m.Width, m.Height
	if m.Spec16 == "" {
		r.Timings = nil
		width, height = j.resolved.request.Width, j.resolved.request.Height
	} else {
		r.Seed = new(queue.Seed(m.Seed))
	}
	r.TraceID, r.Model, r.ModelDigest = m.TraceID, j.model.name, m.ModelDigest
	r.PromptTruncated, r.RowsMean = m.PromptTruncated, queue.Mean(m.RowsMean)
	r.Image = &queue.Image{
		Bucket: j.store.Bucket(), Key: j.resolved.key, ContentType: s.contentType, Width: width, Height: height,
		Size: s.size, SHA256: m.SHA256, PixelsSHA256: m.PixelsSHA256,
	}
	return r
}

// ledger is what an object tells of the time its attempt took: all but the upload and what came after.
func ledger(t upload.Timings) *queue.Timings {
	return &queue.Timings{
		Queue: queue.Millis(t.Queue), Wait: queue.Millis(t.Wait), TextEncode: queue.Millis(t.TextEncode), Denoise: queue.Millis(t.Denoise),
		Decode: queue.Millis(t.Decode), ImageEncode: queue.Millis(t.ImageEncode),
		Total: queue.Millis(t.Wait + t.TextEncode + t.Denoise + t.Decode + t.ImageEncode),
	}
}

// result is what every result of the job has; of a job that could not be read little is known.
func (j *job) result(status string) queue.Result {
	r := queue.Result{
		BatchID: j.d.ID.Batch, Index: j.d.ID.Index, Retry: j.d.ID.Retry, ID: j.d.Job.ID, Status: status,
		TraceID: j.span.SpanContext().TraceID().String(), Attempt: j.attempt, Worker: j.cfg.Name, Model: j.d.Job.Model,
		Timings: j.timings(),
	}
	if j.d.Err == nil {
		seed := queue.Seed(j.d.Job.SeedOrDefault())
		r.Seed = &seed
	}
	if j.model != nil {
		r.ModelDigest = j.model.digest
	}
	return r
}

// record writes the job's result. One that is there already, by another attempt, is as good. Any but a success is only for the holder of the lease to say:
// queue.ErrLeaseLost where that may be another worker.
func (j *job) record(ctx context.Context, r queue.Result) error {
	err := j.ask(ctx, "recording the result", func(ctx context.Context) error {
		return j.publish(ctx, j.queue.Names().ResultsStream(), func() error {
			_, err := j.queue.RecordHeld(ctx, r, j.d.Held)
			return err
		})
	})
	if err == nil {
		j.forget(ctx)
	}
	return err
}

// timings are the parts of the job's time until now; they are all of it.
func (j *job) timings() *queue.Timings {
	j.phases.enter(waiting)
	s := j.phases.spent
	return &queue.Timings{
		Queue: queue.Millis(max(0, j.d.Received.Sub(j.d.Published))),
		Wait:  queue.Millis(s[waiting]), TextEncode: queue.Millis(s[textEncoding]), Denoise: queue.Millis(s[denoising]),
		Decode: queue.Millis(s[decoding]), ImageEncode: queue.Millis(s[imageEncoding]), Upload: queue.Millis(s[uploading]),
		Total: queue.Millis(time.Since(j.d.Received)),
	}
}

// timingsSoFar are those that the object can tell, since it is stored before the job is done.
func (j *job) timingsSoFar() upload.Timings {
	s := j.phases.spent
	return upload.Timings{
		Queue: max(0, j.d.Received.Sub(j.d.Published)), Wait: s[waiting], TextEncode: s[textEncoding], Denoise: s[denoising],
		Decode: s[decoding], ImageEncode: s[imageEncoding],
	}
}
