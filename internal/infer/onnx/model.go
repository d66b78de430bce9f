package onnx

// model gathers what the header needs while the walker passes.
type model struct {
	ir, opset       int64
	inputs, outputs []Value
	values          map[string]bool // names of initializers
	nodes           map[string]Node
	external        map[string]int64 // location → bytes needed
}

// field is ModelProto.
func (m *model) field(number int, value uint64, sub *walker) error {
	switch {
	case number == 1 && sub == nil:
		m.ir = int64(value)
	case number == 7 && sub != nil:
		return sub.walk(m.graph)
	case number == 8 && sub != nil:
		return m.opsetImport(sub)
	}
	return nil
}

func (m *model) opsetImport(w *walker) error {
	domain, version := "", int64(0)
	err := w.walk(func(number int, value uint64, sub *walker) (err error) {
		switch {
		case number == 1 && sub != nil:
			domain, err = sub.text()
		case number == 2 && sub == nil:
			version = int64(value)
		}
		return err
	})
	if domain == "" || domain == "ai.onnx" {
		m.opset = version
	}
	return err
}

// graph is GraphProto.
func (m *model) graph(number int, _ uint64, sub *walker) (err error) {
	if sub == nil {
		return nil
	}
	switch number {
	case 1:
		return m.node(sub)
	case 5:
		t, err := readTensor(sub, "")
		m.values[t.Name] = true
		if t.location != "" {
			m.external[t.location] = max(m.external[t.location], t.offset+t.length)
		}
		return err
	case 11:
		var v Value
		v, err = readValue(sub)
		m.inputs = append(m.inputs, v)
	case 12:
		var v Value
		v, err = readValue(sub)
		m.outputs = append(m.outputs, v)
	}
	return err
}

// node is NodeProto.
func (m *model) node(w *walker) error {
	var n Node
	var outputs []string
	err := w.walk(func(number int, _ uint64, sub *walker) (err error) {
		if sub == nil {
			return nil
		}
		var text string
		switch number {
		case 1:
			text, err = sub.text()
			n.Inputs = append(n.Inputs, text)
		case 2:
			text, err = sub.text()
			outputs = append(outputs, text)
		case 4:
			n.Op, err = sub.text()
		}
		return err
	})
	for _, o := range outputs {
		m.nodes[o] = n
	}
	return err
}

// readValue is ValueInfoProto.
func readValue(w *walker) (v Value, err error) {
	err = w.walk(func(number int, _ uint64, sub *walker) (err error) {
		switch {
		case number == 1 && sub != nil:
			v.Name, err = sub.text()
		case number == 2 && sub != nil: // TypeProto
			err = sub.walk(func(number int, _ uint64, sub *walker) error {
				if number == 1 && sub != nil {
					return sub.walk(v.tensorType)
				}
				return nil
			})
		}
		return err
	})
	return v, err
}

// tensorType is TypeProto.Tensor.
func (v *Value) tensorType(number int, value uint64, sub *walker) error {
	switch {
	case number == 1 && sub == nil:
		v.Elem = Elem(int32(value))
	case number == 2 && sub != nil: // TensorShapeProto
		return sub.walk(func(number int, _ uint64, sub *walker) error {
			if number != 1 || sub == nil {
				return nil
			}
			dim := int64(-1)
			err := sub.walk(func(number int, value uint64, sub *walker) error {
				if number == 1 && sub == nil {
					dim = int64(value)
				}
				return nil
			})
			v.Dims = append(v.Dims, dim)
			return err
		})
	}
	return nil
}
