package manual

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Values say what completes the value of a flag, or the arguments of a command.
type Values struct {
	words      func(cmd *cobra.Command) []cobra.Completion // candidates; a tab stands before a description
	list       bool                                        // several between commas
	extensions []string                                    // of files; not nil for any file
	folders    bool
}

// Words are a fixed choice.
func Words(words ...string) Values { return Asked(func(*cobra.Command) []string { return words }) }

// Asked are a choice that is found when somebody asks; the command's flags are parsed by then.
func Asked(words func(cmd *cobra.Command) []string) Values { return Values{words: words} }

// Anything is text of which nothing is known.
func Anything() Values { return Values{} }

// Files are files, of these extensions (without a dot) if any are given.
func Files(extensions ...string) Values { return Values{extensions: append([]string{}, extensions...)} }

// Folders are folders.
func Folders() Values { return Values{folders: true} }

// List is the same, several of them between commas.
func (v Values) List() Values {
	v.list = true
	return v
}

// complete is what cobra asks.
func (v Values) complete(cmd *cobra.Command, given []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	switch {
	case v.folders:
		return nil, cobra.ShellCompDirectiveFilterDirs
	case len(v.extensions) > 0:
		return v.extensions, cobra.ShellCompDirectiveFilterFileExt
	case v.extensions != nil:
		return nil, cobra.ShellCompDirectiveDefault
	case v.words == nil:
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	before, directive := "", cobra.ShellCompDirectiveNoFileComp
	if v.list {
		before = typed[:strings.LastIndex(typed, ",")+1]
		given = append(strings.Split(before, ","), given...)
		directive |= cobra.ShellCompDirectiveNoSpace // there may be another
	}
	var all []cobra.Completion
	for _, candidate := range v.words(cmd) {
		word, _, _ := strings.Cut(candidate, "\t")
		if !slices.Contains(given, word) && strings.HasPrefix(before+word, typed) {
			all = append(all, before+candidate)
		}
	}
	return all, directive
}

// Table says what completes a program.
type Table struct {
	Flags     map[string]Values // by name of the flag; "bench --lanes" for that of one command
	Arguments map[string]Values // by path of the command without the program's name; "" is the program itself
}

// Complete makes root and all below it complete as the table says. Arguments that are not in it are taken for text, and
// values of flags too.
func (t Table) Complete(root *cobra.Command) {
	t.visit(root, func(cmd *cobra.Command, path string) {
		if cmd.ValidArgsFunction == nil {
			cmd.ValidArgsFunction = t.Arguments[path].complete
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			v, _ := t.flag(path, f)
			complete(cmd, f.Name, v)
		})
	})
}

// Missing lists the flags that take text and are not in the table, as "command --flag".
func (t Table) Missing(root *cobra.Command) []string {
	var all []string
	t.visit(root, func(cmd *cobra.Command, path string) {
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if _, known := t.flag(path, f); !known && strings.HasPrefix(f.Value.Type(), "string") {
				all = append(all, strings.TrimSpace(path+" --"+f.Name))
			}
		})
	})
	return all
}

func (t Table) flag(path string, f *pflag.Flag) (Values, bool) {
	if v, ok := t.Flags[strings.TrimSpace(path+" --"+f.Name)]; ok {
		return v, true
	}
	v, ok := t.Flags[f.Name]
	return v, ok
}

// visit calls f for each command that is the program's own.
func (t Table) visit(root *cobra.Command, f func(cmd *cobra.Command, path string)) {
	visit(root, func(cmd *cobra.Command) {
		f(cmd, strings.TrimSpace(strings.TrimPrefix(cmd.CommandPath(), root.Name())))
	})
}

// complete registers what completes a flag, unless that was done before.
func complete(cmd *cobra.Command, flag string, v Values) {
	if _, there := cmd.GetFlagCompletionFunc(flag); there || cmd.Flags().Lookup(flag).NoOptDefVal != "" {
		return
	}
	if err := cmd.RegisterFlagCompletionFunc(flag, v.complete); err != nil {
		panic(err) // a flag that is not there: the caller misspelt it, and every start would show it
	}
}
