// Package manual makes the manual of a command out of the command itself: of its texts and its flags. -h, man pages, the
// tables in docs/configuration.md and what a shell completes all come from here, so none can say what another does not.
//
// A command's Long is prose, with these customs:
//
//   - An indented paragraph is shown as it stands. One that holds command lines of the program is an example and goes under
//     EXAMPLES, unless the paragraph before it ends in a colon and so introduces it where it is.
//   - What begins with "With --json" says what is printed then: JSON OUTPUT.
//   - What begins with "Every flag has an environment variable" or "Exit codes:" goes under ENVIRONMENT and EXIT CODES.
package manual

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/stipple-ai/stipple/internal/flagenv"
)

// Page is the manual of one command.
type Page struct {
	Name        string   // with the names of the commands above it, as "enqueue dlq list"
	Short       string   // what it does, in a line without a full stop
	Synopsis    []string // command lines
	Text        []Block
	Commands    []Entry
	Groups      []Group
	JSON        []Block
	Environment []Block
	Exits       []Exit
	Examples    []Block
	Related     []string // names of the commands above and below it
}

// Block is a paragraph.
type Block struct {
	Text    string // its lines; those of literal text without the indent that they share
	Literal bool   // to be shown as it stands
}

// Entry is a command in the list of another.
type Entry struct{ Name, Short string }

// Group is flags that belong together.
type Group struct {
	Title string // "" for the command's own
	Flags []Flag
}

// Flag is one flag.
type Flag struct {
	Name, Shorthand string
	Type            string // string, duration, …; "" for one without a value
	Default         string // "" for none, and for secrets
	Usage           string
	Variable        string // of the environment; "" for none
}

// Of returns the manual of a command, whose help flag it defines where that is still missing.
func Of(cmd *cobra.Command) Page {
	cmd.InitDefaultHelpFlag()
	cmd.InitDefaultVersionFlag()
	p := Page{Name: cmd.CommandPath(), Short: cmd.Short}
	if cmd.Runnable() {
		p.Synopsis = append(p.Synopsis, cmd.UseLine())
	}
	if cmd.HasAvailableSubCommands() {
		p.Synopsis = append(p.Synopsis, cmd.CommandPath()+" COMMAND")
	}
	if cmd.HasParent() {
		p.Related = append(p.Related, cmd.Parent().CommandPath())
	}
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() || sub.Name() == helpName {
			p.Commands = append(p.Commands, Entry{sub.Name(), sub.Short})
		}
		if sub.IsAvailableCommand() && sub.Name() != helpName {
			p.Related = append(p.Related, sub.CommandPath())
		}
	}
	p.Groups = groups(cmd.Flags())
	p.sort(blocks(cmd.Long), cmd.Root().Name())
	return p
}

// shared are the groups of flags that several commands have, by what their names begin with. What begins so and is the
// command's own matter (none is, today) would have to be named otherwise.
var shared = []struct {
	title    string
	prefixes []string
}{
	{"Broker", []string{"nats-", "queue-"}},
	{"Store", []string{"s3-", "aws-"}},
}

// groups sorts flags into groups, keeping their order: the command's own, then the shared ones that it has.
func groups(fs *pflag.FlagSet) []Group {
	all := make([]Group, 1+len(shared))
	for i, g := range shared {
		all[1+i].Title = g.title
	}
	fs.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		at := 0
		for i, g := range shared {
			if slices.ContainsFunc(g.prefixes, func(prefix string) bool { return strings.HasPrefix(f.Name, prefix) }) {
				at = 1 + i
			}
		}
		all[at].Flags = append(all[at].Flags, flagOf(f))
	})
	return slices.DeleteFunc(all, func(g Group) bool { return len(g.Flags) == 0 })
}

// noDefaults are the values that say that there is none.
var noDefaults = []string{"", "0", "0s", "false", "[]"}

func flagOf(f *pflag.Flag) Flag {
	kind, usage := pflag.UnquoteUsage(f)
	one := Flag{Name: f.Name, Shorthand: f.Shorthand, Type: kind, Usage: flagenv.Usage(f, usage), Variable: flagenv.Variable(f)}
	if !flagenv.IsSecret(f) && !slices.Contains(noDefaults, f.DefValue) {
		one.Default = f.DefValue
	}
	return one
}

// heading is the flag as it is typed: "-o, --out string".
func (f Flag) heading() string {
	text := "--" + f.Name
	if f.Shorthand != "" {
		text = "-" + f.Shorthand + ", " + text
	}
	if f.Type != "" {
		text += " " + f.Type
	}
	return text
}

// meaning is what the flag does, and its default.
func (f Flag) meaning() string {
	if f.Default == "" {
		return f.Usage
	}
	return f.Usage + " (default " + f.Default + ")"
}
