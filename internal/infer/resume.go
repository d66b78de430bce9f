package infer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/stipple-ai/stipple/internal/infer/schedule"
)

// Suspended is the error of a Generate that was stopped, by its caller or by the engine's end, when at least one step was done: whoever takes up State goes on after
// the last one.
type Suspended struct { //nolint:errname // it is no failure: the state is what its reader is after
	State State
	Err   error // why it was stopped
}

func (e *Suspended) Error() string {
	return fmt.Sprintf("suspended after step %d: %v", e.State.Step, e.Err)
}
func (e *Suspended) Unwrap() error { return e.Err }

// suspended gives err the state of s, if it says that somebody stopped s and not that something failed.
func (s *sample) suspended(ctx context.Context, err error) error {
	err = explained(ctx, err)
	if err == nil || s.step == 0 {
		return err
	}
	typ, _ := classOf(err)
	if left := ctx.Err() != nil && errors.Is(err, ctx.Err()); !left && typ != ErrStopped.Type {
		return err
	}
	return &Suspended{State: s.state(), Err: err}
}

// state is a copy of s as of its last step.
func (s *sample) state() State {
	noise, _ := s.noise.MarshalBinary() // never fails
	return State{
		Request: s.req.identity(), Step: s.step, Size: s.size,
		Latents: slices.Clone(s.x), Sampler: s.sampler.AppendState(nil), Noise: noise,
	}
}

// identity is a digest of what decides the picture, the model aside. Names and defaults count as they are written, so equal pictures may differ in it, but never
// the other way round.
func (r Request) identity() [sha256.Size]byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%q %q %d %v %d %d %d %q", r.Prompt, r.NegativePrompt, r.Steps, r.Guidance, uint32(r.Seed), r.Width, r.Height, r.Scheduler)
	return sha256.Sum256(b.Bytes())
}

// restore takes up a state. An error is an ErrState that says what does not fit.
func (s *sample) restore(state State, info Info) error {
	if err := s.fits(state, info); err != nil {
		return fmt.Errorf("resuming after step %d: %w: %w", state.Step, err, ErrState)
	}
	s.step = state.Step
	copy(s.x, state.Latents)
	if !s.finished() {
		s.sampler.ScaleInput(s.in, s.x, s.step)
	}
	return nil
}

// fits checks a state against the request, from what is plain to see to what is not, and restores sampler and generator.
func (s *sample) fits(state State, info Info) error {
	if err := state.check(); err != nil {
		return err
	}
	if state.Size != s.size || len(state.Latents) != len(s.x) {
		return fmt.Errorf("%d latents of %d × %d, the request has %d of %d × %d", len(state.Latents), state.Size.Width, state.Size.Height, len(s.x), s.size.Width, s.size.Height)
	}
	if err := s.sampler.RestoreState(state.Sampler); err != nil {
		return err
	}
	if state.Step > s.sampler.Len() {
		return fmt.Errorf("the sampler has only %d", s.sampler.Len())
	}
	if state.Request != s.req.identity() {
		return errors.New("it is of a request with another prompt, guidance_scale, seed, size or scheduler")
	}
	if err := s.noise.UnmarshalBinary(state.Noise); err != nil {
		return err
	}
	return s.trial(state, info)
}

// trial takes the next step on copies: a sampler's memory of another step or size shows here, and not in Run.
func (s *sample) trial(state State, info Info) (err error) {
	if state.Step == s.sampler.Len() {
		return nil
	}
	sampler, err := schedule.New(s.req.Scheduler, info.Schedule, s.req.Steps)
	if err != nil {
		return err
	}
	if err := sampler.RestoreState(state.Sampler); err != nil {
		return err
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("its sampler's memory does not fit: %v", p)
		}
	}()
	sampler.Step(slices.Clone(state.Latents), make([]float32, len(s.x)), state.Step, func(dst []float32) { clear(dst) })
	return nil
}
