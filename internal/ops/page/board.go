package page

import (
	"cmp"
	"slices"
	"sync"

	"github.com/stipple-ai/stipple/internal/web"
)

// ringSize is how many images are kept for clients that come back, or are slow.
const ringSize = 2048

// board is what clients see: the newest state, what has landed last, and the last dead letters. Its methods may be
// called from several goroutines.
type board struct {
	mu      sync.Mutex
	state   *web.State
	ring    []landed // in the order of their sequences, ringSize of them, and up to as many before those
	last    uint64   // sequence up to which everything was taken, whether it is in the ring or was there before
	first   uint64   // sequence up to which nothing is in the ring
	letters web.LetterPage
	changed chan struct{} // closed at the next change
}

// landed is an image and the sequence of its record.
type landed struct {
	sequence uint64
	image    web.Image
	bucket   string // of the picture
	size     int64  // of its file, in bytes; 0 where the record does not say
}

func (b *board) begin(st *web.State) {
	b.state, b.changed = st, make(chan struct{})
	b.letters = web.LetterPage{Dead: []web.Letter{}}
}

// wake tells those who wait. The caller has the lock.
func (b *board) wake() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// show shows another state.
func (b *board) show(st *web.State) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state = st
	b.wake()
}

// skip says that everything up to a sequence was there before anybody looked.
func (b *board) skip(sequence uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last = max(b.last, sequence)
	b.first = b.last
}

// land shows images that have just ended.
func (b *board) land(some []landed) {
	if len(some) == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ring = append(b.ring, some...)
	b.last = some[len(some)-1].sequence
	if over := len(b.ring) - ringSize; over > ringSize { // not for each one that lands
		b.first = b.ring[over-1].sequence
		b.ring = slices.Clone(b.ring[over:])
	}
	b.wake()
}

// tell shows the last dead letters.
func (b *board) tell(p web.LetterPage) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.letters = p
	b.wake()
}

// State is the newest snapshot.
func (s *System) State() *web.State {
	b := &s.board
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state
}

// Changed is closed at the next change.
func (s *System) Changed() <-chan struct{} {
	b := &s.board
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.changed
}

// Letters are the last dead letters.
func (s *System) Letters() web.LetterPage {
	b := &s.board
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.letters
}

// Landed is what has ended after a sequence. A sequence above the last is the last: the client is new, or the queue is
// another one than it was.
func (s *System) Landed(after uint64, limit int) web.Landed {
	b := &s.board
	b.mu.Lock()
	defer b.mu.Unlock()
	if after >= b.last {
		return web.Landed{Last: b.last}
	}
	if limit == 0 {
		return web.Landed{Last: after}
	}
	l := web.Landed{Last: b.last, Missed: after < b.first}
	begin, _ := slices.BinarySearchFunc(b.ring, after+1, func(l landed, sequence uint64) int { return cmp.Compare(l.sequence, sequence) })
	for _, one := range b.ring[begin:] {
		if len(l.Images) == limit {
			l.More = true
			break
		}
		l.Images, l.Last = append(l.Images, one.image), one.sequence
	}
	return l
}
