package infer

import (
	"fmt"
	"time"

	"github.com/stipple-ai/stipple/internal/infer/rng"
	"github.com/stipple-ai/stipple/internal/infer/schedule"
)

// sample is one picture on its way: a few small arrays. Generate owns it before the door and after done; Run owns it between.
type sample struct {
	req     Request
	size    Size
	sampler schedule.Sampler
	noise   *rng.Generator // the sample's own
	x       []float32      // latents [C,H,W]
	in      []float32      // x as the sampler scales it for this step; read by the lanes
	out     []float32      // the guided prediction
	rows    []row          // one, or two when guided: unconditional, then conditional
	step    int            // calls of the model done

	seq     uint64 // order of arrival at the door
	begun   bool   // some row of it has been in a lane
	passed  int    // later arrivals that began before it, see overtakenBy
	riding  int    // rows in lanes now
	back    int    // rows of this step that are back
	leaving bool   // end it as soon as no row is riding: its caller has gone, or it has failed
	failure error  // why, when it failed

	since   time.Time     // when the current stretch of waiting or denoising began
	busy    bool          // it is of denoising
	wait    time.Duration // no row in a lane
	denoise time.Duration
	calls   int
	rowsSum int // rows, summed over the calls this sample rode in

	done chan error // buffer 1: Run never waits for a caller
}

type rowState uint8

const (
	rowReady rowState = iota
	rowRiding
	rowBack
)

type row struct {
	sample *sample
	text   *Embedding
	out    []float32 // the UNet's answer
	state  rowState
	alone  bool // a call with this row failed: run it by itself
}

// newSample returns the sample of a request, at its first step or where the request resumes. The rows have no text yet.
func newSample(r Request, info Info) (*sample, error) {
	sampler, err := schedule.New(r.Scheduler, info.Schedule, r.Steps)
	if err != nil {
		return nil, invalid("scheduler: %w", err)
	}
	size := Size{Width: r.Width / info.ScaleFactor, Height: r.Height / info.ScaleFactor}
	n := info.LatentChannels * size.Width * size.Height
	rows := 1
	if r.guided(info) {
		rows = 2
	}
	buf := make([]float32, (3+rows)*n)
	cut := func() []float32 {
		s := buf[:n:n]
		buf = buf[n:]
		return s
	}
	s := &sample{req: r, size: size, sampler: sampler, noise: new(rng.Generator), x: cut(), in: cut(), out: cut(), done: make(chan error, 1)}
	s.rows = make([]row, rows)
	for i := range s.rows {
		s.rows[i] = row{sample: s, out: cut()}
	}
	if r.Resume != nil {
		return s, s.restore(*r.Resume, info)
	}
	s.start()
	return s, nil
}

// guided reports whether a sample has two rows, unconditional and conditional.
func (r Request) guided(info Info) bool { return r.Guidance > 1 && !info.GuidanceEmbedded }

// start draws the initial noise.
func (s *sample) start() {
	s.noise = rng.New(s.req.Seed)
	s.noise.Normal(s.x)
	sigma := s.sampler.InitNoiseSigma()
	for i := range s.x {
		s.x[i] *= sigma
	}
	s.sampler.ScaleInput(s.in, s.x, 0)
}

// ready reports whether a row of s could ride now.
func (s *sample) ready() bool { return !s.leaving && s.riding+s.back < len(s.rows) }

// take puts a row into a call.
func (s *sample) take(r *row, now time.Time) Row {
	if s.riding == 0 {
		s.settleTime(now)
		s.busy = true
	}
	if !s.begun && s.req.OnBegin != nil {
		s.req.OnBegin()
	}
	s.begun = true
	s.riding++
	r.state = rowRiding
	return Row{Latent: s.in, Timestep: s.sampler.Timestep(s.step), Text: r.text, Guidance: float32(s.req.Guidance), Out: r.out}
}

// giveBack takes a row out of a call that had n rows. After a failed call the row is ready again, to run alone.
func (s *sample) giveBack(r *row, n int, failed bool) {
	s.riding--
	if failed {
		r.state, r.alone = rowReady, true
		return
	}
	r.state, r.alone = rowBack, false
	s.back++
	s.calls++
	s.rowsSum += n
}

// takeBack takes a row out of a call that was told to stop: as if it had not ridden.
func (s *sample) takeBack(r *row) {
	s.riding--
	r.state = rowReady
}

// settleTime books the stretch that ends now; call it when the last row riding came back and its step, if any, was taken.
func (s *sample) settleTime(now time.Time) {
	if s.busy {
		s.denoise += now.Sub(s.since)
	} else {
		s.wait += now.Sub(s.since)
	}
	s.since, s.busy = now, false
}

// whole reports whether all rows of a step are back.
func (s *sample) whole() bool { return s.back == len(s.rows) }

// advance takes the sampler's step once all rows are back. It touches nothing but the sample's own arrays.
func (s *sample) advance() (err error) {
	defer recovered(&err, "sampling")
	out := s.guided()
	if !finite(out) {
		return badImage("the UNet gives NaN or infinite values at call %d of %d: a UNet in float16 may overflow so with some prompts, else its weights are damaged; export it in float32", s.step+1, s.sampler.Len())
	}
	s.sampler.Step(s.x, out, s.step, s.noise.Normal)
	s.step++
	if !s.finished() {
		s.sampler.ScaleInput(s.in, s.x, s.step)
	}
	return nil
}

// turn makes the rows ready for the next step and tells the caller of the one that was taken.
func (s *sample) turn() (err error) {
	defer recovered(&err, "sampling")
	s.back = 0
	for i := range s.rows {
		s.rows[i].state = rowReady
	}
	if s.req.OnStep != nil {
		s.req.OnStep(s.step, s.sampler.Len())
	}
	if n := s.req.CheckpointEvery; n > 0 && s.step%n == 0 && s.req.OnCheckpoint != nil && !s.finished() {
		s.req.OnCheckpoint(s.state())
	}
	return nil
}

// finished reports whether all steps are done.
func (s *sample) finished() bool { return s.step == s.sampler.Len() }

// guided returns u + g·(c − u), in float32 and in the order of diffusers' pipelines.
func (s *sample) guided() []float32 {
	if len(s.rows) == 1 {
		return s.rows[0].out
	}
	g := float32(s.req.Guidance)
	u, c := s.rows[0].out, s.rows[1].out
	for i := range s.out {
		s.out[i] = u[i] + float32(g*float32(c[i]-u[i]))
	}
	return s.out
}

// finite reports whether all of v are numbers.
func finite(v []float32) bool {
	for _, f := range v {
		if f-f != 0 { // NaN for NaN and infinity
			return false
		}
	}
	return true
}

func (s *sample) String() string { return fmt.Sprintf("sample %d at step %d", s.seq, s.step) }
