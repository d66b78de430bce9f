package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/webhook"
)

// webhookConsumer is the durable consumer of RESULTS by which enqueue serve sends webhooks.
const webhookConsumer = "webhooks"

// webhookFlag is the URL that hears of the results of a batch.
type webhookFlag struct{ url string }

func (f *webhookFlag) define(fs *pflag.FlagSet) {
	fs.StringVar(&f.url, "webhook", "", "URL that hears of each result of the batch, signed; enqueue serve sends it, to the hosts that it allows")
	own(fs, "webhook")
}

func (f *webhookFlag) check() error {
	if f.url == "" {
		return nil
	}
	if _, err := webhook.ParseURL(f.url); err != nil {
		return flagError("webhook", err)
	}
	return nil
}

// How often the broker is asked whether somebody sends webhooks: one who does asks for results nearly all the time.
const (
	webhookLooks   = 4
	webhookLookGap = 300 * time.Millisecond
)

// remindOfServe says so where nobody sends the webhooks that a batch asks for.
func (a *app) remindOfServe(ctx context.Context, c *queue.Client, f *webhookFlag) error {
	if f.url == "" {
		return nil
	}
	for look := range webhookLooks {
		if look > 0 {
			t := time.NewTimer(webhookLookGap)
			select {
			case <-t.C:
			case <-ctx.Done():
				t.Stop()
				return context.Cause(ctx)
			}
		}
		state, err := c.TailState(ctx, webhookConsumer)
		if err != nil {
			return err
		}
		if state.Readers > 0 {
			return nil
		}
		if !state.Exists {
			break
		}
	}
	fmt.Fprintf(a.stderr, "no `enqueue serve` sends webhooks now, so none are sent: start one with --webhook-hosts, and it sends those of results that are not older than %v\n", webhook.DefaultMaxAge)
	return nil
}
