package e2e_test

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// docPages are the pages that tell people what to type.
func docPages(t *testing.T) map[string]string {
	t.Helper()
	pages := map[string]string{}
	for _, pattern := range []string{"README.md", "CONTRIBUTING.md", "docs/*.md", "docs/backends/*.md", "deploy/*.md", "deploy/*/*.md", "models/*/*.md"} {
		files, err := filepath.Glob(filepath.Join(given.repository, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			name, err := filepath.Rel(given.repository, file)
			if err != nil {
				t.Fatal(err)
			}
			pages[name] = read(t, file)
		}
	}
	return pages
}

// shellBlock is a fenced block of shell; the word test behind the language has it run.
var shellBlock = regexp.MustCompile("(?ms)^```(?:sh|bash|console)( test)?\n(.*?)^```")

// TestDocsRun does what the pages say, one page after the other, as somebody who has a broker, a bucket and a worker: each
// block that is marked must end well.
func TestDocsRun(t *testing.T) {
	w := newWorld(t)
	// Pages speak of the model that ships; what is typed is the same for one that draws faster.
	w.worker("reader", "MODELS=tiny-emoji="+filepath.Join(given.repository, "testdata/pipelines/sd15"))
	run := 0
	for _, name := range slices.Sorted(maps.Keys(docPages(t))) {
		home := filepath.Join(w.dir, strings.ReplaceAll(name, "/", "-"))
		for n, block := range shellBlock.FindAllStringSubmatch(docPages(t)[name], -1) {
			if block[1] == "" {
				continue
			}
			run++
			w.furnish(home)
			p := start(t, home, "block", w.environment("PATH="+filepath.Dir(given.enqueue)+":/usr/local/bin:/usr/bin:/bin"), "/bin/bash", "-euo", "pipefail", "-c", block[2])
			if code := p.exit(2 * time.Minute); code != 0 {
				t.Errorf("block %d of %s ended with exit code %d:\n%s\nprinted:\n%s\n%s", n+1, name, code, block[2], tail(p.out(), 20), tail(p.errs(), 20))
			}
		}
	}
	if run < 5 {
		t.Errorf("only %d blocks were run: how are they marked?", run)
	}
}

// furnish makes the folder of a reader who has cloned the repository and built the programs, with a file of prompts.
func (w *world) furnish(home string) {
	w.t.Helper()
	if err := os.MkdirAll(home, 0o755); err != nil {
		w.t.Fatal(err)
	}
	for link, target := range map[string]string{"bin": filepath.Dir(given.enqueue), "models": filepath.Join(given.repository, "models")} {
		if err := os.Symlink(target, filepath.Join(home, link)); err != nil && !os.IsExist(err) {
			w.t.Fatal(err)
		}
	}
	const prompts = "prompt,num_inference_steps\na red apple,2\na blue boat,2\n"
	if err := os.WriteFile(filepath.Join(home, "prompts.csv"), []byte(prompts), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// called is a command of ours in a line of shell or a code span: its program and what follows up to the next command.
var called = regexp.MustCompile(`(?:^|[\s(|;&` + "`" + `])(?:\./)?(?:bin/)?(enqueue|worker|dev)((?: +[^|;&#` + "`" + `\n]+)?)`)

// TestDocsCommands holds that every flag and every make target that a page has somebody type is there.
func TestDocsCommands(t *testing.T) {
	manuals := newManuals(t)
	targets := regexp.MustCompile(`(?m)^([a-z0-9-]+):`).FindAllStringSubmatch(read(t, filepath.Join(given.repository, "Makefile")), -1)
	flags := 0
	for name, text := range docPages(t) {
		var lines []string
		for _, block := range shellBlock.FindAllStringSubmatch(text, -1) {
			lines = append(lines, strings.Split(strings.ReplaceAll(block[2], "\\\n", " "), "\n")...)
		}
		for _, span := range regexp.MustCompile("`(?:bin/)?(?:enqueue|worker|dev|make) [^`\n]*`").FindAllString(text, -1) {
			lines = append(lines, strings.Trim(span, "`"))
		}
		// Blocks that are indented instead of fenced.
		for _, line := range regexp.MustCompile(`(?m)^    (?:[A-Z_]+=\S+ )*(?:bin/)?(?:enqueue|worker|dev|make) .*$`).FindAllString(text, -1) {
			lines = append(lines, strings.TrimSpace(line))
		}
		for _, line := range lines {
			line, _, _ = strings.Cut(line, " #")
			for _, match := range called.FindAllStringSubmatch(line, -1) {
				if strings.HasPrefix(strings.TrimSpace(line), "docker ") {
					continue
				}
				flags += manuals.check(t, name, match[1], strings.Fields(match[2]))
			}
			if target := regexp.MustCompile(`^(?:\$ )?make ([a-z][a-z0-9-]*)`).FindStringSubmatch(strings.TrimSpace(line)); target != nil &&
				!slices.ContainsFunc(targets, func(t []string) bool { return t[1] == target[1] }) {
				t.Errorf("%s says %q, but there is no such target", name, line)
			}
		}
	}
	if flags < 40 {
		t.Errorf("only %d flags were found in the pages", flags)
	}
}

// manuals are those of the built programs, by command line without flags.
type manuals map[string]string

func newManuals(t *testing.T) manuals {
	t.Helper()
	m := manuals{}
	var visit func(path []string)
	visit = func(path []string) {
		out, err := exec.CommandContext(t.Context(), filepath.Join(filepath.Dir(given.enqueue), path[0]), append(slices.Clone(path[1:]), "-h")...).Output()
		if err != nil {
			t.Fatalf("%q -h: %v", path, err)
		}
		m[strings.Join(path, " ")] = string(out)
		_, below, _ := strings.Cut(string(out), "\nCOMMANDS\n")
		below, _, _ = strings.Cut(below, "\n\n")
		for _, command := range regexp.MustCompile(`(?m)^    ([a-z]+) `).FindAllStringSubmatch(below, -1) {
			visit(append(slices.Clone(path), command[1]))
		}
	}
	for _, program := range []string{"enqueue", "worker", "dev"} {
		visit([]string{program})
	}
	return m
}

// check holds that a command line's flags are in its manual, and returns how many there were.
func (m manuals) check(t *testing.T, page, program string, words []string) int {
	path, flags := program, 0
	for len(words) > 0 && m[path+" "+words[0]] != "" {
		path, words = path+" "+words[0], words[1:]
	}
	for _, word := range words {
		flag := regexp.MustCompile(`^(--[a-z][a-z0-9-]*|-[a-z]\b)`).FindString(word)
		if flag == "" {
			continue
		}
		flags++
		if !regexp.MustCompile(`(?m)^    (-[a-z], )?` + flag + `[ ,\n]`).MatchString(m[path]) {
			t.Errorf("%s has somebody type %q, but %s has no %s", page, path+" "+strings.Join(words, " "), path, flag)
		}
	}
	return flags
}

// TestManuals holds that every command's manual is whole, and that docs/errors.md explains every exit code in it.
func TestManuals(t *testing.T) {
	explained := read(t, filepath.Join(given.repository, "docs", "errors.md"))
	for command, text := range newManuals(t) {
		for _, section := range []string{"NAME\n", "\nSYNOPSIS\n", "\nDESCRIPTION\n", "\nFLAGS\n", "\nENVIRONMENT\n", "\nEXIT CODES\n", "\nEXAMPLES\n"} {
			if !strings.Contains(text, section) {
				t.Errorf("the manual of %s has no section %s", command, strings.TrimSpace(section))
			}
		}
		if strings.Contains(text, "\n    --json") && !strings.Contains(text, "\nJSON OUTPUT\n") {
			t.Errorf("the manual of %s does not say what --json prints", command)
		}
		_, codes, _ := strings.Cut(text, "\nEXIT CODES\n")
		codes, _, _ = strings.Cut(codes, "\n\n")
		for _, code := range regexp.MustCompile(`(?m)^    (\d+) `).FindAllStringSubmatch(codes, -1) {
			if !strings.Contains(explained, "`"+code[1]+"`") {
				t.Errorf("docs/errors.md does not explain exit code %s of %s", code[1], command)
			}
		}
	}
}

// TestConfigurationIsFresh: docs/configuration.md is what `make docs` writes.
func TestConfigurationIsFresh(t *testing.T) {
	page := read(t, filepath.Join(given.repository, "docs", "configuration.md"))
	for _, program := range []string{given.worker, given.enqueue} {
		table, err := exec.CommandContext(t.Context(), program, "help", "--format", "markdown").Output()
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(program)
		_, part, _ := strings.Cut(page, "<!-- "+name+": begin -->\n")
		part, _, _ = strings.Cut(part, "\n<!-- "+name+": end -->")
		if strings.TrimSpace(part) != strings.TrimSpace(string(table)) {
			t.Errorf("docs/configuration.md is stale for %s: run `make docs`", name)
		}
	}
}
