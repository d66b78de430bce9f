package manual

import (
	"strconv"
	"strings"
)

// How the paragraphs begin that go under a heading of their own.
const (
	beginsJSON        = "With --json"
	beginsEnvironment = "Every flag has an environment variable"
	beginsExits       = "Exit codes:"
)

// Exit is an exit code.
type Exit struct {
	Code    int
	Meaning string
}

// blocks takes a text apart: into paragraphs where a line is empty, and these into blocks where the indent comes or goes.
func blocks(text string) [][]Block {
	var all [][]Block
	var lines []string
	var paragraph []Block
	flush := func() {
		if len(lines) > 0 {
			paragraph = append(paragraph, block(lines))
		}
		lines = nil
	}
	for line := range strings.SplitSeq(strings.TrimSpace(text)+"\n\n", "\n") {
		line = strings.TrimRight(line, " ")
		if line == "" {
			if flush(); len(paragraph) > 0 {
				all = append(all, paragraph)
			}
			paragraph = nil
			continue
		}
		if len(lines) > 0 && indented(line) != indented(lines[0]) {
			flush()
		}
		lines = append(lines, line)
	}
	return all
}

func indented(line string) bool { return strings.HasPrefix(line, " ") }

// block is lines as a block, without the indent that they share.
func block(lines []string) Block {
	if !indented(lines[0]) {
		return Block{Text: strings.Join(lines, "\n")}
	}
	least := len(lines[0])
	for _, line := range lines {
		least = min(least, len(line)-len(strings.TrimLeft(line, " ")))
	}
	cut := make([]string, len(lines))
	for i, line := range lines {
		cut[i] = line[least:]
	}
	return Block{Text: strings.Join(cut, "\n"), Literal: true}
}

// sort puts the paragraphs of a text where they belong. Program is the name whose command lines are examples.
func (p *Page) sort(paragraphs [][]Block, program string) {
	introduced := false // by a paragraph that ends in a colon
	for _, paragraph := range paragraphs {
		first, last := paragraph[0], paragraph[len(paragraph)-1]
		switch {
		case strings.HasPrefix(first.Text, beginsJSON):
			p.JSON = append(p.JSON, paragraph...)
		case strings.HasPrefix(first.Text, beginsEnvironment):
			p.Environment = append(p.Environment, paragraph...)
		case strings.HasPrefix(first.Text, beginsExits):
			p.Exits = exits(strings.TrimPrefix(first.Text, beginsExits))
		case !introduced && len(paragraph) == 1 && first.Literal && commands(first.Text, program):
			p.Examples = append(p.Examples, first)
		default:
			p.Text = append(p.Text, paragraph...)
		}
		introduced = !last.Literal && strings.HasSuffix(last.Text, ":")
	}
}

// commands reports whether every line calls the program.
func commands(text, program string) bool {
	for line := range strings.SplitSeq(text, "\n") {
		called := false
		for word := range strings.FieldsSeq(line) {
			called = called || strings.TrimLeft(word, "<($") == program
		}
		if !called {
			return false
		}
	}
	return true
}

// exits reads "0 done, 1 something broke; 130 interrupted.": a code follows the beginning, a comma or a semicolon.
func exits(text string) []Exit {
	var all []Exit
	for word := range strings.FieldsSeq(strings.TrimSuffix(strings.TrimSpace(text), ".")) {
		n, err := strconv.Atoi(word)
		begins := len(all) == 0
		if !begins {
			meaning := all[len(all)-1].Meaning
			begins = strings.HasSuffix(meaning, ",") || strings.HasSuffix(meaning, ";")
		}
		switch {
		case err == nil && begins:
			all = append(all, Exit{Code: n})
		case len(all) > 0:
			last := &all[len(all)-1]
			last.Meaning = strings.TrimSpace(last.Meaning + " " + word)
		}
	}
	for i := range all {
		all[i].Meaning = strings.TrimRight(all[i].Meaning, ",; ")
	}
	return all
}
