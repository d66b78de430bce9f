package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"time"

	"github.com/spf13/pflag"

	"github.com/stipple-ai/stipple/internal/flagenv"
	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/webhook"
)

// webhookFlags say which webhooks enqueue serve sends.
type webhookFlags struct {
	hosts  string
	keys   string
	http   bool
	maxAge time.Duration
	lease  time.Duration

	config webhook.Config // of the above, by check
}

// webhookLease is how long a result stays with one sender: longer than an attempt takes.
const webhookLease = time.Minute

func (f *webhookFlags) define(fs *pflag.FlagSet) {
	fs.StringVar(&f.hosts, "webhook-hosts", "", "hosts to which webhooks may go, comma-separated: hooks.example.com, *.example.com, host:port; addresses that are not public by themselves, such as 10.0.0.0/8. Empty sends none")
	fs.StringVar(&f.keys, "webhook-keys", "", "keys that sign webhooks, whsec_…, comma-separated: one, or two while one takes the other's place; better in the environment")
	fs.BoolVar(&f.http, "webhook-http", false, "let webhooks go to http URLs, too, which anyone on the way can read and change")
	fs.DurationVar(&f.maxAge, "webhook-max-age", webhook.DefaultMaxAge, "age of a result after which its webhook is given up")
	flagenv.Secret(fs, "webhook-keys")
	f.lease = webhookLease
}

// check judges the flags. It joins every problem, each naming its flag.
func (f *webhookFlags) check() error {
	if f.hosts == "" {
		if f.keys != "" || f.http {
			return errors.New("WEBHOOK_HOSTS (--webhook-hosts) is empty, so no webhooks are sent: name the hosts, or leave the other settings of webhooks out")
		}
		return nil
	}
	policy, err := webhook.ParsePolicy(f.hosts, f.http)
	if err != nil {
		err = fmt.Errorf("WEBHOOK_HOSTS (--webhook-hosts): %w", err)
	}
	errs := []error{err}
	keys, err := webhook.ParseKeys(f.keys)
	switch {
	case err != nil:
		errs = append(errs, fmt.Errorf("WEBHOOK_KEYS (--webhook-keys): %w", err))
	case len(keys) == 0:
		errs = append(errs, errors.New("WEBHOOK_KEYS (--webhook-keys) is empty: webhooks are signed; make a key with: echo whsec_$(openssl rand -base64 32)"))
	}
	if f.maxAge <= 0 {
		errs = append(errs, fmt.Errorf("WEBHOOK_MAX_AGE (--webhook-max-age) is %v: must be above 0", f.maxAge))
	}
	f.config = webhook.Config{Keys: keys, Policy: policy, MaxAge: f.maxAge, UserAgent: "stipple/" + version()}
	return errors.Join(errs...)
}

// webhooks send the webhooks of all batches. A nil one sends none.
type webhooks struct {
	dispatcher *webhook.Dispatcher
	client     *queue.Client
	ended      chan error // has the end of the goroutine that sends, once
}

// startWebhooks begins to send webhooks, until ctx ends; wait is called then. It returns nil where no host is allowed.
// The flags were checked.
func startWebhooks(ctx context.Context, f *webhookFlags, c *queue.Client, logger *slog.Logger) (*webhooks, error) {
	if f.hosts == "" {
		return nil, nil //nolint:nilnil // a nil *webhooks sends none
	}
	cfg := f.config
	cfg.Logger = logger
	d, err := webhook.NewDispatcher(cfg, resultsQueue{c.Tail(webhookConsumer, f.lease)}, webhookBook{c})
	if err != nil {
		return nil, err
	}
	w := &webhooks{dispatcher: d, client: c, ended: make(chan error, 1)}
	go func() { w.ended <- d.Run(ctx) }() // wait receives
	return w, nil
}

// wait returns when nothing is sent any more: after ctx has ended, or before that with an error, that of the broker.
func (w *webhooks) wait() error {
	if w == nil {
		return nil
	}
	return <-w.ended
}

// writeMetrics writes what became of events, in the text format of Prometheus.
func (w *webhooks) writeMetrics(out io.Writer) error {
	if w == nil {
		return nil
	}
	return w.dispatcher.Counts().WriteMetrics(out)
}

// problem says what is wrong with webhooks just now; "" for nothing.
func (w *webhooks) problem() string {
	if w == nil {
		return ""
	}
	if n := w.dispatcher.Counts().Broken; n > 0 {
		return fmt.Sprintf("%s of webhooks %s nothing: their events wait", count(n, "receiver"), map[bool]string{true: "takes", false: "take"}[n == 1])
	}
	return ""
}

// resultsQueue brings results as messages of webhooks.
type resultsQueue struct{ tail *queue.Tail }

// Pull implements webhook.Queue.
func (q resultsQueue) Pull(ctx context.Context, n int) iter.Seq2[webhook.Message, error] {
	return func(yield func(webhook.Message, error) bool) {
		for r, err := range q.tail.Pull(ctx, n) {
			if err != nil {
				yield(webhook.Message{}, err)
				return
			}
			m := webhook.Message{
				ID: r.Identity().MsgID(), Batch: r.BatchID, Body: r.Data, Deliveries: r.Deliveries, Stored: r.Stored,
				Done: r.Done, Again: r.Again,
			}
			if !yield(m, nil) {
				return
			}
		}
	}
}

// webhookBook finds webhooks in the records of batches.
type webhookBook struct{ client *queue.Client }

// Webhook implements webhook.Book.
func (b webhookBook) Webhook(ctx context.Context, batch string) (string, error) {
	return b.client.BatchWebhook(ctx, batch)
}
