package clip

// bpe is the byte-pair model: how bytes become symbols and which neighbours merge, in which order.
type bpe struct {
	inner [256]int32       // id of each byte inside a word
	last  [256]int32       // id of each byte at the end of a word
	rules []mergeRule      // by rank: a lower one goes first
	rank  map[uint64]int32 // rank of each pair, see pairKey
}

// mergeRule replaces the neighbours left and right by result.
type mergeRule struct {
	left, right, result int32
}

func pairKey(left, right int32) uint64 { return uint64(uint32(left))<<32 | uint64(uint32(right)) }

// merger is the working memory for merging one word after another.
type merger struct {
	symbols []symbolNode
	heap    mergeHeap
}

// symbolNode is a symbol of the word in a doubly linked list; -1 ends it on both sides. A node that was
// merged into its left neighbour has the id -1.
type symbolNode struct {
	id, prev, next int32
}

// encode makes the symbols of a word, which has at least one byte. The rule of the lowest rank is
// applied first, at its leftmost place, until none applies. A heap of the places keeps long words, such
// as 1 MB of one letter, at n log n.
func (m *merger) encode(b *bpe, word string) {
	m.symbols = m.symbols[:0]
	m.heap = m.heap[:0]
	for i := range len(word) {
		m.symbols = append(m.symbols, symbolNode{id: b.inner[word[i]], prev: int32(i - 1), next: int32(i + 1)})
	}
	end := len(word) - 1
	m.symbols[end].id, m.symbols[end].next = b.last[word[end]], -1
	for i := range end {
		m.offer(b, int32(i))
	}
	for len(m.heap) > 0 {
		rank, pos := m.heap.pop()
		rule := b.rules[rank]
		left := &m.symbols[pos]
		if left.id != rule.left || left.next < 0 || m.symbols[left.next].id != rule.right {
			continue // one of the two has merged with another since
		}
		right := &m.symbols[left.next]
		left.id, left.next = rule.result, right.next
		right.id = -1
		if left.next >= 0 {
			m.symbols[left.next].prev = pos
			m.offer(b, pos)
		}
		if left.prev >= 0 {
			m.offer(b, left.prev)
		}
	}
}

// ids is the sequence of ids of the word that was encoded last.
func (m *merger) ids(yield func(id int32) bool) {
	for pos := int32(0); pos >= 0; pos = m.symbols[pos].next {
		if !yield(m.symbols[pos].id) {
			return
		}
	}
}

// offer puts the pair at pos on the heap if a rule merges it.
func (m *merger) offer(b *bpe, pos int32) {
	s := m.symbols[pos]
	if rank, ok := b.rank[pairKey(s.id, m.symbols[s.next].id)]; ok {
		m.heap.push(rank, pos)
	}
}

// mergeHeap is a binary min-heap of places to merge: rank in the upper half, position in the lower, so
// that numbers compare as the merges are to be done.
type mergeHeap []uint64

func (h *mergeHeap) push(rank, pos int32) {
	q := append(*h, uint64(rank)<<32|uint64(pos))
	i := len(q) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if q[parent] <= q[i] {
			break
		}
		q[parent], q[i] = q[i], q[parent]
		i = parent
	}
	*h = q
}

func (h *mergeHeap) pop() (rank, pos int32) {
	q := *h
	top := q[0]
	end := len(q) - 1
	q[0] = q[end]
	q = q[:end]
	for i := 0; ; {
		child := 2*i + 1
		if child >= end {
			break
		}
		if child+1 < end && q[child+1] < q[child] {
			child++
		}
		if q[i] <= q[child] {
			break
		}
		q[i], q[child] = q[child], q[i]
		i = child
	}
	*h = q
	return int32(top >> 32), int32(uint32(top))
}
