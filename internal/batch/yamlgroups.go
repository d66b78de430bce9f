package batch

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/stipple-ai/stipple/internal/queue"
)

// groupsKey is the key of a document's groups, beside fields of a job.
const groupsKey = "groups"

// combinations yields the rows of a document such as
//
//	model: sd15                  # fields: for every row of the document
//	num_inference_steps: 30
//	groups:
//	- prompt: [a fox, a hen]     # axes of one group go together: a fox without snow, a hen without rain
//	  negative_prompt: [snow, rain]
//	- seed: 1..8                 # and the groups multiply: each of the two with each of the seeds
//
// The first group goes slowest, the last one fastest. A document without groups is one row.
func (d yamlDocument) combinations(root *yaml.Node, yield func(Row, error) bool) bool {
	own, list := *root, (*yaml.Node)(nil)
	own.Content = nil
	for i := 0; i+1 < len(root.Content); i += 2 {
		key := root.Content[i]
		switch {
		case target(key).Value != groupsKey:
			own.Content = append(own.Content, key, root.Content[i+1])
		case list != nil:
			return yield(Row{}, d.at(key, errors.New("groups stands more than once")))
		default:
			list = root.Content[i+1]
		}
	}
	row, problem := d.row(&own)
	if problem != nil {
		return yield(Row{}, problem)
	}
	var plan Plan
	if list != nil {
		var problems []*RowError
		if plan.Groups, problems = d.groups(row, list); len(problems) > 0 {
			for _, p := range problems {
				if !yield(Row{}, p) {
					return false
				}
			}
			return true
		}
	}
	for at := make([]int64, len(plan.Groups)); at != nil; at = plan.next(at) {
		next := row
		err := plan.along(&next.Job, at) // fails for no position: every value was tried
		if !yield(next, err) {
			return false
		}
	}
	return true
}

// groups reads the list of groups and what is wrong with them. The row has the document's other fields.
func (d yamlDocument) groups(row Row, n *yaml.Node) ([]Group, []*RowError) {
	list := target(n)
	if list.Kind != yaml.SequenceNode {
		return nil, []*RowError{d.at(n, fmt.Errorf("groups must be a list of mappings such as - seed: 1..8, is %s", kind(list)))}
	}
	var all []Group
	var problems []*RowError
	for _, item := range list.Content {
		g, problem := d.group(row, all, item)
		if problem != nil {
			problems = append(problems, problem)
			continue
		}
		all = append(all, g)
	}
	if _, ok := product(1, all); !ok && len(problems) == 0 {
		problems = append(problems, d.at(n, fmt.Errorf("groups make more than %d jobs; split the batch", MaxJobs)))
	}
	return all, problems
}

// group reads a mapping of fields and their values.
func (d yamlDocument) group(row Row, before []Group, n *yaml.Node) (Group, *RowError) {
	m := target(n)
	if m.Kind != yaml.MappingNode || len(m.Content) == 0 {
		return nil, d.at(n, fmt.Errorf("a group must be a mapping of fields and their values such as seed: [1, 2], is %s", kind(m)))
	}
	var axes []Axis
	problem := d.fields(m, func(f field, values *yaml.Node) error {
		if f.has(&row.Job) {
			return fmt.Errorf("%s is given values twice, beside the groups and in one of them", f.name)
		}
		a, err := d.axis(f, values)
		axes = append(axes, a)
		return err
	})
	if problem != nil {
		return nil, problem
	}
	g, err := Zip(axes...)
	if err == nil {
		err = distinct(append(slices.Clip(before), g)...)
	}
	if err != nil {
		return nil, d.at(n, err)
	}
	return g, nil
}

// axis reads the values of a field: a list, in which an integer may be a range as in [1..4, 9], or a single one.
func (d yamlDocument) axis(f field, n *yaml.Node) (Axis, error) {
	values := []*yaml.Node{n}
	if list := target(n); list.Kind == yaml.SequenceNode {
		values = list.Content
	}
	if len(values) == 0 {
		return Axis{}, fmt.Errorf("%s: no values", f.name)
	}
	a := Axis{field: f}
	for _, v := range values {
		if err := addValue(&a, v); err != nil {
			return Axis{}, d.at(v, err)
		}
	}
	return a, nil
}

func addValue(a *Axis, n *yaml.Node) error {
	if isNull(target(n)) {
		return &queue.InvalidError{Field: a.field.name, Reason: "has a null among its values"}
	}
	text, err := scalar(a.field, n)
	if err != nil {
		return err
	}
	s := span{n: 1, text: text}
	if a.field.list == integers && strings.Contains(text, "..") {
		if s, err = parseRange(text); err != nil {
			return fmt.Errorf("%s: %w", a.field.name, err)
		}
	}
	return a.add(s)
}
