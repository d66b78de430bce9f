package worker

import "context"

// slots counts the jobs that may be held at once.
type slots struct{ free chan struct{} }

func newSlots(n int) *slots {
	s := &slots{free: make(chan struct{}, n)}
	for range n {
		s.free <- struct{}{}
	}
	return s
}

// take waits for a free slot and takes all that are free, so that a fetch asks for exactly those.
func (s *slots) take(ctx context.Context) (int, error) {
	select {
	case <-s.free:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	n := 1
	for {
		select {
		case <-s.free:
			n++
		default:
			return n, nil
		}
	}
}

// give returns n slots.
func (s *slots) give(n int) {
	for range n {
		s.free <- struct{}{}
	}
}
