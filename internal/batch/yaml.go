package batch

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v4"

	"github.com/stipple-ai/stipple/internal/queue"
)

// readYAML reads YAML documents, each a list of rows or a mapping: fields of a job, and under "groups" a list of
// groups of axes (see combinations). Scalars are taken as they are written, so that a seed keeps its digits and
// a prompt may be a number; null leaves a field out. Aliases mean what they point to; merge keys are refused.
//
// An error of the YAML itself ends the input; what is wrong with a row or a group is that one's own.
func readYAML(name string, r io.Reader) Rows {
	return func(yield func(Row, error) bool) {
		for doc, err := range documents(name, r) {
			if err != nil {
				yield(Row{}, err)
				return
			}
			if !(yamlDocument{name, doc.before}).read(doc.text, yield) {
				return
			}
		}
	}
}

// yamlDocument reads one document of a file.
type yamlDocument struct {
	name   string
	before int64 // lines in front of the document
}

// read yields the rows of the document, and returns whether others may follow.
func (d yamlDocument) read(text []byte, yield func(Row, error) bool) bool {
	in, err := yaml.NewLoader(bytes.NewReader(text))
	for err == nil {
		var node yaml.Node
		if err = in.Load(&node); err == nil && len(node.Content) == 1 && !d.rows(node.Content[0], yield) {
			return false
		}
	}
	if errors.Is(err, io.EOF) {
		return true
	}
	yield(Row{}, d.syntax(text, err))
	return false
}

// syntax is an error of the YAML itself. The parser may place it behind the last line.
func (d yamlDocument) syntax(text []byte, err error) error {
	load, ok := errors.AsType[*yaml.LoadError](err)
	if !ok {
		return fmt.Errorf("reading %s: %w", d.name, err)
	}
	last := bytes.Count(bytes.TrimSuffix(text, []byte("\n")), []byte("\n")) + 1
	line := min(max(load.Mark.Line, 1), last)
	e := &RowError{d.name, d.before + int64(line), fmt.Errorf("is not YAML: %s", load.Message)}
	if begun := load.ContextMark.Line; begun > 0 && begun < line {
		e.Err = fmt.Errorf("%w (%s that begins on line %d)", e.Err, load.ContextMsg, d.before+int64(begun))
	}
	return e
}

// at is an error of a node, unless it says already where it is.
func (d yamlDocument) at(n *yaml.Node, err error) *RowError {
	if e, ok := errors.AsType[*RowError](err); ok {
		return e
	}
	return &RowError{d.name, d.before + int64(max(n.Line, 1)), err}
}

// rows yields what a document says.
func (d yamlDocument) rows(root *yaml.Node, yield func(Row, error) bool) bool {
	switch root = target(root); {
	case isNull(root): // an empty document
		return true
	case root.Kind == yaml.SequenceNode:
		for _, item := range root.Content {
			row, problem := d.row(item)
			if problem != nil {
				if !yield(Row{}, problem) {
					return false
				}
			} else if !yield(row, nil) {
				return false
			}
		}
		return true
	case root.Kind == yaml.MappingNode:
		return d.combinations(root, yield)
	}
	return yield(Row{}, d.at(root, errors.New("must be a list of rows, or a mapping of a job's fields and groups of axes")))
}

// row reads a mapping of a job's fields.
func (d yamlDocument) row(n *yaml.Node) (Row, *RowError) {
	row := Row{Source: d.name, Line: d.before + int64(max(n.Line, 1))}
	m := target(n)
	if m.Kind != yaml.MappingNode {
		return Row{}, d.at(n, fmt.Errorf("a row must be a mapping of a job's fields such as {prompt: a red apple}, is %s", kind(m)))
	}
	problem := d.fields(m, func(f field, value *yaml.Node) error {
		return setScalar(&row.Job, f, value)
	})
	return row, problem
}

// fields calls set for every field of a mapping. Its error is that of the value.
func (d yamlDocument) fields(m *yaml.Node, set func(f field, value *yaml.Node) error) *RowError {
	seen := make(map[string]bool, len(m.Content)/2)
	for i := 0; i+1 < len(m.Content); i += 2 {
		key, value := m.Content[i], m.Content[i+1]
		f, err := findField(target(key).Value)
		switch {
		case key.Kind == yaml.ScalarNode && key.Tag == mergeTag:
			err = errors.New("merge keys (<<) are not read; give the fields themselves")
		case err == nil && seen[f.name]:
			err = fmt.Errorf("%s stands more than once", f.name)
		}
		if err != nil {
			return d.at(key, err)
		}
		seen[f.name] = true
		if err := set(f, value); err != nil {
			return d.at(value, err)
		}
	}
	return nil
}

// setScalar gives j a field's value.
func setScalar(j *queue.Job, f field, value *yaml.Node) error {
	if isNull(target(value)) {
		return nil
	}
	text, err := scalar(f, value)
	if err != nil {
		return err
	}
	var one queue.Job
	if err := f.set(&one, text); err != nil {
		return err
	}
	if err := check(one); err != nil {
		return err
	}
	f.copy(j, &one)
	return nil
}

// Tags of YAML's own that say nothing about how a scalar is written.
const (
	nullTag  = "!!null"
	mergeTag = "!!merge"
)

// scalar is the text of a value.
func scalar(f field, n *yaml.Node) (string, error) {
	switch n = target(n); {
	case n.Kind != yaml.ScalarNode:
		return "", &queue.InvalidError{Field: f.name, Reason: fmt.Sprintf("takes one value here, is %s; lists of values stand in groups", kind(n))}
	case n.Style&yaml.TaggedStyle != 0 && n.Tag != "!!str":
		return "", &queue.InvalidError{Field: f.name, Reason: fmt.Sprintf("has the tag %s; write the value itself", shorten(n.Tag))}
	}
	return n.Value, nil
}

// target is the node that an alias points to, or the node itself.
func target(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == nullTag }

// kind is what a node is, for messages.
func kind(n *yaml.Node) string {
	switch n.Kind {
	case yaml.SequenceNode:
		return "a list"
	case yaml.MappingNode:
		return "a mapping"
	}
	return shorten(n.Value)
}
