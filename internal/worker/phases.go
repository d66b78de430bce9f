package worker

import "time"

// phase is what a job is doing; at every moment it is doing one thing, so that the parts of its timings are its whole time.
type phase int

const (
	waiting phase = iota // for the broker, the store's answer to a look-up, an encoder, a lane, a decoder
	textEncoding
	denoising
	decoding
	imageEncoding
	uploading
	phaseCount
)

// phases is a job's stopwatch. One goroutine uses it.
type phases struct {
	current phase
	since   time.Time
	spent   [phaseCount]time.Duration
}

func startPhases(at time.Time) *phases { return &phases{since: at} }

// enter ends the current phase and begins p.
func (s *phases) enter(p phase) {
	now := time.Now()
	s.spent[s.current] += now.Sub(s.since)
	s.current, s.since = p, now
}

// move books d, measured inside the current stretch, as p instead of the current phase.
func (s *phases) move(p phase, d time.Duration) {
	s.spent[p] += d
	s.spent[s.current] -= d
}
