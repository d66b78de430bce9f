package manual

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// WriteMarkdown writes tables of the flags of a command and of all below it: of each its own, and the shared groups where a
// command is the first to have them.
func WriteMarkdown(w io.Writer, cmd *cobra.Command) {
	told := map[string][]Flag{} // by title of the group
	visit(cmd, func(cmd *cobra.Command) {
		p := Of(cmd)
		var again []string
		var groups []Group
		for _, g := range p.Groups {
			g.Flags = slices.DeleteFunc(g.Flags, func(f Flag) bool { return f.Variable == "" }) // help and version
			switch {
			case len(g.Flags) == 0:
			case g.Title != "" && slices.Equal(told[g.Title], g.Flags):
				again = append(again, g.Title)
			default:
				groups = append(groups, g)
			}
		}
		if len(groups)+len(again) == 0 {
			return
		}
		fmt.Fprintf(w, "\n### `%s`\n\n%s.", p.Name, p.Short)
		if len(again) > 0 {
			fmt.Fprintf(w, " It also has the flags of %s, above.", strings.ToLower(strings.Join(again, " and ")))
		}
		fmt.Fprintln(w)
		for _, g := range groups {
			if g.Title != "" {
				fmt.Fprintf(w, "\n%s:\n", g.Title)
			}
			fmt.Fprint(w, "\n| flag | variable | default | what it is |\n|---|---|---|---|\n")
			for _, f := range g.Flags {
				fmt.Fprintf(w, "| %s | %s | %s | %s |\n", code(f.heading()), code(f.Variable), code(f.Default), cell(f.Usage))
			}
			if _, there := told[g.Title]; !there {
				told[g.Title] = g.Flags
			}
		}
	})
}

// visit calls f for a command and all below it, help apart.
func visit(cmd *cobra.Command, f func(*cobra.Command)) {
	f(cmd)
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != helpName {
			visit(sub, f)
		}
	}
}

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + strings.ReplaceAll(text, "|", `\|`) + "`"
}

// cell is prose in a table: what Markdown or HTML would take for its own stands as it is.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", ">", "&gt;", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`).Replace(text)
}
