package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
)

// Batches of a run.
const (
	calmBatch  = "calm"
	stormBatch = "storm"
)

// run draws all jobs undisturbed, draws them again under the faults of the plan, and compares.
func run(ctx context.Context, o options, log *slog.Logger) (f figures, err error) {
	begin := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, o.limit, fmt.Errorf("not done within --limit %v", o.limit))
	defer cancel()
	w, err := newWorld(ctx, o, log)
	defer func() { err = errors.Join(err, w.close()) }()
	if err != nil {
		return f, err
	}
	jobs := drawJobs(o.seed, o.jobs)
	calm, needed, err := w.drawCalm(ctx, jobs)
	if err != nil {
		return f, fmt.Errorf("drawing the jobs undisturbed: %w", err)
	}
	log.Info("drawn undisturbed", slog.Int("jobs", len(jobs)), slog.Int("unet_rows", needed), slog.Duration("took", time.Since(begin).Round(time.Millisecond)))

	faults := plan(o.seed, o.kinds, o.faults, o.jobs, o.workers, o.ackWait)
	if err := writePlan(filepath.Join(o.dir, "plan.json"), faults); err != nil {
		return f, err
	}
	f, err = w.drawInStorm(ctx, jobs, calm, faults)
	f.needed, f.wall = needed, time.Since(begin)
	return f, err
}

// drawCalm draws the jobs with one worker and no faults. It returns their pixels and how many UNet rows they took.
func (w *world) drawCalm(ctx context.Context, jobs []job) (pixels []string, rows int, err error) {
	k, err := w.worker(0)
	if err != nil {
		return nil, 0, err
	}
	if err := w.publish(ctx, calmBatch, jobs, 0, len(jobs)); err != nil {
		return nil, 0, err
	}
	if _, err := k.begin(); err != nil {
		return nil, 0, err
	}
	if err := w.await(ctx, uint64(len(jobs))); err != nil {
		return nil, 0, err
	}
	k.meter.look(ctx)
	if err := k.end(); err != nil {
		return nil, 0, err
	}
	e, err := w.collect(ctx, calmBatch)
	if err != nil {
		return nil, 0, err
	}
	pixels = make([]string, len(jobs))
	seen := map[string]int{}
	for key, o := range e.objects {
		i, err := indexOf(key)
		if err != nil || i >= len(jobs) {
			return nil, 0, fmt.Errorf("%s is of no job", key)
		}
		if other, taken := seen[o.pixels]; taken {
			return nil, 0, fmt.Errorf("jobs %d and %d are the same picture, so that mixing them up would not show", i, other)
		}
		pixels[i], seen[o.pixels] = o.pixels, i
	}
	if f := judge(pixels, e); !f.good() {
		return nil, 0, fmt.Errorf("%v", f.problems)
	}
	return pixels, k.meter.rows(), nil
}

// drawInStorm draws the jobs under faults and judges what is there when all faults are over and every worker has left.
func (w *world) drawInStorm(ctx context.Context, jobs []job, calm []string, faults []fault) (figures, error) {
	s := &storm{world: w, one: make(chan struct{}, 1), done: map[kind]int{}}
	for i := range w.o.workers {
		env := []string{"LANES=1"}
		if i > 0 { // all write checkpoints when they leave, and these also while they draw
			env = append(env, "CHECKPOINT_EVERY=8")
		}
		k, err := w.worker(i+1, env...)
		if err != nil {
			return figures{}, err
		}
		s.workers = append(s.workers, k)
	}
	begin := time.Now()
	var lives errgroup.Group
	for _, k := range s.workers {
		lives.Go(func() error { return k.supervise(ctx) })
	}
	problem := s.carryOut(ctx, faults, jobs, uint64(len(calm)))
	for _, k := range s.workers { // none is left that could still write something
		problem = errors.Join(problem, k.end())
	}
	problem = errors.Join(problem, lives.Wait())
	if errors.Is(ctx.Err(), context.Canceled) {
		return figures{}, context.Cause(ctx)
	}

	// What is lost is found where the time is over, too.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute+time.Duration(len(jobs))*100*time.Millisecond)
	defer cancel()
	e, err := w.collect(ctx, stormBatch)
	f := judge(calm, e)
	if err = errors.Join(problem, err); err != nil {
		f.problems = append(f.problems, err.Error())
	}
	for _, key := range e.strays {
		w.log.Info("left behind", slog.String("key", key))
	}
	f.stall, f.faults = longestStall(begin, e.results), s.done
	for _, k := range s.workers {
		f.rows += k.meter.rows()
		f.lives += k.lives
		f.problems = append(f.problems, k.faulty()...)
	}
	if !f.good() {
		w.consumers(ctx)
	}
	return f, nil
}

// consumers logs what the broker says of its consumers, which tells where a job is that is not done.
func (w *world) consumers(ctx context.Context) {
	s, err := w.js.Stream(ctx, "JOBS")
	if err != nil {
		w.log.Error("looking at JOBS", slog.Any("error", err))
		return
	}
	for c := range s.ListConsumers(ctx).Info() {
		w.log.Info("consumer", slog.String("name", c.Name), slog.Uint64("pending", c.NumPending), slog.Int("ack_pending", c.NumAckPending), slog.Int("waiting", c.NumWaiting))
	}
}

func writePlan(path string, faults []fault) error {
	data, err := json.MarshalIndent(faults, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}
