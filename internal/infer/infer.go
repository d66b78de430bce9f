// Package infer is the engine: it turns requests into pictures with step-level continuous batching, and knows no queue, no storage and no cgo.
//
// [Engine.Run] is one goroutine that owns every sample between its first and its last step. Lanes are goroutines that receive a call (some rows for
// the UNet) and give it back. A free lane takes the next ready rows of one latent size; when all rows of a sample are back, its sampler takes
// the step and the sample is ready again. Samples join and leave only there: there are no turns and no barrier, so jobs with different steps,
// samplers, guidance and prompts share calls, and a picture depends on its request alone.
//
// Everything that can fail for one request alone happens in the goroutine of its [Engine.Generate], before the door (validation, tokenizing,
// text encoding) or after the last step (decoding); only the UNet is shared.
package infer

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/stipple-ai/stipple/internal/infer/schedule"
)

// Request is one picture to draw. Every field is effective: defaults are filled in by the caller.
type Request struct {
	Prompt, NegativePrompt string  // at most 16 KiB each
	Steps                  int     // num_inference_steps, 1–1000
	Guidance               float64 // guidance_scale, 0–50; at most 1 means no guidance
	Seed                   uint64  // as torch.Generator("cpu").manual_seed: the low 32 bits count
	Width, Height          int     // pixels, multiples of Info.SizeMultiple
	Scheduler              string  // a name of schedule.Names, a diffusers class, or "" for the model's own
	Priority               int     // order at the door: smaller is sooner

	// Resume, if set, is where another Generate of the same request was stopped ([Suspended]) or a checkpoint of it. One that does not fit is an [ErrState].
	Resume *State

	// OnBegin, if set, is told when the sample leaves the door. Run calls it: it must not block.
	OnBegin func()
	// OnStep, if set, is told after each sampler step how many of the model's calls are done, those before Resume included. Run calls it: it must not block.
	OnStep func(done, total int)
	// OnCheckpoint, if set, is handed the sample's state after every CheckpointEvery-th sampler step but the last one. Run calls it: it must not block.
	OnCheckpoint    func(State)
	CheckpointEvery int // 0: never
}

// Result is a picture and the ledger of how it was made.
type Result struct {
	Image           Image
	Tokens          int  // of the prompt, before truncation, begin and end included
	PromptTruncated bool // the prompt, or the negative prompt where it counts, was longer than the model reads
	Calls           int  // UNet calls the sample took part in, a row each
	RowsMean        float64
	Ledger          Ledger
}

// Ledger says where the time of one Generate went; the parts do not overlap.
type Ledger struct {
	Tokenize   time.Duration
	TextEncode time.Duration // the encoder's own
	Wait       time.Duration // for an encoder, at the door, for a free lane between steps, for a decoder
	Denoise    time.Duration // at least one row of the sample in a lane, or its sampler at work
	Decode     time.Duration // VAE decoding, and the check of the picture
}

// Size is the size of a latent: pixels divided by Info.ScaleFactor.
type Size struct{ Width, Height int }

// Error classes of the engine. The strings are the contract's `error.type`.
var (
	// ErrStopped says that the engine stopped before the sample was done: try it elsewhere.
	ErrStopped = &Error{Type: "interrupted", Err: errors.New("the engine stopped")}
	// ErrBroken ends Run: two samples in a row failed alone, in the UNet or in another part, and so did a call that is known to be good.
	ErrBroken = errors.New("the device or its runtime is broken: start the process again")
	// ErrHung is an ErrBroken of a call that runs longer than Config.CallTimeout. It may never return, and until it has, its memory is in use: close neither the
	// lanes nor the model, but end the process.
	ErrHung = fmt.Errorf("so nothing that it uses may be freed: %w", ErrBroken)
)

// Error is a failure with its class.
type Error struct {
	Type  string // invalid_job, model_error, out_of_memory, timeout, bad_image, panic, interrupted
	Err   error
	Stack []byte // of a panic
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// ErrorType returns the class, for those who know no Error.
func (e *Error) ErrorType() string { return e.Type }

func invalid(format string, args ...any) error {
	return &Error{Type: "invalid_job", Err: fmt.Errorf(format, args...)}
}

// classed gives err the class typ unless it already has one.
func classed(typ string, err error) error {
	if _, ok := classOf(err); ok {
		return err
	}
	return &Error{Type: typ, Err: err}
}

// classOf is the class of err, a model's own errors included, and whether it has one.
func classOf(err error) (typ string, ok bool) {
	var typed interface{ ErrorType() string }
	if !errors.As(err, &typed) {
		return "", false
	}
	return typed.ErrorType(), true
}

// maxPrompt is the contract's bound, in bytes: models read 77 tokens, and reading more must not cost more.
const maxPrompt = 16 << 10

// Limits bounds what one request may ask for.
type Limits struct {
	MaxPixels int // width × height; 0: four times the model's own
}

// Validate checks a request against a model, without touching it. Errors are of type invalid_job and name the field as the job does. That a sampler exists for
// the number of steps is only seen when Generate makes it, which is before the door too.
func Validate(r Request, info Info, limits Limits) error {
	if r.Steps < 1 || r.Steps > 1000 {
		return invalid("num_inference_steps is %d: must be 1 to 1000", r.Steps)
	}
	if math.IsNaN(r.Guidance) || r.Guidance < 0 || r.Guidance > 50 {
		return invalid("guidance_scale is %v: must be 0 to 50", r.Guidance)
	}
	for _, text := range []struct{ name, value string }{{"prompt", r.Prompt}, {"negative_prompt", r.NegativePrompt}} {
		if len(text.value) > maxPrompt {
			return invalid("%s has %d bytes: must be at most %d", text.name, len(text.value), maxPrompt)
		}
	}
	for _, d := range []struct {
		name string
		px   int
	}{{"width", r.Width}, {"height", r.Height}} {
		if d.px < info.SizeMultiple || d.px%info.SizeMultiple != 0 {
			return invalid("%s is %d: must be a positive multiple of %d", d.name, d.px, info.SizeMultiple)
		}
		if d.px < info.MinSide || (info.MaxSide > 0 && d.px > info.MaxSide) {
			return invalid("%s is %d: this worker is prepared for %d to %d (ENGINE_SIDES)", d.name, d.px, info.MinSide, info.MaxSide)
		}
	}
	if limit := limits.pixels(info); r.Width > limit || r.Height > limit || r.Width*r.Height > limit {
		return invalid("width × height is %d × %d: this worker draws at most %d pixels", r.Width, r.Height, limit)
	}
	if _, err := schedule.Resolve(r.Scheduler, info.Schedule); err != nil {
		return invalid("scheduler: %w", err)
	}
	return nil
}

func (l Limits) pixels(info Info) int {
	if l.MaxPixels > 0 {
		return l.MaxPixels
	}
	return 4 * info.Width * info.Height
}
