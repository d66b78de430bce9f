package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/stipple-ai/stipple/internal/queue"
)

const dlqShowManual = `Show shows all of a dead letter: the job as it was published, its headers, and why it failed. Of a batch it shows every
one.

  enqueue dlq show monday/7
  enqueue dlq show monday/7 --json | jq .job

With --json it prints a line for each, with the fields of enqueue dlq list and
  "header":{…},"job":{…}      # or "body":"…" of a message that is no JSON, in base64 if it is no text

Exit codes: 0 done, 1 something broke, 2 bad flags, or there is no such letter, 130 interrupted.`

// shownLetter is a dead letter with all it holds.
type shownLetter struct {
	deadLine
	Header map[string][]string `json:"header"`
	Job    json.RawMessage     `json:"job,omitempty"`
	Body   any                 `json:"body,omitempty"` // a string, or bytes, which JSON holds in base64
}

func (a *app) dlqShowCommand() *cobra.Command {
	f := &deadFlags{}
	cmd := &cobra.Command{
		Use: "show [flags] JOB|BATCH…", Short: "Show dead letters with their jobs", Long: dlqShowManual,
		Args: atLeastOne("the jobs or batches whose dead letters to show"),
	}
	f.finish(cmd.Flags(), "print a JSON line for each")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		targets, err := parseTargets(args)
		return a.withBroker(cmd.Context(), &f.broker, func(ctx context.Context, c *queue.Client, _ *slog.Logger) error {
			return interrupted(ctx, a.dlqShow(ctx, c, f, targets), "nothing was changed")
		}, func() error { return err })
	}
	return cmd
}

// atLeastOne refuses no arguments.
func atLeastOne(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return exactly(1, what)(cmd, args)
		}
		return nil
	}
}

func (a *app) dlqShow(ctx context.Context, c *queue.Client, f *deadFlags, targets []target) error {
	found := 0
	for d, err := range f.letters(ctx, c, targets) {
		if err != nil {
			return err
		}
		if found++; found > 1 && !f.json {
			fmt.Fprintln(a.stdout)
		}
		l := shownLetter{deadLine: lineOf(d), Header: d.Header}
		switch {
		case json.Valid(d.Data):
			l.Job = d.Data
		case utf8.Valid(d.Data):
			l.Body = string(d.Data)
		default:
			l.Body = d.Data
		}
		if !f.json {
			l.write(a.stdout, nameOf(d), time.Now())
		} else if err := writeLine(a.stdout, l); err != nil {
			return err
		}
	}
	if found == 0 {
		return input(fmt.Errorf("there is no such dead letter (enqueue dlq list shows those there are)"))
	}
	return nil
}

// write writes a letter for people.
func (l shownLetter) write(w io.Writer, name string, now time.Time) {
	line := func(what, format string, args ...any) {
		fmt.Fprintf(w, "%-10s %s\n", what, printable(fmt.Sprintf(format, args...)))
	}
	line("job", "%s", name)
	line("error", "%s: %s", l.Error.Type, l.Error.Message)
	line("attempts", "%d", l.Attempts)
	line("died", "%s (%s UTC)", ago(l.Died, now), l.Died.UTC().Format(time.DateTime))
	if !l.Published.IsZero() {
		line("published", "%s UTC, to %s", l.Published.UTC().Format(time.DateTime), l.Subject)
	}
	if l.TraceID != "" {
		line("trace", "%s", l.TraceID)
	}
	for _, key := range slices.Sorted(maps.Keys(l.Header)) {
		line("header", "%s: %s", key, strings.Join(l.Header[key], ", "))
	}
	var body bytes.Buffer
	switch b := l.Body.(type) {
	case string:
		body.WriteString(b)
	case []byte:
		fmt.Fprintf(&body, "%d bytes that are no text", len(b))
	default:
		if err := json.Indent(&body, l.Job, "", "  "); err != nil {
			body.Write(l.Job) // not reached: it is valid
		}
	}
	for text := range strings.Lines(body.String()) {
		fmt.Fprintln(w, printable(strings.TrimRight(text, "\n")))
	}
}
