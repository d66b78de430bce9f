// Package arch tests what no single package can: that imports point the way the design says, that the commands
// link nothing they should not, and that the pins of separate modules agree.
package arch_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module = "github.com/stipple-ai/stipple"
	root   = "../.."
)

// source is one Go file of the module.
type source struct {
	path    string   // from the root, with slashes
	imports []string // import paths
	lines   int
}

func (s source) dir() string   { return path.Dir(s.path) }
func (s source) test() bool    { return strings.HasSuffix(s.path, "_test.go") }
func (s source) own() []string { return s.importsUnder(module) }

// importsUnder returns the imports that are pkg or lie below it.
func (s source) importsUnder(pkg string) []string {
	var under []string
	for _, imp := range s.imports {
		if imp == pkg || strings.HasPrefix(imp, pkg+"/") {
			under = append(under, imp)
		}
	}
	return under
}

// sources reads every Go file of the module, whatever its build constraints; nested modules are not part of it.
// Reading the files also tells `go test` that a remembered result is stale when one of them changes.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() {
			if file == root {
				return nil
			}
			if strings.HasPrefix(name, ".") || name == "testdata" {
				return fs.SkipDir
			}
			if _, err := os.Stat(filepath.Join(file, "go.mod")); err == nil {
				return fs.SkipDir
			}
			return nil
		}
		if filepath.Ext(name) != ".go" {
			return nil
		}
		s, err := read(file)
		all = append(all, s)
		return err
	})
	if err != nil {
		t.Fatalf("reading the tree: %v", err)
	}
	if !slices.ContainsFunc(all, func(s source) bool { return s.dir() == "internal/arch" }) {
		t.Fatalf("found %d Go files and not this one: is %s the root of the module?", len(all), root)
	}
	return all
}

func read(file string) (source, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return source{}, err
	}
	rel, err := filepath.Rel(root, file)
	if err != nil {
		return source{}, err
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), file, data, parser.ImportsOnly)
	if err != nil {
		return source{}, err
	}
	s := source{path: filepath.ToSlash(rel), lines: strings.Count(string(data), "\n")}
	for _, spec := range parsed.Imports {
		imp, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return source{}, err
		}
		s.imports = append(s.imports, imp)
	}
	return s, nil
}
