package rng

const (
	mtSize  = 624 // words of state
	mtShift = 397 // distance to the middle word of the recurrence
)

// mt19937 is the 32-bit Mersenne Twister of Matsumoto and Nishimura ("Mersenne Twister: A
// 623-dimensionally equidistributed uniform pseudorandom number generator", ACM TOMACS 8(1), 1998).
type mt19937 struct {
	state [mtSize]uint32
	next  int // word to hand out next, 0..mtSize; mtSize: the state must be advanced first
}

// seed fills the state by Knuth's linear recurrence (the reference code's init_genrand, 2002).
func (m *mt19937) seed(s uint32) {
	m.state[0] = s
	for i := 1; i < mtSize; i++ {
		s = 1812433253*(s^s>>30) + uint32(i)
		m.state[i] = s
	}
	m.next = mtSize
}

// uint32 returns the next tempered word.
func (m *mt19937) uint32() uint32 {
	if m.next >= mtSize {
		m.advance()
	}
	y := m.state[m.next]
	m.next++
	y ^= y >> 11
	y ^= y << 7 & 0x9d2c5680
	y ^= y << 15 & 0xefc60000
	return y ^ y>>18
}

// uniform32 returns a multiple of 2^-24 in [0, 1), as torch draws a float32.
func (m *mt19937) uniform32() float32 {
	return float32(m.uint32()&(1<<24-1)) * (1.0 / (1 << 24))
}

// uniform64 returns a multiple of 2^-53 in [0, 1), as torch draws a float64: the first word is the
// upper half.
func (m *mt19937) uniform64() float64 {
	hi := uint64(m.uint32())
	lo := uint64(m.uint32())
	return float64((hi<<32|lo)&(1<<53-1)) * (1.0 / (1 << 53))
}

// advance replaces all words of the state by the next ones.
func (m *mt19937) advance() {
	s := &m.state
	for i := range mtSize - mtShift {
		s[i] = s[i+mtShift] ^ twist(s[i], s[i+1])
	}
	for i := mtSize - mtShift; i < mtSize-1; i++ {
		s[i] = s[i+mtShift-mtSize] ^ twist(s[i], s[i+1])
	}
	s[mtSize-1] = s[mtShift-1] ^ twist(s[mtSize-1], s[0])
	m.next = 0
}

// twist joins the upper bit of u to the lower 31 bits of v and multiplies by the recurrence's matrix.
func twist(u, v uint32) uint32 {
	y := (u&0x80000000 | v&0x7fffffff) >> 1
	return y ^ -(v&1)&0x9908b0df
}
