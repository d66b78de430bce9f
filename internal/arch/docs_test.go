package arch_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// pages reads every Markdown file of the repository, by path from the root.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		name := entry.Name()
		switch {
		case err != nil:
			return err
		case entry.IsDir() && file != root && (strings.HasPrefix(name, ".") || slices.Contains([]string{"testdata", "bin", "demo", "dist"}, name)):
			return fs.SkipDir
		case entry.IsDir() || filepath.Ext(name) != ".md":
			return nil
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, file)
		all[filepath.ToSlash(rel)] = string(data)
		return err
	})
	if err != nil {
		t.Fatalf("reading the pages: %v", err)
	}
	if all["README.md"] == "" {
		t.Fatalf("found %d pages and no README.md: is %s the root?", len(all), root)
	}
	return all
}

// inline is a span of code.
var inline = regexp.MustCompile("`[^`\n]*`")

// errorsPage is where every error is explained.
const errorsPage = "docs/errors.md"

// TestErrorTypes holds that every error.type of the closed list is explained, in its class, and none that is not on it.
func TestErrorTypes(t *testing.T) {
	code, err := os.ReadFile(filepath.Join(root, "internal/queue/errors.go"))
	if err != nil {
		t.Fatal(err)
	}
	declared := map[string]bool{}
	for _, match := range regexp.MustCompile(`(?m)^\tType\w+ += "(\w+)"`).FindAllSubmatch(code, -1) {
		declared[string(match[1])] = true
	}
	if len(declared) < 12 {
		t.Fatalf("only %d types were found in internal/queue/errors.go", len(declared))
	}
	told := map[string]string{}
	for _, match := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| (permanent|retried|held|no attempt) \\|").FindAllStringSubmatch(pages(t)[errorsPage], -1) {
		told[match[1]] = match[2]
	}
	for name := range declared {
		if told[name] == "" {
			t.Errorf("%s does not explain the error.type %s", errorsPage, name)
		}
	}
	for name, class := range told {
		if !declared[name] {
			t.Errorf("%s explains %s, which is no error.type", errorsPage, name)
		}
		// In ClassOf the class follows the list of its types.
		want := map[string]string{"permanent": "Permanent", "retried": "Retried", "held": "Held", "no attempt": "NoAttempt"}[class]
		constant := "Type" + strings.ReplaceAll(strings.Title(strings.ReplaceAll(name, "_", " ")), " ", "") //nolint:staticcheck // ASCII alone
		if !regexp.MustCompile(`case [^:]*\b` + constant + `\b[^:]*:\n\t\treturn ` + want + `, true`).Match(code) {
			t.Errorf("%s says that %s is %s, and ClassOf does not", errorsPage, name, class)
		}
	}
}

// TestMessages holds that the messages that the page explains are those that the programs print: every part of one, between
// its ellipses, stands in the code.
func TestMessages(t *testing.T) {
	var code strings.Builder
	for _, s := range sources(t) {
		if s.test() || !strings.HasPrefix(s.path, "cmd/") && !strings.HasPrefix(s.path, "internal/") {
			continue
		}
		data, err := os.ReadFile(filepath.Join(root, s.path))
		if err != nil {
			t.Fatal(err)
		}
		code.Write(data)
	}
	printed := strings.ReplaceAll(code.String(), `\"`, `"`)
	rows := 0
	inTable := false
	for line := range strings.Lines(pages(t)[errorsPage]) {
		switch {
		case strings.HasPrefix(line, "| message |"):
			inTable = true
		case !strings.HasPrefix(line, "|"):
			inTable = false
		}
		if !inTable {
			continue
		}
		first, _, _ := strings.Cut(strings.TrimPrefix(line, "|"), " | ")
		for _, span := range inline.FindAllString(first, -1) {
			rows++
			for part := range strings.SplitSeq(strings.Trim(span, "`"), "…") {
				if part = strings.TrimSpace(part); !strings.Contains(printed, part) {
					t.Errorf("%s explains %s, but no code says %q", errorsPage, span, part)
				}
			}
		}
	}
	if rows < 40 {
		t.Errorf("only %d messages were found in %s", rows, errorsPage)
	}
}
