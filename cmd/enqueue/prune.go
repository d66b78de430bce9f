package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/stipple-ai/stipple/internal/ops"
	"github.com/stipple-ai/stipple/internal/upload"
)

const pruneManual = `Prune deletes checkpoints that no worker will use any more. A worker that is told to stop writes down how far its
jobs are, below .checkpoints/ of the bucket, and whoever finishes the job deletes that again. What stays behind, as of
a job that was cancelled meanwhile, is older than CHECKPOINT_TTL sooner or later, and then ignored: that is what prune
removes. Pictures are never touched, and neither is anything whose key is not that of a checkpoint.

  enqueue prune --s3-bucket images
  enqueue prune --s3-bucket images --dry-run          # counts, and deletes nothing
  enqueue prune --s3-bucket images --checkpoint-ttl 72h

A lifecycle rule of the bucket does the same without anyone having to think of it: expire what begins with
<S3_PREFIX>.checkpoints/ after 2 days.

With --json it prints one line:
  {"type":"pruned","bucket":…,"prefix":…,"checkpoints":…,"deleted":…,"bytes":…,"dry_run":…}

Exit codes: 0 done, 1 something broke, 2 bad flags, 130 interrupted.`

// pruneFlags are those of "enqueue prune".
type pruneFlags struct {
	store       storeFlags
	queuePrefix string
	ttl         time.Duration
	dryRun      bool
	json        bool
}

func (a *app) pruneCommand() *cobra.Command {
	f := &pruneFlags{}
	cmd := &cobra.Command{
		Use:   "prune [flags]",
		Short: "Delete checkpoints that are too old to be used",
		Long:  pruneManual,
		Args:  exactly(0, "flags alone"),
	}
	fs := cmd.Flags()
	fs.DurationVar(&f.ttl, "checkpoint-ttl", 24*time.Hour, "age beyond which workers ignore a checkpoint; as the workers have it")
	fs.BoolVar(&f.dryRun, "dry-run", false, "count what would be deleted")
	fs.BoolVar(&f.json, "json", false, "print the outcome as a JSON line")
	own(fs, "dry-run")
	own(fs, "json")
	fs.StringVar(&f.queuePrefix, "queue-prefix", "", "prefix of the queue, from which the prefix of keys follows")
	f.store.define(fs)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return a.prune(cmd.Context(), f) }
	return cmd
}

// pruned is what prune did.
type pruned struct {
	Type        string `json:"type"` // pruned
	Bucket      string `json:"bucket"`
	Prefix      string `json:"prefix"`      // of the checkpoints' keys
	Checkpoints int64  `json:"checkpoints"` // that there were
	Deleted     int64  `json:"deleted"`     // or, in a dry run, that are old enough
	Bytes       int64  `json:"bytes"`       // of those
	DryRun      bool   `json:"dry_run"`
}

func (a *app) prune(ctx context.Context, f *pruneFlags) error {
	f.store.complete(f.queuePrefix)
	if err := f.store.config.Validate(); err != nil {
		return input(err)
	}
	if f.ttl < time.Minute {
		return input(fmt.Errorf("CHECKPOINT_TTL (--checkpoint-ttl) is %v: must be at least 1m", f.ttl))
	}
	store, err := upload.Open(ctx, f.store.config, nil)
	if err != nil {
		return input(err)
	}
	defer store.Close()
	p := pruned{Type: "pruned", Bucket: store.Bucket(), Prefix: upload.CheckpointPrefix(f.store.config.Prefix, ""), DryRun: f.dryRun}
	err = p.prune(ctx, store, f.store.config.Prefix, time.Now().Add(-f.ttl))
	err = interrupted(ctx, err, "what is left can be pruned again")
	if f.json {
		return errors.Join(err, writeLine(a.stdout, p))
	}
	verb := "deleted"
	if f.dryRun {
		verb = "would delete"
	}
	fmt.Fprintf(a.stdout, "%s %d of %s below s3://%s/%s (%s)\n", verb, p.Deleted, ops.Plural(p.Checkpoints, "checkpoint"), p.Bucket, p.Prefix, size(p.Bytes))
	return err
}

// deletesAtOnce bounds the deletions on their way at one time.
const deletesAtOnce = 8

// prune deletes the checkpoints that were last written before a time, and counts.
func (p *pruned) prune(ctx context.Context, store *upload.Store, prefix string, before time.Time) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(deletesAtOnce)
	var deleted, bytes atomic.Int64
	var listErr error
	for o, err := range store.List(ctx, p.Prefix) {
		if listErr = err; err != nil {
			break
		}
		if _, ok := upload.ParseCheckpointKey(prefix, o.Key); !ok {
			continue
		}
		p.Checkpoints++
		if !o.Modified.Before(before) {
			continue
		}
		// The goroutine is the group's, for which Wait waits.
		group.Go(func() error {
			if !p.DryRun {
				if err := store.DeleteCheckpoint(ctx, o.Key); err != nil {
					return err
				}
			}
			deleted.Add(1)
			bytes.Add(o.Size)
			return nil
		})
	}
	err := group.Wait()
	p.Deleted, p.Bytes = deleted.Load(), bytes.Load()
	if err != nil {
		return err // that of the list is its consequence
	}
	return listErr
}
