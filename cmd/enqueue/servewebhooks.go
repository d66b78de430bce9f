package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/spf13/pflag"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

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
const webhookLease = 30 * time.Second

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
	flags  *webhookFlags
	broker *brokerFlags
	logger *slog.Logger

	dispatcher atomic.Pointer[webhook.Dispatcher] // nil before the broker was there
	trouble    atomic.Pointer[string]             // why none are sent; nil while they are
}

// newWebhooks returns what sends webhooks, by flags that were checked; nil where they allow no host. Meter hears what
// becomes of events.
func newWebhooks(f *webhookFlags, broker *brokerFlags, meter metric.Meter, logger *slog.Logger) (*webhooks, error) {
	if f.hosts == "" {
		return nil, nil //nolint:nilnil // a nil *webhooks sends none
	}
	w := &webhooks{flags: f, broker: broker, logger: logger}
	return w, w.observe(meter)
}

// observe registers the metrics.
func (w *webhooks) observe(meter metric.Meter) error {
	events, err := meter.Int64ObservableCounter("webhook.events", metric.WithUnit("{event}"),
		metric.WithDescription("Webhook events, by what became of them; those that failed, were deferred or refused come again."))
	if err != nil {
		return err
	}
	broken, err := meter.Int64ObservableGauge("webhook.hosts.broken", metric.WithUnit("{host}"),
		metric.WithDescription("Receivers of webhooks that take nothing and are left alone for a while."))
	if err != nil {
		return err
	}
	_, err = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		c := w.counts()
		for outcome, n := range map[string]int64{
			"delivered": c.Delivered, "failed": c.Failed, "deferred": c.Deferred, "expired": c.Expired, "gone": c.Gone, "refused": c.Refused,
		} {
			o.ObserveInt64(events, n, metric.WithAttributes(attribute.String("webhook.outcome", outcome)))
		}
		o.ObserveInt64(broken, c.Broken)
		return nil
	}, events, broken)
	return err
}

// counts are what became of events.
func (w *webhooks) counts() webhook.Counts {
	if d := w.dispatcher.Load(); d != nil {
		return d.Counts()
	}
	return webhook.Counts{}
}

// webhookPause is how long is waited after something that keeps webhooks from being sent.
const webhookPause = 5 * time.Second

// run sends webhooks until ctx ends. It waits for a broker that is away, and for one that lacks what it needs.
func (w *webhooks) run(ctx context.Context) error {
	if w == nil {
		return nil
	}
	c, closeClient, err := w.broker.dial(ctx, w.logger)
	if err != nil && ctx.Err() != nil {
		return nil //nolint:nilerr // the end of ctx is no error
	}
	if err != nil {
		return err
	}
	cfg := w.flags.config
	cfg.Logger = w.logger
	d, err := webhook.NewDispatcher(cfg, resultsQueue{c.Tail(webhookConsumer, w.flags.lease)}, webhookBook{c})
	if err != nil {
		return errors.Join(err, closeClient())
	}
	w.dispatcher.Store(d)
	for ctx.Err() == nil {
		err := prepare(ctx, c, w.logger)
		if err == nil {
			w.trouble.Store(nil)
			err = d.Run(ctx)
		}
		if err != nil && ctx.Err() == nil {
			w.trouble.Store(new(err.Error()))
			w.logger.ErrorContext(ctx, "no webhooks are sent", slog.Any("error", err))
			t := time.NewTimer(webhookPause)
			select {
			case <-t.C:
			case <-ctx.Done():
				t.Stop()
			}
		}
	}
	return closeClient()
}

// problem says what is wrong with webhooks just now; "" for nothing.
func (w *webhooks) problem() string {
	if w == nil {
		return ""
	}
	if trouble := w.trouble.Load(); trouble != nil {
		return "no webhooks are sent: " + *trouble
	}
	switch n := w.counts().Broken; n {
	case 0:
		return ""
	case 1:
		return "a receiver of webhooks takes nothing; its events wait"
	default:
		return fmt.Sprintf("%d receivers of webhooks take nothing; their events wait", n)
	}
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
