package batch

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

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

// Census is what a look at the whole input tells before any of it is sent.
type Census struct {
	Rows   int64
	Jobs   int64     // rows × values
	Models []string  // that the jobs name, sorted; "" among them if some name none
	Sample queue.Job // the first, without an identity
}

// maxReported bounds the bad rows that one error lists.
const maxReported = 10

// maxModels bounds the models of one batch: each is a subject, and a name met for the first time on line
// 100 000 is a slip.
const maxModels = 100

// Count reads the whole input, checks every row and counts the jobs. The error joins the first bad rows, each
// a *RowError with its line.
func (p Plan) Count() (Census, error) {
	if err := p.validate(); err != nil {
		return Census{}, err
	}
	var c Census
	var bad []error
	more := 0
	models := map[string]bool{}
	for row, err := range p.Rows {
		if err == nil {
			err = p.conflict(row)
		}
		var one *RowError
		switch {
		case err == nil:
		case !errors.As(err, &one):
			return Census{}, errors.Join(append(bad, err)...)
		case len(bad) < maxReported:
			bad = append(bad, err)
			continue
		default:
			more++
			continue
		}
		if c.Rows++; c.Rows > MaxJobs {
			return Census{}, fmt.Errorf("a batch of more than %d jobs; split it", MaxJobs)
		}
		if err := p.models(row, models); err != nil {
			return Census{}, err
		}
		if c.Rows == 1 {
			if c.Sample, err = p.first(row); err != nil {
				return Census{}, err
			}
		}
	}
	if more > 0 {
		bad = append(bad, fmt.Errorf("and %d more bad rows", more))
	}
	if len(bad) > 0 {
		return Census{}, errors.Join(bad...)
	}
	var ok bool
	if c.Jobs, ok = product(c.Rows, p.Groups); !ok {
		return Census{}, fmt.Errorf("a batch of more than %d jobs; split it", MaxJobs)
	}
	c.Models = slices.Sorted(maps.Keys(models))
	return c, nil
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

// models adds the models of the row's jobs to the set.
func (p Plan) models(row Row, set map[string]bool) error {
	add := func(name string) error {
		if set[name] = true; len(set) > maxModels {
			return &RowError{row.Source, row.Line, fmt.Errorf("a batch may name at most %d models; is the model's column right?", maxModels)}
		}
		return nil
	}
	for _, g := range p.Groups {
		for _, a := range g {
			if a.field.name != "model" {
				continue
			}
			for i := range a.n {
				var j queue.Job
				if err := a.set(&j, i); err != nil {
					return err
				}
				if err := add(j.Model); err != nil {
					return err
				}
			}
			return nil
		}
	}
	return add(queue.Or(nonEmpty(row.Job.Model), p.Defaults.Model))
}

func nonEmpty(s string) *string {
	if s == "" {
		return nil
	}
	return &s
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
