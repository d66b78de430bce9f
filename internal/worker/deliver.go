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
	stored, err := j.upload(ctx, img, drawn)
	if err != nil {
		return j.cause(ctx, err)
	}
	return j.cause(ctx, j.record(ctx, j.success(stored)))
}

// stored is the image in the store, whoever put it there.
type stored struct {
	metadata    upload.Metadata
	contentType string
	size        int64
	mine        bool // put by this attempt
}

// upload encodes the picture and puts it under the job's key, in the span upload.
func (j *job) upload(ctx context.Context, img infer.Image, drawn *infer.Result) (_ stored, err error) {
	ctx, span := j.telemetry.Tracer().Start(ctx, otel.SpanUpload)
	defer span.End()
	begin := time.Now()
	span.SetAttributes(otel.S3Bucket.String(j.store.Bucket()), otel.S3Key.String(j.resolved.key))
	size, tries := int64(0), 0
	defer func() {
		failure := ""
		if err != nil && ctx.Err() == nil {
			failure = queue.ErrorType(err)
			otel.Fail(span, err, failure)
		}
		j.telemetry.Metrics.Upload(ctx, j.model.name, failure, size, max(0, tries-1), time.Since(begin))
	}()

	j.phases.enter(imageEncoding)
	meta, err := j.meta()
	if err != nil {
		return stored{}, err
	}
	picture := upload.Picture(img)
	data, contentType, err := upload.Encode(picture, j.resolved.format, j.resolved.quality, meta)
	if err != nil {
		return stored{}, err
	}
	sum := sha256.Sum256(data)
	pixels := picture.SHA256()
	j.phases.enter(uploading)
	size = int64(len(data))
	span.SetAttributes(otel.UploadSize.Int64(size), otel.ContentType.String(contentType))

	object := upload.Object{Body: data, ContentType: contentType, Metadata: upload.Metadata{
		Spec16: j.resolved.spec16, SHA256: hex.EncodeToString(sum[:]), PixelsSHA256: pixels,
		Model: j.model.name, ModelDigest: j.model.digest, Seed: j.resolved.request.Seed, TraceID: meta.TraceID,
		Width: img.Width, Height: img.Height, Attempt: j.attempt, Worker: j.cfg.Name,
		PromptTruncated: drawn.PromptTruncated, RowsMean: drawn.RowsMean, Timings: j.timingsSoFar(),
	}}
	var put upload.PutResult
	err = j.hold(ctx, "storing the image", func(ctx context.Context) (err error) {
		tries++
		put, err = j.store.Put(ctx, j.resolved.key, object)
		return err
	})
	j.phases.enter(waiting)
	if err != nil {
		return stored{}, err
	}
	if put.Existing != nil {
		return j.accept(*put.Existing)
	}
	return stored{metadata: object.Metadata, contentType: contentType, size: size, mine: true}, nil
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

// success is the result of a job whose image is stored.
func (j *job) success(s stored) queue.Result {
	m := s.metadata
	r := j.result(queue.Succeeded)
	r.TraceID = m.TraceID
	seed := queue.Seed(m.Seed)
	r.Seed, r.Model, r.ModelDigest = &seed, j.model.name, m.ModelDigest
	r.PromptTruncated, r.RowsMean = m.PromptTruncated, queue.Mean(m.RowsMean)
	r.Image = &queue.Image{
		Bucket: j.store.Bucket(), Key: j.resolved.key, ContentType: s.contentType, Width: m.Width, Height: m.Height,
		Size: s.size, SHA256: m.SHA256, PixelsSHA256: m.PixelsSHA256,
	}
	return r
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

// record writes the job's result. One that is there already, by another attempt, is as good.
func (j *job) record(ctx context.Context, r queue.Result) error {
	return j.hold(ctx, "recording the result", func(ctx context.Context) error {
		_, err := j.queue.Record(ctx, r)
		return err
	})
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
