package manual

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stipple-ai/stipple/internal/terminal"
)

// Names of the commands that Install adds.
const (
	helpName       = "help"
	completionName = "completion"
)

// Options say where a program's manual is shown.
type Options struct {
	Getenv  func(string) string
	Version string                // of the program, for man pages
	Width   int                   // of the terminal that standard output is; 0 if it is none
	Invalid func(err error) error // marks the error of a caller; nil leaves it as it is
}

// Install gives root and all below it their manual under -h, and root the commands help and completion. Call it last, when
// all commands and flags are there.
func Install(root *cobra.Command, o Options) {
	if o.Invalid == nil {
		o.Invalid = func(err error) error { return err }
	}
	style := terminal.NewStyle(o.Width > 0, o.Getenv)
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { Of(cmd).Write(cmd.OutOrStdout(), o.Width, style) })
	root.SetHelpCommand(helpCommand(root, o))
	root.CompletionOptions.DisableDefaultCmd = true // ours has a manual like the others
	root.AddCommand(completionCommand(root, o))
}

const helpManual = `Help shows the manual of %[1]s, or of one of its commands; -h behind the command does the same.

  %[1]s help
  %[1]s help completion
  %[1]s help --format man --out man/man1     # a man page for each command, in that folder
  %[1]s help --format markdown               # tables of all flags, as in docs/configuration.md

Exit codes: 0 shown, 1 it could not be written, 2 there is no such command or format.`

// helpCommand is `enqueue help`.
func helpCommand(root *cobra.Command, o Options) *cobra.Command {
	var format, out string
	cmd := &cobra.Command{
		Use:   helpName + " [flags] [COMMAND…]",
		Short: "Show the manual of a command",
		Long:  fmt.Sprintf(helpManual, root.Name()),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			var names []cobra.Completion
			if above, rest, err := root.Find(args); err == nil && len(rest) == 0 {
				for _, sub := range above.Commands() {
					if sub.IsAvailableCommand() {
						names = append(names, cobra.CompletionWithDesc(sub.Name(), sub.Short))
					}
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return o.Invalid(fmt.Errorf("there is no command %q (`%s help` lists them)", strings.Join(args, " "), root.Name()))
			}
			return show(cmd.OutOrStdout(), about, format, out, o)
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&format, "format", formatText, "text, man or markdown; the last two are of the command and all below it")
	cmd.Flags().StringVar(&out, "out", "", "with --format man: folder for the pages, one for each command; default standard output, and one page")
	complete(cmd, "format", Words(formatText, formatMan, formatMarkdown))
	complete(cmd, "out", Folders())
	return cmd
}

// Formats of a manual.
const (
	formatText     = "text"
	formatMan      = "man"
	formatMarkdown = "markdown"
)

// show shows the manual of a command.
func show(w io.Writer, about *cobra.Command, format, out string, o Options) error {
	source := "stipple " + o.Version
	switch {
	case out != "" && format != formatMan:
		return o.Invalid(errors.New("--out is for --format man: the others go to standard output"))
	case out != "":
		return writePages(about, out, source)
	case format == formatMan:
		Of(about).WriteMan(w, source)
	case format == formatMarkdown:
		WriteMarkdown(w, about)
	case format == formatText:
		return about.Help()
	default:
		return o.Invalid(fmt.Errorf("--format is %q: must be text, man or markdown", format))
	}
	return nil
}

// writePages writes a man page for a command and each below it.
func writePages(about *cobra.Command, dir, source string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making the folder for man pages: %w", err)
	}
	var errs []error
	visit(about, func(cmd *cobra.Command) {
		var text bytes.Buffer
		p := Of(cmd)
		p.WriteMan(&text, source)
		errs = append(errs, os.WriteFile(filepath.Join(dir, p.FileName()+".1"), text.Bytes(), 0o644))
	})
	return errors.Join(errs...)
}

const completionManual = `Completion prints what makes a shell complete commands, flags and their values when Tab is pressed.%[2]s

  source <(%[1]s completion bash)                                   # in ~/.bashrc; needs the package bash-completion
  source <(%[1]s completion zsh)                                    # in ~/.zshrc, after compinit
  %[1]s completion fish > ~/.config/fish/completions/%[1]s.fish

Exit codes: 0 printed, 1 it could not be written, 2 no such shell.`

// completionCommand is `enqueue completion`.
func completionCommand(root *cobra.Command, o Options) *cobra.Command {
	shells := map[string]func(io.Writer) error{
		"bash": func(w io.Writer) error { return root.GenBashCompletionV2(w, true) },
		"zsh":  root.GenZshCompletion,
		"fish": func(w io.Writer) error { return root.GenFishCompletion(w, true) },
	}
	return &cobra.Command{
		Use:               completionName + " bash|zsh|fish",
		Short:             "Print what makes a shell complete commands and flags",
		Long:              fmt.Sprintf(completionManual, root.Name(), root.Annotations[Completes]),
		ValidArgsFunction: cobra.FixedCompletions([]cobra.Completion{"bash", "zsh", "fish"}, cobra.ShellCompDirectiveNoFileComp),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 || shells[args[0]] == nil {
				return o.Invalid(fmt.Errorf("%s completion takes one of bash, zsh and fish, and got %q", root.Name(), args))
			}
			return shells[args[0]](cmd.OutOrStdout())
		},
	}
}

// Completes is the annotation of a root that says what else its completion knows; it begins with a space.
const Completes = "manual.completes"
