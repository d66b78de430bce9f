package batch

import (
	"fmt"
	"iter"

	"github.com/stipple-ai/stipple/internal/queue"
)

// Plan says which jobs a batch is made of: every row with every combination of a value from each group. The
// rows go slowest and the last group fastest, so that two seeds of one prompt are neighbours.
type Plan struct {
	Rows     Rows
	Groups   []Group   // from Zip
	Defaults queue.Job // the fields that a row leaves out and no group sets
}

// Add gives the jobs the values of axes, each on its own (see AddGroup).
func (p *Plan) Add(axes ...Axis) error {
	for _, a := range axes {
		if err := p.AddGroup(Group{a}); err != nil {
			return err
		}
	}
	return nil
}

// AddGroup gives the jobs the values of a group from Zip: a single one of each axis is the default of what rows
// leave out, several multiply the rows.
func (p *Plan) AddGroup(g Group) error {
	if g[0].n > 1 {
		p.Groups = append(p.Groups, g)
		return p.validate()
	}
	for _, a := range g {
		if a.field.has(&p.Defaults) {
			return fmt.Errorf("%s is given values twice", a.field.name)
		}
		if err := a.set(&p.Defaults, 0); err != nil {
			return err
		}
	}
	return p.validate()
}

// Jobs returns the jobs of the plan in the batch of that id, their indexes from 0. It reads the input anew; the
// first error is the last thing that comes.
func (p Plan) Jobs(batch string) iter.Seq2[queue.Job, error] {
	return func(yield func(queue.Job, error) bool) {
		if err := p.validate(); err != nil {
			yield(queue.Job{}, err)
			return
		}
		index, all := int64(0), fields()
		for row, err := range p.Rows {
			if err == nil {
				err = p.conflict(row)
			}
			if err != nil {
				yield(queue.Job{}, err)
				return
			}
			base := p.filled(row, all)
			base.Version, base.BatchID = queue.Version, batch
			for at := make([]int64, len(p.Groups)); at != nil; at = p.next(at) {
				j := base
				j.Index = index
				index++
				if err := p.along(&j, at); err != nil {
					yield(queue.Job{}, err)
					return
				}
				if !yield(j, nil) {
					return
				}
			}
		}
	}
}

// validate checks what does not depend on the rows.
func (p Plan) validate() error {
	if err := distinct(p.Groups...); err != nil {
		return err
	}
	for _, g := range p.Groups {
		for _, a := range g {
			if a.field.has(&p.Defaults) {
				return fmt.Errorf("%s is given values twice", a.field.name)
			}
		}
	}
	return check(p.Defaults)
}

// conflict refuses a row that sets a field to which a group gives values: one of the two would be lost.
func (p Plan) conflict(row Row) error {
	for _, g := range p.Groups {
		for _, a := range g {
			if a.field.has(&row.Job) {
				return &RowError{row.Source, row.Line, fmt.Errorf("sets %s, which takes %d values of its own; give it in one place", a.field.name, a.n)}
			}
		}
	}
	return nil
}

// first is the first job of a row, without an identity.
func (p Plan) first(row Row) (queue.Job, error) {
	j := p.filled(row, fields())
	err := p.along(&j, make([]int64, len(p.Groups)))
	return j, err
}

// filled is the row's job with what it leaves out taken from the defaults.
func (p Plan) filled(row Row, all []field) queue.Job {
	j := row.Job
	for _, f := range all {
		if !f.has(&j) {
			f.copy(&j, &p.Defaults)
		}
	}
	return j
}

// along gives j the values at a position: an index into each group.
func (p Plan) along(j *queue.Job, at []int64) error {
	for g, group := range p.Groups {
		for _, a := range group {
			if err := a.set(j, at[g]); err != nil {
				return err
			}
		}
	}
	return nil
}

// next is the position after at, or nil after the last.
func (p Plan) next(at []int64) []int64 {
	for g := len(at) - 1; g >= 0; g-- {
		if at[g]++; at[g] < p.Groups[g][0].n {
			return at
		}
		at[g] = 0
	}
	return nil
}
