package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// module is something that is linked, with its legal texts.
type module struct {
	Path, Version, Dir string
	texts              []text
}

// text is a legal file of a module.
type text struct {
	name     string // from the module's root, with slashes
	body     string
	licences []string // SPDX; none for a notice
}

// licences are those of all texts.
func (m module) licences() []string {
	var all []string
	for _, t := range m.texts {
		all = append(all, t.licences...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (m module) files() string {
	if len(m.texts) == 0 {
		return "its source, which has no licence file"
	}
	var names []string
	for _, t := range m.texts {
		names = append(names, t.name)
	}
	return strings.Join(names, ", ")
}

// linked are the modules that are linked into programs of the module in dir, and Go's own library, sorted by path.
func linked(ctx context.Context, dir string, programs []string) ([]module, error) {
	list := exec.CommandContext(ctx, "go", append([]string{"list", "-deps", "-json=Module"}, programs...)...) //nolint:gosec // the packages that the command line names
	var problems bytes.Buffer
	list.Dir, list.Stderr = dir, &problems
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("listing what is linked: %w: %s", err, strings.TrimSpace(problems.String()))
	}
	found := map[string]module{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var pkg struct {
			Module *struct {
				Path    string `json:"Path"`
				Version string `json:"Version"`
				Dir     string `json:"Dir"`
				Main    bool   `json:"Main"`
			} `json:"Module"`
		}
		err := dec.Decode(&pkg)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("listing what is linked: %w", err)
		}
		if m := pkg.Module; m != nil && !m.Main {
			found[m.Path] = module{Path: m.Path, Version: m.Version, Dir: m.Dir}
		}
	}
	goroot, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("finding Go's library: %w", err)
	}
	std := module{Path: "std", Version: runtime.Version(), Dir: strings.TrimSpace(string(goroot))}
	if std.texts, err = readTexts(std.Dir, "LICENSE", "PATENTS"); err != nil {
		return nil, err
	}
	all := []module{std}
	for _, m := range found {
		if m.texts, err = legal(m.Dir); err != nil {
			return nil, fmt.Errorf("%s: %w", m.Path, err)
		}
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b module) int { return cmp.Compare(a.Path, b.Path) })
	return all, nil
}

// Names of legal files, and folders whose files are about something else.
var (
	legalName = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents|unlicense)([-._].*)?$`)
	sourceExt = regexp.MustCompile(`(?i)\.(go|json|ya?ml|tmpl|sh|py|html)$`)
	foreign   = []string{"testdata", "test", "tests", "example", "examples", "docs", "webui", "vendor", ".git", ".github"}
)

// legal reads the legal files of a module, those of what it carries along included.
func legal(dir string) ([]text, error) {
	var names []string
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains(foreign, d.Name()):
			return fs.SkipDir
		case !d.IsDir() && legalName.MatchString(d.Name()) && !sourceExt.MatchString(d.Name()):
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return readTexts(dir, names...)
}

func readTexts(dir string, names ...string) ([]text, error) {
	var all []text
	for _, name := range names {
		body, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil {
			return nil, err
		}
		t := text{name: name, body: strings.ReplaceAll(string(body), "\r\n", "\n")}
		if base := strings.ToLower(path.Base(name)); !strings.HasPrefix(base, "notice") && !strings.HasPrefix(base, "patents") {
			t.licences = classify(t.body)
		}
		all = append(all, t)
	}
	return all, nil
}

// notices is what goes into an archive as THIRD_PARTY_LICENSES: each module with its texts.
func notices(modules []module) []byte {
	var b bytes.Buffer
	b.WriteString("The programs beside this file link the following, unchanged, each under the terms that stand with it. The source of each is what\n" +
		"`go mod download -json PATH@VERSION` fetches for the path and version that stand first.\n")
	for _, m := range modules {
		fmt.Fprintf(&b, "\n%s\n%s %s\n%s\n", strings.Repeat("=", 80), m.Path, m.Version, strings.Join(m.licences(), ", "))
		for _, t := range m.texts {
			fmt.Fprintf(&b, "\n--- %s\n\n%s\n", t.name, strings.TrimSpace(t.body))
		}
	}
	return b.Bytes()
}
