package schedule

// maxOrder is the highest order of a multistep solver: PNDM and LMS have four, the rest three.
const maxOrder = 3

// maxTerms is the number of earlier model outputs a combination may weigh.
const maxTerms = 4

// combination is what a step of any linear multistep method comes down to: the next sample is
// x·X + Σ m[k]·M[k] + noise·N, for the sample X, remembered outputs M (latest first) and fresh noise N.
type combination struct {
	x     float32
	m     [maxTerms]float32
	noise float32
}

// apply writes the combination to dst, which may be x itself. Terms of weight 0 are not read.
func (c *combination) apply(dst, x []float32, m *[maxTerms][]float32, noise []float32) {
	for j, v := range x {
		dst[j] = c.x * v
	}
	for k, w := range c.m {
		if w != 0 {
			addScaled(dst, m[k], w)
		}
	}
	if c.noise != 0 {
		addScaled(dst, noise, c.noise)
	}
}

// addScaled adds w·x to dst. The conversion keeps compilers from fusing the two operations, so that
// all machines compute the same bits.
func addScaled(dst, x []float32, w float32) {
	for j, v := range x {
		dst[j] += float32(w * v)
	}
}

// weights lists the numbers of combinations for seal.
func weights(list []combination) []float32 {
	w := make([]float32, 0, (2+maxTerms)*len(list))
	for _, c := range list {
		w = append(append(append(w, c.x), c.m[:]...), c.noise)
	}
	return w
}

// last fills m with the rows of a ring of history, the one of call i first.
func (m *memory) last(rows *[maxTerms][]float32, i, ring int) {
	for k := range min(ring, i+1) {
		rows[k] = m.row((i - k) % ring)
	}
}
