package batch

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/stipple-ai/stipple/internal/queue"
)

// Census is what a look at the whole input tells before any of it is sent.
type Census struct {
	Rows   int64
	Jobs   int64     // rows × values
	Models []string  // that the jobs name, sorted; "" among them if some name none
	Work   []Work    // all jobs, by model and number of steps
	Sample queue.Job // the first, without an identity
	Text   int64     // bytes of the prompts and negative prompts of all jobs
}

// Work is how many jobs a batch has of one model and number of steps.
type Work struct {
	Model string // "" where the job names none
	Steps int    // num_inference_steps; 0 where the job leaves them to the model
	Jobs  int64
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
	load := newLoad(p)
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
		if err := load.add(row); err != nil {
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
	var err error
	if c.Work, err = load.work(); err != nil {
		return Census{}, err
	}
	for _, w := range c.Work {
		c.Models = append(c.Models, w.Model)
	}
	c.Models = slices.Compact(c.Models) // work is sorted by them
	c.Text = load.text(c.Rows)
	return c, nil
}

// kindOfWork is a model and a number of steps, each as a row, a group or a default gives it: "" and 0 if it does
// not.
type kindOfWork struct {
	model string
	steps int
}

func workOf(j queue.Job) kindOfWork {
	return kindOfWork{j.Model, queue.Or(j.NumInferenceSteps, 0)}
}

// over is w with what it leaves open taken from v.
func (w kindOfWork) over(v kindOfWork) kindOfWork {
	return kindOfWork{cmp.Or(w.model, v.model), cmp.Or(w.steps, v.steps)}
}

// load counts the work of a plan. Rows are counted by what they say themselves, of which there are few kinds;
// the groups say the same for every row.
type load struct {
	plan   Plan
	rows   map[kindOfWork]int64
	models map[string]bool
	prompt [2]int64 // bytes of the rows' prompts and negative prompts
	given  [2]int64 // rows that have one
}

func newLoad(p Plan) *load {
	return &load{plan: p, rows: map[kindOfWork]int64{}, models: map[string]bool{}}
}

// add counts a row.
func (l *load) add(row Row) error {
	w := workOf(row.Job)
	l.rows[w]++
	if l.models[w.model] = true; len(l.models) > maxModels {
		return &RowError{row.Source, row.Line, tooManyModels()}
	}
	for i, text := range []*string{row.Job.Prompt, row.Job.NegativePrompt} {
		if text != nil {
			l.prompt[i] += int64(len(*text))
			l.given[i]++
		}
	}
	return nil
}

func tooManyModels() error {
	return fmt.Errorf("a batch may name at most %d models; is the model's column right?", maxModels)
}

// work returns the counts, sorted.
func (l *load) work() ([]Work, error) {
	groups, err := l.plan.mix()
	if err != nil {
		return nil, err
	}
	all := map[kindOfWork]int64{}
	models := map[string]bool{}
	for row, rows := range l.rows {
		for g, jobs := range groups {
			w := g.over(row).over(workOf(l.plan.Defaults))
			all[w] += rows * jobs
			if models[w.model] = true; len(models) > maxModels {
				return nil, tooManyModels()
			}
		}
	}
	sorted := make([]Work, 0, len(all))
	for w, jobs := range all {
		sorted = append(sorted, Work{w.model, w.steps, jobs})
	}
	slices.SortFunc(sorted, func(a, b Work) int {
		return cmp.Or(cmp.Compare(a.Model, b.Model), cmp.Compare(a.Steps, b.Steps))
	})
	return sorted, nil
}

// mix is how many jobs the groups make of one row, by what they say of model and steps.
func (p Plan) mix() (map[kindOfWork]int64, error) {
	told := Plan{} // the groups that say anything
	silent := int64(1)
	for _, g := range p.Groups {
		if slices.ContainsFunc(g, func(a Axis) bool { return a.field.name == "model" || a.field.name == "num_inference_steps" }) {
			told.Groups = append(told.Groups, g)
		} else {
			silent *= g[0].n
		}
	}
	counts := map[kindOfWork]int64{}
	for at := make([]int64, len(told.Groups)); at != nil; at = told.next(at) {
		var j queue.Job
		if err := told.along(&j, at); err != nil {
			return nil, err
		}
		counts[workOf(j)] += silent
	}
	return counts, nil
}

// text is the bytes of the prompts of all jobs of so many rows. Prompts that groups give are not counted: on the
// command line there are none.
func (l *load) text(rows int64) int64 {
	each, _ := product(1, l.plan.Groups) // the jobs were counted, so there are not too many
	total := int64(0)
	for i, def := range []*string{l.plan.Defaults.Prompt, l.plan.Defaults.NegativePrompt} {
		total += (l.prompt[i] + (rows-l.given[i])*int64(len(queue.Or(def, "")))) * each
	}
	return total
}
