package tune

import (
	"context"
	"math"
	"sync"
	"time"
)

// spent is the time that calls of one kind took.
type spent struct {
	n    int
	took time.Duration
}

func (s *spent) call(ctx context.Context, f func(context.Context) error) error {
	begin := time.Now()
	err := f(ctx)
	s.n++
	s.took += time.Since(begin)
	return err
}

func (s *spent) add(other spent) {
	s.n += other.n
	s.took += other.took
}

// mean is in seconds.
func (s spent) mean() float64 { return s.took.Seconds() / float64(s.n) }

// loop runs the bare calls of pictures on as many goroutines as there are lanes: of each the text is encoded, the UNet called for all of its rows, and the picture
// decoded. (The negative prompt is the same for all, and the engine encodes it once.) A picture whose rows fill no whole number of calls counts the fraction. It returns images/s.
func (s *stand) loop(ctx context.Context) (float64, error) {
	perPicture := float64(s.work.calls*s.work.rows) / float64(s.result.Rows)
	var mu sync.Mutex
	var encode, denoise, decode spent
	var first error
	begin := time.Now()
	var wg sync.WaitGroup
	for _, b := range s.bares {
		wg.Go(func() { // ends with the duration, or an error
			var e, u, d spent
			err := bare(ctx, b, max(1, int(math.Round(perPicture))), func() bool { return time.Since(begin) >= s.cfg.Duration }, &e, &u, &d)
			mu.Lock()
			defer mu.Unlock()
			encode.add(e)
			denoise.add(u)
			decode.add(d)
			if first == nil {
				first = err
			}
		})
	}
	wg.Wait()
	if first != nil {
		return 0, first
	}
	return float64(len(s.bares)) / (encode.mean() + perPicture*denoise.mean() + decode.mean()), nil
}

// bare makes the calls of whole pictures until over says so.
func bare(ctx context.Context, b Bare, calls int, over func() bool, encode, denoise, decode *spent) error {
	for {
		if err := encode.call(ctx, b.Encode); err != nil {
			return err
		}
		for range calls {
			if err := denoise.call(ctx, b.Denoise); err != nil {
				return err
			}
		}
		if err := decode.call(ctx, b.Decode); err != nil {
			return err
		}
		if over() {
			return nil
		}
	}
}
