package web_test

import (
	"bytes"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestAssetsKeepTheRules reads the page's files for what no test in a browser can rule out: a way for text to become
// markup, code or style in line, an address elsewhere.
func TestAssetsKeepTheRules(t *testing.T) {
	rules := map[string][]struct{ what, pattern string }{
		".js": {
			{"text that becomes markup or code", `innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|srcdoc|\beval\(|new Function|setTimeout\(['"` + "`" + `]`},
			{"an address elsewhere", `https?://`},
			{"a style in line, which the policy refuses", `style[:=] *['"` + "`" + `]|cssText`},
		},
		".html": {
			{"code in line", `(?i)<script(?: [^>]*)?>[^<]|\son[a-z]+=|javascript:`},
			{"a style in line", `(?i)<style|\sstyle=`},
			{"an address elsewhere", `(?i)(?:href|src|action)="(?:[a-z]+:)?//`},
		},
		".css": {{"an address elsewhere", `(?i)url\(|@import|https?://`}},
	}
	files := os.DirFS("assets")
	names, err := fs.Glob(files, "*.*")
	if err != nil || len(names) == 0 {
		t.Fatalf("%v: %v", names, err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			t.Fatal(err)
		}
		text = bytes.ReplaceAll(text, []byte("'http://www.w3.org/2000/svg'"), nil) // a name, which nobody fetches
		for _, rule := range rules[name[strings.LastIndexByte(name, '.'):]] {
			if at := regexp.MustCompile(rule.pattern).FindAll(text, -1); len(at) > 0 {
				t.Errorf("%s has %s: %q", name, rule.what, at)
			}
		}
		if lines := strings.Count(string(text), "\n"); lines > 500 {
			t.Errorf("%s has %d lines: split it", name, lines)
		}
	}
}

// TestAssetsAreServed asks for every file that another one names.
func TestAssetsAreServed(t *testing.T) {
	files := os.DirFS("assets")
	named := map[string]bool{}
	reference := regexp.MustCompile(`(?:from '\./|"/assets/)([a-z.]+)['"]`)
	names, err := fs.Glob(files, "*.*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range reference.FindAllSubmatch(text, -1) {
			named[string(m[1])] = true
			if _, err := fs.Stat(files, string(m[1])); err != nil {
				t.Errorf("%s names %s: %v", name, m[1], err)
			}
		}
	}
	for _, name := range names {
		if !named[name] && name != "index.html" {
			t.Errorf("nothing names %s", name)
		}
	}
}
