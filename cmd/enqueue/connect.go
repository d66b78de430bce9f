package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/pflag"

	"github.com/stipple-ai/stipple/internal/flagenv"
	"github.com/stipple-ai/stipple/internal/otel"
	"github.com/stipple-ai/stipple/internal/queue"
)

// brokerFlags say how to reach the broker.
type brokerFlags struct {
	config     queue.Config
	autoCreate bool
}

func (f *brokerFlags) define(fs *pflag.FlagSet) {
	c := &f.config
	fs.StringVar(&c.URL, "nats-url", queue.DefaultURL, "NATS servers, comma-separated; a server that is away is waited for")
	fs.StringVar(&c.Creds, "nats-creds", "", "file with the user's JWT and seed")
	fs.StringVar(&c.NKey, "nats-nkey", "", "file with the user's NKey seed")
	fs.StringVar(&c.CA, "nats-ca", "", "file with the certificate authorities of the servers")
	fs.StringVar(&c.InboxPrefix, "nats-inbox-prefix", "", "prefix of reply subjects, where accounts keep users apart")
	fs.StringVar(&c.Prefix, "queue-prefix", "", "prefix of streams, subjects and buckets, so that several queues share one broker")
	fs.BoolVar(&f.autoCreate, "queue-auto-create", true, "create streams and buckets that are missing; never change what is there")
}

// closeTimeout bounds the farewell to the broker.
const closeTimeout = 3 * time.Second

// connect returns a client of the broker, which it waits for. Done sends what is buffered and closes it.
func (f *brokerFlags) connect(ctx context.Context, logger *slog.Logger) (c *queue.Client, done func() error, err error) {
	if c, done, err = f.dial(ctx, logger); err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", errInterrupted, err)
	}
	return c, done, err
}

// dial is connect for a ctx that may end without an interruption.
func (f *brokerFlags) dial(ctx context.Context, logger *slog.Logger) (c *queue.Client, done func() error, err error) {
	cfg := f.config
	cfg.NoAutoCreate, cfg.Name, cfg.Logger = !f.autoCreate, "enqueue", logger
	if c, err = queue.Connect(ctx, cfg); err != nil {
		return nil, nil, err
	}
	done = func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		return c.Close(ctx)
	}
	return c, done, nil
}

// prepare makes what the queue lacks and says what is unusual about the rest.
func prepare(ctx context.Context, c *queue.Client, logger *slog.Logger) error {
	differences, err := c.Ensure(ctx, queue.Layout{})
	for _, d := range differences {
		logger.WarnContext(ctx, "the broker is not set up as this program would do it",
			slog.String("object", d.Object), slog.String("field", d.Field), slog.String("have", d.Have), slog.String("want", d.Want))
	}
	return err
}

// telemetryFlags are the settings of telemetry that are not OTEL_* variables.
type telemetryFlags struct{ flushTimeout time.Duration }

func (f *telemetryFlags) define(fs *pflag.FlagSet) {
	fs.DurationVar(&f.flushTimeout, "flush-timeout", 4*time.Second, "most time for telemetry at the end; traces follow the OTEL_* variables")
	flagenv.Bind(fs, "flush-timeout", "FLUSH_TIMEOUT")
}

// start sets telemetry up. Told is the logger to go on with: what it is told is exported, too, where logs are. Done
// delivers what is waiting, for at most the flush timeout; what is lost is logged and costs nothing else.
func (f *telemetryFlags) start(ctx context.Context, getenv func(string) string, logger *slog.Logger) (t *otel.Telemetry, told *slog.Logger, done func(), err error) {
	if f.flushTimeout < 0 {
		return nil, nil, nil, input(fmt.Errorf("FLUSH_TIMEOUT (--flush-timeout) is %v: must not be negative", f.flushTimeout))
	}
	t, err = otel.Setup(ctx, otel.Options{Getenv: getenv, Logger: logger, ServiceName: "enqueue", ServiceVersion: version()})
	if err != nil {
		return nil, nil, nil, err
	}
	return t, t.Logger(), func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.flushTimeout)
		defer cancel()
		if err := t.Shutdown(ctx); err != nil {
			logger.WarnContext(ctx, "telemetry was lost", slog.Any("error", err))
		}
	}, nil
}

// interrupted replaces the error of something that a signal ended by one that says how to go on; any other
// error stays.
func interrupted(ctx context.Context, err error, how string) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	// The cause, which names the signal, is told by the queue; others, as the store, know the context's own error alone.
	for _, end := range []error{context.Cause(ctx), ctx.Err(), errInterrupted} {
		if errors.Is(err, end) {
			return fmt.Errorf("%w; %s", errInterrupted, how)
		}
	}
	return err
}

// withBroker judges the flags by the checks, connects, and lets do work with the broker.
func (a *app) withBroker(ctx context.Context, f *brokerFlags, do func(ctx context.Context, c *queue.Client, logger *slog.Logger) error, checks ...func() error) error {
	logger, err := a.logger()
	if err != nil {
		return err
	}
	var errs []error
	for _, check := range checks {
		errs = append(errs, check())
	}
	if err := errors.Join(errs...); err != nil {
		return input(err)
	}
	c, closeClient, err := f.connect(ctx, logger)
	if err != nil {
		return err
	}
	return errors.Join(do(ctx, c, logger), closeClient())
}
