package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stipple-ai/stipple/internal/queue"
)

const setupManual = `Setup makes the streams, buckets and consumers that the queue lacks, and never changes what is there: where that is
not as it would have made it, it says so. It is for whoever may administer the broker; workers and enqueue do the
same on their own unless QUEUE_AUTO_CREATE is false.

  enqueue setup --models tiny-emoji,sd15
  enqueue setup --models sd15 --ack-wait 2m --replicas 3

With --json it prints one line:
  {"type":"setup","streams":[…],"buckets":[…],"consumers":[…],"differences":[…]}

Exit codes: 0 done, 1 something broke, 2 bad flags, 130 interrupted.`

// setupFlags are those of `enqueue setup`.
type setupFlags struct {
	broker brokerFlags
	layout queue.Layout
	models string
	json   bool
}

func (a *app) setupCommand() *cobra.Command {
	f := &setupFlags{}
	cmd := &cobra.Command{
		Use:   "setup [flags]",
		Short: "Make the streams, buckets and consumers of the queue",
		Long:  setupManual,
		Args:  exactly(0, "flags alone"),
	}
	fs := cmd.Flags()
	fs.StringVar(&f.models, "models", "", "models to make consumers for, comma-separated; as for the worker, name=path and paths are taken for their names")
	fs.DurationVar(&f.layout.AckWait, "ack-wait", queue.DefaultAckWait, "lease of a job, of consumers that are made")
	fs.IntVar(&f.layout.Replicas, "replicas", 1, "replicas of streams and buckets that are made; in a cluster 3 or 5")
	fs.Int64Var(&f.layout.MaxJobs, "max-jobs", queue.DefaultMaxJobs, "jobs that the queue holds before enqueue must wait")
	fs.BoolVar(&f.json, "json", false, "print the outcome as a JSON line")
	own(fs, "replicas")
	own(fs, "max-jobs")
	own(fs, "json")
	f.broker.define(fs)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return a.setup(cmd.Context(), f) }
	return cmd
}

func (a *app) setup(ctx context.Context, f *setupFlags) error {
	logger, err := a.logger()
	if err != nil {
		return err
	}
	if f.layout.AckWait < time.Second || f.layout.Replicas < 1 || f.layout.MaxJobs < 1 {
		return input(errors.New("--ack-wait must be at least 1s, --replicas and --max-jobs at least 1"))
	}
	if f.layout.Models = modelNames(f.models); len(f.layout.Models) == 0 {
		return input(errors.New("--models: name the models that workers will serve, as in --models tiny-emoji,sd15"))
	}
	c, closeClient, err := f.broker.connect(ctx, logger)
	if err != nil {
		return err
	}
	differences, err := c.Setup(ctx, f.layout)
	if err == nil {
		err = a.printSetup(f, c.Names(), differences)
	}
	return errors.Join(interrupted(ctx, err, "run it again for what is left"), closeClient())
}

// modelNames are the names in a list such as MODELS.
func modelNames(list string) []string {
	var names []string
	for item := range strings.SplitSeq(list, ",") {
		name, _, named := strings.Cut(strings.TrimSpace(item), "=")
		if !named {
			name = path.Base(name)
		}
		if name != "" && name != "." {
			names = append(names, name)
		}
	}
	return names
}

// printSetup says what there is now.
func (a *app) printSetup(f *setupFlags, n queue.Names, differences []queue.Difference) error {
	streams := []string{n.JobsStream(), n.ResultsStream(), n.DeadStream()}
	buckets := []string{n.BatchesBucket(), n.AttemptsBucket(), n.ModelsBucket()}
	var consumers, different []string
	for _, m := range f.layout.Models {
		for _, p := range queue.Priorities() {
			consumers = append(consumers, queue.ConsumerName(p, m))
		}
	}
	for _, d := range differences {
		different = append(different, d.String())
	}
	if f.json {
		line, err := json.Marshal(struct {
			Type        string   `json:"type"` // setup
			Streams     []string `json:"streams"`
			Buckets     []string `json:"buckets"`
			Consumers   []string `json:"consumers"`
			Differences []string `json:"differences"` // from what setup would have made
		}{"setup", streams, buckets, consumers, append([]string{}, different...)})
		if err != nil {
			return err
		}
		fmt.Fprintf(a.stdout, "%s\n", line)
		return nil
	}
	fmt.Fprintf(a.stdout, "streams    %s\nbuckets    %s\nconsumers  %s\n", strings.Join(streams, ", "), strings.Join(buckets, ", "), strings.Join(consumers, ", "))
	for _, d := range different {
		fmt.Fprintf(a.stdout, "left as it is: %s\n", d)
	}
	return nil
}
