package tune

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stipple-ai/stipple/internal/infer"
)

// stand is where one setting is tried: an engine with lanes of its own, idle between trials.
type stand struct {
	cfg    Config
	model  Model
	result Result
	work   work
	meter  meter
	drawn  atomic.Uint64 // pictures begun so far: the next one's seed and the end of its prompt

	engine *infer.Engine
	bares  []Bare // of each lane
	stop   func() error
}

// prepare makes and warms the bare calls and the engine. What it made, close frees. The bare calls come first: where rows do not fit into the memory they say so, while
// an engine helps itself with fewer.
func (s *stand) prepare(ctx context.Context) error {
	if err := s.prepareBare(ctx); err != nil {
		return err
	}
	lanes := infer.NewLanes(s.result.Lanes)
	runCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	s.stop = func() error {
		cancel()
		var err error
		if s.engine != nil {
			err = <-ended
		}
		lanes.Close()
		return err
	}
	r := s.model.Request
	engine, err := infer.New(s.model, lanes, infer.Config{
		MaxRows: s.result.Rows, RowShapes: s.result.Shapes, Limits: infer.Limits{MaxPixels: r.Width * r.Height},
		Encoders: s.cfg.Beside, Decoders: s.cfg.Beside, OnCall: s.meter.call, Logger: s.cfg.Logger,
	})
	if err != nil {
		return err
	}
	if err := engine.Warm(ctx); err != nil {
		return err
	}
	if s.work, err = workOf(r, engine.Info()); err != nil {
		return err
	}
	if engine.Info().OneSample && s.result.Rows > s.work.rows {
		return fmt.Errorf("the UNet takes one picture a call, and a picture has %d rows", s.work.rows)
	}
	s.engine = engine
	go func() { ended <- engine.Run(runCtx) }() // ends when stop cancels
	return nil
}

func (s *stand) prepareBare(ctx context.Context) error {
	for range s.result.Lanes {
		b, err := s.model.Bare(s.model.Request.Width, s.model.Request.Height, s.result.Rows)
		if err != nil {
			return err
		}
		s.bares = append(s.bares, b)
		for _, call := range []func(context.Context) error{b.Encode, b.Denoise, b.Decode} {
			if err := call(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *stand) close() error {
	var errs []error
	if s.stop != nil {
		if err := s.stop(); s.result.Err == nil { // a device that broke is told there
			errs = append(errs, err)
		}
	}
	for _, b := range s.bares {
		errs = append(errs, b.Close())
	}
	return errors.Join(errs...)
}

// trial measures the engine and the bare loop, in turns the one and the other first.
func (s *stand) trial(ctx context.Context) (t Trial, err error) {
	var bare float64
	first := len(s.result.Trials)%2 == 1
	if first {
		if bare, err = s.loop(ctx); err != nil {
			return t, err
		}
	}
	if t, err = s.draw(ctx); err != nil {
		return t, err
	}
	if !first {
		bare, err = s.loop(ctx)
	}
	t.Bare = bare
	return t, err
}

// meter sums the engine's UNet calls up. The engine's Run and a trial share it.
type meter struct {
	mu sync.Mutex
	m  calls
}

type calls struct {
	n, rows int
	took    time.Duration
}

func (m *meter) call(rows, _ int, d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.m.n++
	m.m.rows += rows
	m.m.took += d
}

func (m *meter) read() calls {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.m
}

// inFlight is how many pictures keep the lanes full: their rows, and one each at the text encoder and the decoder.
func (s *stand) inFlight() int {
	return (s.result.Lanes*s.result.Rows+s.work.rows-1)/s.work.rows + 2
}

// draw keeps the engine full and counts pictures between two completions, so that neither the start, where all pictures are at one step, nor the end, where lanes run
// empty, is in the figure.
func (s *stand) draw(ctx context.Context) (t Trial, err error) {
	drawing, cancel := context.WithCancel(ctx)
	n := s.inFlight()
	done := make(chan error)
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() { // ends when cancel is called, or at the first error
			for {
				err := s.one(drawing)
				select {
				case done <- err:
				case <-drawing.Done():
					return
				}
				if err != nil {
					return
				}
			}
		})
	}
	defer wg.Wait()
	defer cancel()
	var begin, end time.Time
	var from, to calls
	pictures := 0 // since begin
	for drawn := 1; ; drawn++ {
		select {
		case err := <-done:
			if err != nil {
				return t, err
			}
		case <-ctx.Done():
			return t, ctx.Err()
		}
		switch {
		case drawn < n:
			continue
		case drawn == n:
			begin, from = time.Now(), s.meter.read()
			continue
		}
		pictures++
		end, to = time.Now(), s.meter.read()
		// Pictures that began together end together, so only whole turns count.
		if pictures%n == 0 && pictures >= s.cfg.Images && end.Sub(begin) >= s.cfg.Duration {
			break
		}
	}
	made := float64(to.n - from.n)
	return Trial{
		ImagesPerSecond: float64(pictures) / end.Sub(begin).Seconds(),
		Call:            time.Duration(float64(to.took-from.took) / made),
		RowsMean:        float64(to.rows-from.rows) / made,
	}, nil
}

// one draws one picture, whose text was never encoded before.
func (s *stand) one(ctx context.Context) error {
	r := s.model.Request
	r.Seed = s.drawn.Add(1)
	r.Prompt = fmt.Sprint(r.Prompt, " ", r.Seed)
	_, err := s.engine.Generate(ctx, r)
	return err
}
