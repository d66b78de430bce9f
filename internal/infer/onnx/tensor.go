package onnx

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
)

// Tensor is an initializer: a weight of the graph.
type Tensor struct {
	Name string
	Elem Elem
	Dims []int64
	Data []byte // little-endian

	location       string // of external data; else the values stand in the model
	offset, length int64
}

// maxTensor bounds the weights that ReadTensor reads: it is for vectors.
const maxTensor = 1 << 18

// errFound ends a walk that has what it looked for.
var errFound = errors.New("found")

// ReadTensor returns the initializer of that name of the model at path; it may have at most 256 KiB. Errors name the path.
func ReadTensor(path, name string) (*Tensor, error) {
	t, err := readFile(path, func(w *walker) (*Tensor, error) { return w.findTensor(name) })
	if err == nil && t.location != "" {
		t.Data, err = t.readExternal(filepath.Dir(path))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: reading the weight %s: %w", path, name, err)
	}
	return t, nil
}

func (w *walker) findTensor(want string) (*Tensor, error) {
	var found *Tensor
	err := w.walk(func(number int, _ uint64, graph *walker) error {
		if number != 7 || graph == nil {
			return nil
		}
		return graph.walk(func(number int, _ uint64, tensor *walker) error {
			if number != 5 || tensor == nil {
				return nil
			}
			t, err := readTensor(tensor, want)
			if err == nil && t.Name == want {
				found, err = t, errFound
			}
			return err
		})
	})
	switch {
	case errors.Is(err, errFound):
	case err != nil:
		return nil, err
	default:
		return nil, errors.New("the model has none of that name")
	}
	if found.location == "" && len(found.Data) == 0 {
		return nil, errors.New("its values are not stored as raw bytes or floats")
	}
	return found, nil
}

// readTensor is TensorProto. The values are read only of the tensor of the name wanted, "" for none.
func readTensor(w *walker, wanted string) (*Tensor, error) {
	t := &Tensor{}
	var floats []byte
	err := w.walk(func(number int, value uint64, sub *walker) (err error) {
		switch {
		case number == 1 && sub == nil:
			t.Dims = append(t.Dims, int64(value))
		case number == 1:
			for err == nil && sub.left > 0 {
				value, err = sub.varint()
				t.Dims = append(t.Dims, int64(value))
			}
		case number == 2 && sub == nil:
			t.Elem = Elem(int32(value))
		case number == 4 && sub != nil && wanted != "" && sub.left <= maxTensor: // packed floats, before the name
			floats, err = sub.bytes()
		case number == 8 && sub != nil:
			t.Name, err = sub.text()
			if t.Name == wanted {
				t.Data = floats
			}
		case number == 9 && sub != nil && wanted != "" && t.Name == wanted:
			if sub.left > maxTensor {
				return fmt.Errorf("%s has %d bytes: at most %d are read", t.Name, sub.left, maxTensor)
			}
			t.Data, err = sub.bytes()
		case number == 13 && sub != nil:
			err = t.externalData(sub)
		}
		return err
	})
	return t, err
}

// externalData is one StringStringEntryProto of TensorProto.external_data.
func (t *Tensor) externalData(w *walker) error {
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
	if err != nil {
		return err
	}
	switch key {
	case "location":
		t.location = value
	case "offset":
		t.offset, err = strconv.ParseInt(value, 10, 64)
	case "length":
		t.length, err = strconv.ParseInt(value, 10, 64)
	}
	if err != nil || t.offset < 0 || t.length < 0 || t.offset > 1<<62 || t.length > 1<<62 {
		return fmt.Errorf("external data of %s has %s %q", t.Name, key, value)
	}
	return nil
}

func (t *Tensor) readExternal(dir string) ([]byte, error) {
	if !filepath.IsLocal(t.location) || t.length > maxTensor {
		return nil, fmt.Errorf("its external data (%q, %d bytes) is out of bounds", t.location, t.length)
	}
	f, err := os.Open(filepath.Join(dir, t.location))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data := make([]byte, t.length)
	if _, err := io.ReadFull(io.NewSectionReader(f, t.offset, t.length), data); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return data, nil
}
