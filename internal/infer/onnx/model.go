package onnx

// model gathers what the header needs while the walker passes.
type model struct {
	ir, opset       int64
	inputs, outputs []Value
	values          map[string]bool // names of initializers
	external        []string
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
	case 5:
		return sub.walk(m.tensor)
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

// tensor is TensorProto: of an initializer only its name and where its external data lies are read.
func (m *model) tensor(number int, _ uint64, sub *walker) error {
	if sub == nil {
		return nil
	}
	switch number {
	case 8:
		name, err := sub.text()
		m.values[name] = true
		return err
	case 13:
		return m.externalData(sub)
	}
	return nil
}

// externalData is StringStringEntryProto.
func (m *model) externalData(w *walker) error {
	key, value := "", ""
	err := w.walk(func(number int, _ uint64, sub *walker) (err error) {
		switch {
		case number == 1 && sub != nil:
			key, err = sub.text()
		case number == 2 && sub != nil:
			value, err = sub.text()
		}
		return err
	})
	if key == "location" && (len(m.external) == 0 || m.external[len(m.external)-1] != value) {
		m.external = append(m.external, value)
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
