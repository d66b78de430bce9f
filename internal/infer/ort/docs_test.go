package ort

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestDocs: docs/models.md names every file, field, input and class that is read.
func TestDocs(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(root, "docs", "models.md"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, of := range []reflect.Type{reflect.TypeFor[unetConfig](), reflect.TypeFor[vaeConfig](), reflect.TypeFor[textConfig](), reflect.TypeFor[modelIndex](), reflect.TypeFor[ownConfig](), reflect.TypeFor[Defaults]()} {
		for f := range of.Fields() {
			if tag, _, _ := strings.Cut(f.Tag.Get("json"), ","); tag != "" {
				names = append(names, tag)
			}
		}
	}
	for _, file := range digestFiles {
		if dir, base := filepath.Split(file); strings.HasPrefix(dir, "tokenizer") {
			names = append(names, filepath.Clean(dir)+"/", base)
		} else {
			names = append(names, file)
		}
	}
	for _, part := range append([]string{"unet", vaePart, precisePart}, textParts...) {
		names = append(names, graphFile(part))
	}
	names = slices.AppendSeq(names, maps.Keys(inputs))
	names = slices.AppendSeq(names, maps.Keys(classes))
	if len(names) < 40 {
		t.Fatalf("only %q are looked for", names)
	}
	for _, name := range names {
		if !strings.Contains(string(data), "`"+name+"`") {
			t.Errorf("docs/models.md does not name `%s`", name)
		}
	}
}
