package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/stipple-ai/stipple/internal/flagenv"
	"github.com/stipple-ai/stipple/internal/queue"
)

const dlqManual = `A job that failed for good leaves a dead letter: the job as it was published, and why it failed. It is kept for 30 days.

  enqueue dlq list                     # all, the oldest first
  enqueue dlq list monday --type out_of_memory
  enqueue dlq show monday/7
  enqueue dlq requeue monday           # puts the jobs back into the queue, with the same seeds
  enqueue dlq purge monday --yes

Types are those of results: invalid_job, object_conflict and bad_image, which another try does not mend by itself, and
model_error, out_of_memory, timeout and panic, which have failed MAX_ATTEMPTS times. Each command has a manual of its
own: enqueue dlq list -h.

Exit codes: 0 shown, 2 there is no such command; those of the commands are in their manuals.`

func (a *app) dlqCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dlq",
		Short: "List, show, put back and delete dead letters",
		Long:  dlqManual,
		Args:  cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return input(fmt.Errorf("enqueue dlq has no command %q: it is list, show, requeue or purge", args[0]))
		},
	}
	cmd.AddCommand(a.dlqListCommand(), a.dlqShowCommand(), a.dlqRequeueCommand(), a.dlqPurgeCommand())
	return cmd
}

// deadFlags say which dead letters are meant.
type deadFlags struct {
	broker brokerFlags
	kind   string
	since  time.Duration
	json   bool
}

func (f *deadFlags) define(fs *pflag.FlagSet) {
	fs.StringVar(&f.kind, "type", "", "only those of this error type, such as out_of_memory")
	fs.DurationVar(&f.since, "since", 0, "only those that died within this time, such as 24h")
	flagenv.Bind(fs, "type", "DLQ_TYPE")
	flagenv.Bind(fs, "since", "DLQ_SINCE")
}

// finish defines the flags that all these commands end with.
func (f *deadFlags) finish(fs *pflag.FlagSet, usage string) {
	fs.BoolVar(&f.json, "json", false, usage)
	own(fs, "json")
	f.broker.define(fs)
}

func (f *deadFlags) check() error {
	var errs []error
	if _, known := queue.ClassOf(f.kind); f.kind != "" && !known {
		errs = append(errs, fmt.Errorf("--type is %q, which is no type of error (enqueue dlq -h lists them)", f.kind))
	}
	if f.since < 0 {
		errs = append(errs, fmt.Errorf("--since is %v: must not be negative", f.since))
	}
	return errors.Join(errs...)
}

// filter is that of a batch, "" for all.
func (f *deadFlags) filter(batch string) queue.DeadFilter {
	d := queue.DeadFilter{Batch: batch, Type: f.kind}
	if f.since > 0 {
		d.Since = time.Now().Add(-f.since)
	}
	return d
}

// letters are the dead letters of batches and jobs, of all where none is named.
func (f *deadFlags) letters(ctx context.Context, c *queue.Client, targets []target) iter.Seq2[queue.DeadMessage, error] {
	if len(targets) == 0 {
		return c.DeadLetters(ctx, f.filter(""))
	}
	var batches []string
	for _, t := range targets {
		if !slices.Contains(batches, t.batch) {
			batches = append(batches, t.batch)
		}
	}
	return func(yield func(queue.DeadMessage, error) bool) {
		for _, id := range batches {
			for d, err := range c.DeadLetters(ctx, f.filter(id)) {
				if err == nil && !slices.ContainsFunc(targets, func(t target) bool { return t.means(d) }) {
					continue
				}
				if !yield(d, err) {
					return
				}
			}
		}
	}
}

// means reports whether a dead letter is of the target.
func (t target) means(d queue.DeadMessage) bool {
	return t.batch == d.ID.Batch && (t.index < 0 || d.HasID && t.index == d.ID.Index)
}

// deadLine is a dead letter as it is printed.
type deadLine struct {
	Type      string             `json:"type"` // dead_letter
	ID        string             `json:"id,omitempty"`
	BatchID   string             `json:"batch_id"`
	Index     *int64             `json:"index,omitempty"` // left out of a letter that does not say which job it is of
	Retry     int                `json:"retry"`
	Error     *queue.ResultError `json:"error"`
	Attempts  int                `json:"attempts"`
	TraceID   string             `json:"trace_id,omitempty"` // of the attempt that failed
	Subject   string             `json:"subject"`            // to which the job was published
	Published time.Time          `json:"published,omitzero"`
	Died      time.Time          `json:"died"`
	Sequence  uint64             `json:"sequence"` // in the stream of dead letters
}

func lineOf(d queue.DeadMessage) deadLine {
	l := deadLine{
		Type: "dead_letter", BatchID: d.ID.Batch, Error: &queue.ResultError{Type: d.Type, Message: d.Message},
		Attempts: d.Attempts, TraceID: d.TraceID, Subject: d.Subject, Published: d.Published, Died: d.Stored, Sequence: d.Sequence,
	}
	if d.HasID {
		l.ID, l.Index, l.Retry = d.ID.String(), &d.ID.Index, d.ID.Retry
	}
	return l
}

// nameOf is what a dead letter is called: its job, or where it lies.
func nameOf(d queue.DeadMessage) string {
	if d.HasID {
		return d.ID.MsgID()
	}
	return fmt.Sprintf("%s, letter %d", d.ID.Batch, d.Sequence)
}
