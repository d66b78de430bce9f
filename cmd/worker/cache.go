package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/stipple-ai/stipple/internal/flagenv"
	"github.com/stipple-ai/stipple/internal/modelflags"
	"github.com/stipple-ai/stipple/internal/modelstore"
	"github.com/stipple-ai/stipple/internal/worker"
)

const (
	cacheManual = `Cache lists the models that were downloaded: where they lie, what they were called, how much they take, and when a worker last started with them. It
asks nobody.

  worker cache
  worker cache prune --unused 720h --dry-run

With --json it prints a line for each version:
  {"type":"cached","dir","names":[…],"bytes","used","partial"}

Exit codes: 0 listed, 1 something broke, 2 a setting that cannot work.`

	pruneManual = `Prune removes the versions of models that no worker on this machine has started with for as long as --unused says, and downloads that were broken off
as long ago. Those that MODELS names are kept however old they are. A worker that runs has loaded what it needs and goes on; should it start anew with a version
that was removed, it downloads it again.

  worker cache prune --dry-run
  worker cache prune --unused 0s --models hf://org/repo@revision

With --json it prints a line for each version:
  {"type":"removed","dir","names":[…],"bytes","used","partial"}

Exit codes: 0 removed, also where there was nothing to remove, 1 something broke, 2 a setting that cannot work.`
)

// removeTime is how long a download that is under way is waited for.
const removeTime = time.Second

// cacheFlags are those of `worker cache` and what is below it.
type cacheFlags struct {
	sources modelflags.Sources
	json    bool

	models string // of prune alone, as the next two
	unused time.Duration
	dry    bool
}

// cacheCommand is `worker cache`.
func cacheCommand(getenv func(string) string) *cobra.Command {
	f := &cacheFlags{}
	cmd := f.command(getenv, f.list)
	cmd.Use, cmd.Short, cmd.Long = "cache [flags]", "List the models that were downloaded, and remove old ones", cacheManual
	f.define(cmd.Flags())
	flagenv.Describe(cmd.Flags())

	p := &cacheFlags{}
	prune := p.command(getenv, p.prune)
	prune.Use, prune.Short, prune.Long = "prune [flags]", "Remove downloaded models that were not used for long", pruneManual
	fs := prune.Flags()
	fs.StringVar(&p.models, "models", "", "pipelines to keep, as a worker takes them")
	fs.DurationVar(&p.unused, "unused", 30*24*time.Hour, "how long no worker has started with a version that is removed")
	flagenv.Bind(fs, "unused", "CACHE_UNUSED")
	fs.BoolVar(&p.dry, "dry-run", false, "say what would be removed, and remove nothing")
	flagenv.Bind(fs, "dry-run", "CACHE_DRY_RUN")
	p.define(fs)
	flagenv.Describe(fs)
	cmd.AddCommand(prune)
	return cmd
}

func (f *cacheFlags) command(getenv func(string) string, run func(ctx context.Context, store *modelstore.Store, out io.Writer) error) *cobra.Command {
	cmd := &cobra.Command{
		Args: func(cmd *cobra.Command, args []string) error { return config(cobra.NoArgs(cmd, args)) },
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := flagenv.Apply(cmd.Flags(), getenv); err != nil {
				return config(err)
			}
			if f.unused < 0 {
				return config(fmt.Errorf("CACHE_UNUSED (--unused) is %v: must not be negative", f.unused))
			}
			store, err := f.sources.Open(slog.New(slog.DiscardHandler), nil)
			if err != nil {
				return config(err)
			}
			defer store.Close()
			return run(cmd.Context(), store, cmd.OutOrStdout())
		},
	}
	cmd.Flags().SortFlags = false
	return cmd
}

func (f *cacheFlags) define(fs *pflag.FlagSet) {
	f.sources.Define(fs)
	fs.BoolVar(&f.json, "json", false, "print a JSON line for each version")
	flagenv.Bind(fs, "json", "CACHE_JSON")
}

func (f *cacheFlags) list(_ context.Context, store *modelstore.Store, out io.Writer) error {
	versions, err := store.Versions()
	if err != nil {
		return err
	}
	return f.tell(out, "cached", versions)
}

func (f *cacheFlags) prune(ctx context.Context, store *modelstore.Store, out io.Writer) error {
	kept, err := f.kept(store)
	if err != nil {
		return config(err)
	}
	versions, err := store.Versions()
	if err != nil {
		return err
	}
	var removed []modelstore.Version
	var errs []error
	for _, v := range versions {
		if kept[v.Dir] || time.Since(v.Used) < f.unused {
			continue
		}
		if !f.dry {
			limited, cancel := context.WithTimeout(ctx, removeTime)
			err := store.Remove(limited, v)
			cancel()
			switch {
			case errors.Is(err, modelstore.ErrUsed), errors.Is(err, context.DeadlineExceeded): // it is in use after all
				continue
			case err != nil:
				errs = append(errs, fmt.Errorf("removing %s: %w", v.Dir, err))
				continue
			}
		}
		removed = append(removed, v)
	}
	return errors.Join(append(errs, f.tell(out, "removed", removed))...)
}

// kept are the folders of the models that are not to be removed.
func (f *cacheFlags) kept(store *modelstore.Store) (map[string]bool, error) {
	kept := map[string]bool{}
	if f.models == "" {
		return kept, nil
	}
	models, err := worker.ParseModels(f.models)
	if err != nil {
		return nil, err
	}
	for _, m := range models {
		if !modelstore.Remote(m.Dir) {
			continue
		}
		dir, err := store.Cached(m.Dir)
		if err != nil {
			return nil, err
		}
		kept[dir] = true
	}
	return kept, nil
}

// cachedVersion is a line of --json.
type cachedVersion struct {
	Type    string    `json:"type"` // cached or removed
	Dir     string    `json:"dir"`
	Names   []string  `json:"names"`
	Bytes   int64     `json:"bytes"`
	Used    time.Time `json:"used"`
	Partial bool      `json:"partial"`
}

// tell prints versions, and for people their sum.
func (f *cacheFlags) tell(out io.Writer, typ string, versions []modelstore.Version) error {
	if f.json {
		for _, v := range versions {
			line := cachedVersion{typ, v.Dir, append([]string{}, v.Names...), v.Bytes, v.Used.UTC().Truncate(time.Second), v.Partial}
			if err := json.NewEncoder(out).Encode(line); err != nil {
				return err
			}
		}
		return nil
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	sum := int64(0)
	for _, v := range versions {
		sum += v.Bytes
		names, source := strings.Join(v.Names, " "), filepath.Base(filepath.Dir(v.Dir))
		if v.Partial {
			names, source = "(not whole)", filepath.Base(filepath.Dir(filepath.Dir(v.Dir)))
		}
		fmt.Fprintf(t, "%s\t%.12s\t%s\t%s\t%s\n", source, filepath.Base(v.Dir), names, modelstore.Bytes(v.Bytes), v.Used.Format("2006-01-02 15:04"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	what := map[string]string{"cached": "in the cache", "removed": "removed"}[typ]
	if f.dry {
		what = "would be removed"
	}
	count := fmt.Sprintf("%d versions", len(versions))
	if len(versions) == 1 {
		count = "1 version"
	}
	_, err := fmt.Fprintf(out, "%s, %s, %s\n", count, modelstore.Bytes(sum), what)
	return err
}
