package queue

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The oldest nats-server that has what the queue needs: atomic batches came with 2.12.
const (
	minServerMajor = 2
	minServerMinor = 12
)

// ErrOldServer is a broker that is too old for the queue.
var ErrOldServer error = &typedError{TypeBroker, fmt.Sprintf("nats-server %d.%d or newer is required; upgrade the broker", minServerMajor, minServerMinor)}

// ErrDenied is a broker that does not take the client's credentials or that the client does not trust.
var ErrDenied error = &typedError{TypeBroker, "the broker refused the connection; check NATS_CREDS, NATS_NKEY and NATS_CA"}

// Client is a connection to the broker and the queue's names on it. Its methods may be called from several
// goroutines.
type Client struct {
	nc     *nats.Conn
	js     jetstream.JetStream
	names  Names
	log    *slog.Logger
	config Config
	closed chan struct{} // closed by the connection's closed handler, after which no handler runs

	absence time.Duration // absenceLimit, less in tests
	tryTime time.Duration // tryTimeout, less in tests

	outbox     chan announcement // any goroutine sends, publishOutbox receives
	stopOutbox func()            // ends publishOutbox and waits for it; may be called twice

	mu      sync.Mutex
	buckets map[string]jetstream.KeyValue // handles by name; they stay good when a bucket is deleted and made again
	streams map[string]jetstream.Stream   // and so do these
}

// Connect returns a client once the broker answers. A broker that cannot be reached is waited for until ctx
// ends, which the log says at once and then every 30 s.
//
// Errors: joined *ConfigError before anything connects, ErrOldServer, ErrDenied, and ctx's error with the last
// failure.
func Connect(ctx context.Context, cfg Config) (*Client, error) {
	opts, err := cfg.options()
	if err != nil {
		return nil, err
	}
	names, err := NewNames(cfg.Prefix)
	if err != nil {
		return nil, err
	}
	c := &Client{
		names: names, log: cfg.Logger, config: cfg, absence: absenceLimit, tryTime: tryTimeout,
		closed: make(chan struct{}), outbox: make(chan announcement, outboxSize),
		buckets: map[string]jetstream.KeyValue{}, streams: map[string]jetstream.Stream{},
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	servers := redacted(opts.Servers)
	connected := c.setHandlers(&opts, servers)
	if c.nc, err = opts.Connect(); err != nil {
		return nil, fmt.Errorf("connecting to the broker at %s: %w", servers, err)
	}
	c.startOutbox()
	if err := c.await(ctx, connected); err != nil {
		c.shut()
		return nil, fmt.Errorf("connecting to the broker at %s: %w", servers, err)
	}
	if c.js, err = jetstream.New(c.nc); err != nil {
		c.shut()
		return nil, fmt.Errorf("connecting to the broker at %s: %w", servers, err)
	}
	return c, nil
}

// setHandlers sets the connection's handlers, which one goroutine of the connection calls one after the other. The
// channel is closed at the first connect.
func (c *Client) setHandlers(o *nats.Options, servers string) (connected <-chan struct{}) {
	first := make(chan struct{})
	away := outage{log: c.log, servers: servers}
	o.ConnectedCB = func(*nats.Conn) { away.end(); close(first) }
	o.ReconnectErrCB = func(_ *nats.Conn, err error) { away.failed(err) }
	o.DisconnectedErrCB = func(nc *nats.Conn, err error) {
		if !nc.IsClosed() {
			away.failed(err)
		}
	}
	o.ReconnectedCB = func(nc *nats.Conn) {
		away.end()
		if err := checkVersion(nc.ConnectedServerVersion()); err != nil {
			c.log.Error("the broker is not usable", slog.String("server", nc.ConnectedUrlRedacted()), slog.Any("error", err))
		}
	}
	o.AsyncErrorCB = func(_ *nats.Conn, sub *nats.Subscription, err error) {
		// A denied publish shows up here alone: to the one who waits for its answer it is a timeout.
		attrs := []any{slog.Any("error", err)}
		if sub != nil {
			attrs = append(attrs, slog.String("subject", sub.Subject))
		}
		c.log.Error("the broker refused an operation", attrs...)
	}
	o.ClosedCB = func(*nats.Conn) { close(c.closed) }
	return first
}

// await waits for the first connect and judges the server.
func (c *Client) await(ctx context.Context, connected <-chan struct{}) error {
	// A handshake that fails is reported by LastError alone, so it is looked at now and then.
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case <-connected:
			return checkVersion(c.nc.ConnectedServerVersion())
		case <-look.C:
			if err := c.nc.LastError(); denied(err) {
				return fmt.Errorf("%w: %w", ErrDenied, err)
			}
		case <-ctx.Done():
			if err := c.nc.LastError(); err != nil {
				return fmt.Errorf("%w (last: %w)", context.Cause(ctx), err)
			}
			return context.Cause(ctx)
		}
	}
}

// denied reports whether trying again with the same settings is of no use.
func denied(err error) bool {
	var untrusted *tls.CertificateVerificationError
	return errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) ||
		errors.Is(err, nats.ErrAuthRevoked) || errors.Is(err, nats.ErrAccountAuthExpired) || errors.As(err, &untrusted)
}

// checkVersion returns ErrOldServer for a nats-server that is too old; "" is a connection that is gone again.
func checkVersion(version string) error {
	if version == "" {
		return nil
	}
	var major, minor int
	if _, err := fmt.Sscanf(version, "%d.%d", &major, &minor); err != nil {
		return fmt.Errorf("%w: it says it is %s", ErrOldServer, quote(version))
	}
	if major < minServerMajor || major == minServerMajor && minor < minServerMinor {
		return fmt.Errorf("%w: it is %s", ErrOldServer, version)
	}
	return nil
}

// Names returns the names of the queue's streams, subjects and buckets.
func (c *Client) Names() Names { return c.names }

// Server is the broker that the client is connected to, one of a cluster perhaps: "" while there is none.
func (c *Client) Server() (host string, port int) {
	u, err := url.Parse(c.nc.ConnectedUrl())
	if err != nil { // not reached: it is connected
		return "", 0
	}
	if port, err = strconv.Atoi(u.Port()); err != nil {
		port = nats.DefaultPort // of an address without one
	}
	return u.Hostname(), port
}

// Connected reports whether the broker is there, as far as the connection knows: up to 30 s after a network
// that went silent it still says yes. Check asks.
func (c *Client) Connected() bool { return c.nc.IsConnected() }

// Check asks the broker for a sign of life and returns nil when it came.
func (c *Client) Check(ctx context.Context) error {
	if !c.Connected() {
		return &brokerError{"checking the broker", nats.ErrDisconnected}
	}
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	if err := c.nc.FlushWithContext(ctx); err != nil {
		return &brokerError{"checking the broker", err}
	}
	return nil
}

// Close sends what is still buffered and ends the connection, at the latest when ctx ends. Deliveries must be
// settled before. Closing twice does nothing.
func (c *Client) Close(ctx context.Context) error {
	if c.nc.IsClosed() {
		c.shut()
		return nil
	}
	err := c.nc.Drain() // ends by closing the connection
	if err == nil {
		select {
		case <-c.closed:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	c.shut()
	if err != nil {
		return &brokerError{"closing the connection to the broker", err}
	}
	return nil
}

// shut closes the connection at once and returns when its last handler is through.
func (c *Client) shut() {
	c.nc.Close()
	<-c.closed
	c.stopOutbox()
}

// outage logs a broker that cannot be reached: at once, then every 30 s, and when it is back. The connection's
// handler goroutine owns it.
type outage struct {
	log     *slog.Logger
	servers string
	since   time.Time // zero while connected
	logged  time.Time
}

// outageLogEvery is the time between two lines about one outage.
const outageLogEvery = 30 * time.Second

func (o *outage) failed(err error) {
	now := time.Now()
	if o.since.IsZero() {
		o.since = now
	} else if now.Sub(o.logged) < outageLogEvery {
		return
	}
	o.logged = now
	o.log.Warn("waiting for the broker", slog.String("servers", o.servers), slog.Any("error", err),
		slog.Duration("away", now.Sub(o.since).Round(time.Second)))
}

func (o *outage) end() {
	if o.since.IsZero() {
		return
	}
	o.log.Info("the broker is back", slog.String("servers", o.servers), slog.Duration("away", time.Since(o.since).Round(time.Millisecond)))
	o.since = time.Time{}
}
