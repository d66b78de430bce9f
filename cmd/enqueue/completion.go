package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/stipple-ai/stipple/internal/batch"
	"github.com/stipple-ai/stipple/internal/flagenv"
	"github.com/stipple-ai/stipple/internal/infer/schedule"
	"github.com/stipple-ai/stipple/internal/manual"
	"github.com/stipple-ai/stipple/internal/ops"
	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/upload"
)

// completes is what else `enqueue completion` says of itself.
const completes = `
Ids of batches and names of models are asked of the broker, by the settings in the environment and on the command line;
where it does not answer at once, nothing is offered.`

// completions says what a shell completes. A flag that takes text and is not in it fails a test.
func (a *app) completions() manual.Table {
	batches, models := manual.Asked(a.knownBatches), manual.Asked(a.knownModels)
	priorities, anything := manual.Words(queue.Priorities()...), manual.Anything()
	var formats []string
	for _, f := range batch.Formats() {
		formats = append(formats, string(f))
	}
	return manual.Table{
		Flags: map[string]manual.Values{
			"file":         manual.Files("txt", "csv", "jsonl", "ndjson", "yaml", "yml"),
			"input-format": manual.Words(formats...),
			"batch":        batches,
			"out":          manual.Folders(),
			"type": manual.Words(queue.TypeInvalidJob, queue.TypeObjectConflict, queue.TypeBadImage,
				queue.TypeModelError, queue.TypeOutOfMemory, queue.TypeTimeout, queue.TypePanic),
			"log-level": manual.Words("debug", "info", "warn", "error"),

			"priority":          priorities,
			"pause --priority":  priorities.List(),
			"resume --priority": priorities.List(),
			"repair --priority": priorities.List(),

			"model":           models.List(),
			"models":          models.List(),
			"scheduler":       manual.Words(schedule.Names()...).List(),
			"format":          manual.Words(upload.PNG, upload.JPEG, upload.WebP).List(),
			"size":            manual.Words("512x512", "768x768", "1024x1024").List(),
			"zip":             manual.Words("model", "seeds", "steps", "guidance-scale", "size", "width", "height", "scheduler", "negative-prompt", "format", "quality").List(),
			"seeds":           anything,
			"steps":           anything,
			"guidance-scale":  anything,
			"width":           anything,
			"height":          anything,
			"negative-prompt": anything,
			"quality":         anything,
			"deadline":        anything,
			"webhook":         anything,
			"grid --x":        anything,
			"grid --y":        anything,
			"grid --z":        anything,
			"grid --links":    manual.Words(linksRelative, linksPresigned, linksEmbedded),

			"listen":        manual.Words("127.0.0.1:8081", "0.0.0.0:8081"),
			"host":          anything,
			"token-file":    manual.Files(),
			"webhook-hosts": anything,
			"webhook-keys":  anything,

			"nats-url":          anything,
			"nats-creds":        manual.Files("creds"),
			"nats-nkey":         manual.Files(),
			"nats-ca":           manual.Files("pem", "crt"),
			"nats-inbox-prefix": anything,
			"queue-prefix":      anything,

			"s3-bucket":             anything,
			"s3-prefix":             anything,
			"s3-addressing-style":   manual.Words(upload.AddressingAuto, upload.AddressingPath, upload.AddressingVirtual),
			"aws-endpoint-url-s3":   anything,
			"aws-endpoint-url":      anything,
			"aws-region":            anything,
			"aws-access-key-id":     anything,
			"aws-secret-access-key": anything,
			"aws-session-token":     anything,
		},
		Arguments: map[string]manual.Values{
			"wait": batches, "status": batches, "watch": batches, "cancel": batches, "retry": batches,
			"dlq list": batches, "dlq show": batches, "dlq requeue": batches, "dlq purge": batches,
			"explain": manual.Files("png", "jpg", "jpeg", "webp"), "verify": manual.Files("png", "jpg", "jpeg", "webp"),
		},
	}
}

// patience is how long somebody who has pressed Tab waits for the broker.
const patience = 700 * time.Millisecond

// offered bounds the batches that are offered.
const offered = 50

// knownBatches are the ids of the batches that were begun last.
func (a *app) knownBatches(cmd *cobra.Command) []string {
	return a.ask(cmd, func(ctx context.Context, c *queue.Client) ([]string, error) {
		all, err := c.ListBatches(ctx)
		now := time.Now()
		var words []string
		for _, b := range all[:min(len(all), offered)] {
			words = append(words, fmt.Sprintf("%s\t%s, %s, %s", b.ID, b.State, ops.Plural(b.Total, "job"), ago(b.Created, now)))
		}
		return words, err
	})
}

// knownModels are the names of the models that workers have registered.
func (a *app) knownModels(cmd *cobra.Command) []string {
	return a.ask(cmd, func(ctx context.Context, c *queue.Client) ([]string, error) {
		registered, err := c.ListModels(ctx)
		var words []string
		for _, m := range registered {
			words = append(words, m.Name)
		}
		return words, err
	})
}

// ask asks the broker that the flags and the environment name. There is nobody to be told of an error: a shell that waits
// for words gets none.
func (a *app) ask(cmd *cobra.Command, what func(ctx context.Context, c *queue.Client) ([]string, error)) []string {
	if cmd.Flags().Lookup("nats-url") == nil || flagenv.Apply(cmd.Flags(), a.getenv) != nil {
		return nil
	}
	var f brokerFlags
	mine := pflag.NewFlagSet("broker", pflag.ContinueOnError)
	f.define(mine)
	mine.VisitAll(func(flag *pflag.Flag) {
		if given := cmd.Flags().Lookup(flag.Name); given != nil {
			_ = flag.Value.Set(given.Value.String()) // it is a value of the very same flag
		}
	})
	ctx, cancel := context.WithTimeout(cmd.Context(), patience)
	defer cancel()
	c, done, err := f.dial(ctx, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil
	}
	words, err := what(ctx, c)
	if closeErr := done(); err != nil || closeErr != nil {
		return nil
	}
	return words
}
