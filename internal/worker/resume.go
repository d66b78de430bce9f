package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/stipple-ai/stipple/internal/infer"
	"github.com/stipple-ai/stipple/internal/otel"
	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/upload"
)

const (
	// forgetTime bounds the removal of a checkpoint, behind which the acknowledgement waits; half of it is for one that is still on its way to the store.
	forgetTime = time.Second
	// takeUpTries is how often a store that answers may fail to give a checkpoint: it may have lost that one object, or the key that it was encrypted with.
	takeUpTries = 3
)

// errWithheld is a checkpoint that cannot be read although the store is there.
var errWithheld = errors.New("the store answers, and does not give it")

// keeps reports whether the worker writes and reads checkpoints: one that nobody could read is of no use.
func (w *Worker) keeps() bool {
	c, known := w.store.Capabilities()
	return !w.cfg.NoCheckpoints && (c.Read || !known)
}

// checkpointKey is where the job's checkpoint lies.
func (j *job) checkpointKey() string {
	return upload.CheckpointKey(j.store.prefix(), j.d.ID.Batch, j.d.ID.Index, j.resolved.spec16)
}

// header is that of a checkpoint which this worker writes.
func (j *job) header() checkpointHeader {
	return checkpointHeader{Version: checkpointVersion, ModelDigest: j.model.digest, Provider: j.runtime.Provider(), RowShapes: j.model.shapes, ONNXRuntime: j.runtime.Version()}
}

// takeUp returns where an earlier attempt was stopped, or nil to begin at the beginning. A checkpoint that is too old, damaged or of other circumstances is none, and
// so is one that a store which is not away fails to give: it is worth a picture's steps at most, and must not hold the job for good.
func (j *job) takeUp(ctx context.Context) (*infer.State, error) {
	if j.d.NumDelivered < 2 || !j.keeps() {
		return nil, nil //nolint:nilnil // most jobs have none
	}
	var found upload.Checkpoint
	failures := 0
	err := j.hold(ctx, "reading the checkpoint", func(ctx context.Context) (err error) {
		found, err = j.store.GetCheckpoint(ctx, j.checkpointKey())
		if class, _ := queue.ClassOf(queue.ErrorType(err)); class == queue.Held && j.checkStore(ctx) == nil { // not known is no class
			if failures++; failures == takeUpTries {
				return fmt.Errorf("%w: %s", errWithheld, err.Error()) // as text: by its type it would be held
			}
		}
		return err
	})
	switch {
	case errors.Is(err, upload.ErrNotFound), errors.Is(err, upload.ErrUnknown):
		return nil, nil //nolint:nilnil // as above
	case errors.Is(err, upload.ErrDamaged), errors.Is(err, errWithheld):
		j.startOver(ctx, err.Error())
		return nil, nil //nolint:nilnil // as above
	case err != nil:
		return nil, err
	}
	if age := time.Since(found.Modified); age > j.cfg.CheckpointTTL {
		j.startOver(ctx, "it is older than CHECKPOINT_TTL")
		return nil, nil //nolint:nilnil // as above
	}
	h, state, err := decodeCheckpoint(found.State)
	if err != nil {
		j.startOver(ctx, err.Error())
		return nil, nil //nolint:nilnil // as above
	}
	if why := h.differs(j.header()); why != "" {
		j.startOver(ctx, why)
		return nil, nil //nolint:nilnil // as above
	}
	return &state, nil
}

func (j *job) startOver(ctx context.Context, why string) {
	j.log.WarnContext(ctx, "the job has a checkpoint that is of no use: it starts over", slog.String("key", j.checkpointKey()), slog.String("reason", why))
}

// draws runs the engine, from the job's checkpoint on if it has one.
func (j *job) draws(ctx context.Context, r infer.Request) (*infer.Result, error) {
	var err error
	if r.Resume, err = j.takeUp(ctx); err != nil {
		return nil, err
	}
	if r.Resume != nil {
		res, err := j.drawsFrom(ctx, r)
		if !errors.Is(err, infer.ErrState) {
			return res, err
		}
		j.startOver(ctx, err.Error())
		r.Resume = nil
	}
	return j.drawsFrom(ctx, r)
}

// drawsFrom runs the engine from r.Resume on. Where it was stopped on the way, the job has its state.
func (j *job) drawsFrom(ctx context.Context, r infer.Request) (*infer.Result, error) {
	begin := 0
	if r.Resume != nil {
		begin = r.Resume.Step
		trace.SpanFromContext(ctx).SetAttributes(otel.ResumedStep.Int(begin))
		j.log.InfoContext(ctx, "going on from a checkpoint", slog.Int("step", begin))
	}
	if j.cfg.CheckpointEvery > 0 && j.keeps() {
		j.saver = j.startSaver(ctx)
		r.OnCheckpoint, r.CheckpointEvery = j.saver.offer, j.cfg.CheckpointEvery
	}
	res, err := j.model.engine.Generate(ctx, r)
	if err == nil {
		j.saver.rest()
	} else {
		j.saver.end()
	}
	if stopped, ok := errors.AsType[*infer.Suspended](err); ok && stopped.State.Step > begin {
		j.suspended = &stopped.State
	}
	return res, err
}

// keep writes down how far a job is that is handed back while the worker leaves: in the drain's last fifth, with a part of that left to hand it back.
func (j *job) keep(ctx context.Context) {
	if j.suspended == nil || !j.keeps() {
		return
	}
	tail := tailTime(j.cfg.DrainTimeout)
	end := time.Now().Add(tail)
	if by := j.drainEnd(); !by.IsZero() && by.Add(-tail/4).Before(end) {
		end = by.Add(-tail / 4)
	}
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), end)
	defer cancel()
	if err := j.writeCheckpoint(ctx, *j.suspended); err != nil {
		j.log.WarnContext(ctx, "no checkpoint: the next worker starts over", slog.Int("step", j.suspended.Step), slog.Any("error", err))
		return
	}
	j.mu.Lock()
	j.checkpointed = true
	j.mu.Unlock()
	j.log.InfoContext(ctx, "wrote a checkpoint", slog.Int("step", j.suspended.Step))
}

func (j *job) writeCheckpoint(ctx context.Context, s infer.State) error {
	data, err := encodeCheckpoint(j.header(), s)
	if err != nil {
		return err
	}
	j.saved.Store(true) // also where the answer is lost, or not waited for
	if err := j.store.PutCheckpoint(ctx, j.checkpointKey(), data); err != nil {
		return err
	}
	j.span.AddEvent(otel.EventCheckpoint, trace.WithAttributes(otel.CheckpointStep.Int(s.Step), otel.CheckpointSize.Int(len(data))))
	return nil
}

// forget removes the job's checkpoint, which is of no use once the job has its record, if it may have one. One that stays is ignored after CHECKPOINT_TTL.
func (j *job) forget(ctx context.Context) {
	if j.resolved.key == "" || j.cfg.NoCheckpoints || j.d.NumDelivered < 2 && !j.saved.Load() {
		return
	}
	ctx, cancel := j.outlive(ctx)
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, forgetTime)
	defer cancel()
	j.saver.finish(ctx, forgetTime/2)
	if err := j.store.DeleteCheckpoint(ctx, j.checkpointKey()); err != nil {
		j.log.DebugContext(ctx, "the job's checkpoint stays, if it has one", slog.Any("error", err))
	}
}
