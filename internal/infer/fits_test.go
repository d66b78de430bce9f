package infer

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestCrowdWithoutMemory: a crowd for which the device has too little memory runs in the next smaller calls from then on, not into the same failure at every step, and
// larger calls are tried again when many have succeeded.
func TestCrowdWithoutMemory(t *testing.T) {
	for _, shapes := range [][]int{nil, {1, 2, 4, 8, 16}} {
		synctest.Test(t, func(t *testing.T) {
			const crowd, steps = 8, 60
			m := newFakeModel(t)
			m.delay = time.Millisecond
			fits, failed := 4, 0
			m.fault = func(c *Call) error {
				if c.Pad <= fits {
					return nil
				}
				failed++
				return &Error{Type: "out_of_memory", Err: errors.New("full")}
			}
			e, _ := start(t, m, 1, Config{MaxRows: 16, RowShapes: shapes, Encoders: 1, Decoders: crowd})
			draws := func(steps int) (rows []int) {
				m.calls, failed = nil, 0
				var wg sync.WaitGroup
				for i := range crowd {
					wg.Go(func() {
						q := request(uint64(i))
						q.Prompt, q.Steps = "the same", steps
						draw(t, e, q)
					})
				}
				wg.Wait()
				for _, c := range m.calls {
					rows = append(rows, c.rows)
				}
				return rows
			}
			rows := draws(steps)
			few, all := 2*crowd*2, crowd*2*steps/4
			if most := few + all + all/regrow*8; failed > 2+all/regrow || len(rows) > most {
				t.Errorf("shapes %v: %d calls of a crowd failed, and there were %d in all, want at most %d", shapes, failed, len(rows), most)
			}
			fits = 16
			if rows = draws(2 * steps); slices.Max(rows) != 16 || failed > 0 {
				t.Errorf("shapes %v: with memory again, the largest of %d calls had %d rows", shapes, len(rows), slices.Max(rows))
			}
		})
	}
}
