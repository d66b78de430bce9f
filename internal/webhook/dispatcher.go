package webhook

import (
	"context"
	"crypto/x509"
	"errors"
	"iter"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Message is a result that is to be told. The one who gets it calls Done or Again, once; the queue brings one for which
// neither was called again after a while.
type Message struct {
	ID         string    // of the event: the job's identity, the same each time
	Batch      string    // whose webhook hears of it
	Body       []byte    // the result's JSON
	Deliveries int       // how often the queue has brought it, this time included
	Stored     time.Time // when the result was

	Done  func()                    // it needs not come again
	Again func(delay time.Duration) // it shall come again, not before
}

// Queue brings results that were not told yet.
type Queue interface {
	// Pull yields at most n messages as they come, and ends after some seconds. It waits for a broker that is away. An
	// error is the last that it yields, and no other Pull will do better.
	Pull(ctx context.Context, n int) iter.Seq2[Message, error]
}

// Book knows the webhooks of batches.
type Book interface {
	// Webhook is the URL that hears of a batch's results; "" for none.
	Webhook(ctx context.Context, batch string) (string, error)
}

// Config says what a Dispatcher does. Keys and Policy must be set; the zero value of another field is its default.
type Config struct {
	Keys   []Key
	Policy Policy

	UserAgent     string        // default "stipple"
	MaxAge        time.Duration // of a result that is still told; default DefaultMaxAge
	AtOnce        int           // attempts; default 64
	AtOncePerHost int           // of them at one host; default 4
	RetryMin      time.Duration // delay after the first attempt that fails; default 5 s
	RetryMax      time.Duration // and the longest; default 1 h
	SpareMin      time.Duration // for which a host is left alone that has failed three times in a row; default 5 s
	SpareMax      time.Duration // and the longest, where it goes on failing; default 5 min
	BookAge       time.Duration // for which a batch's webhook is remembered; default 1 min

	Resolver *net.Resolver  // nil is the system's
	RootCAs  *x509.CertPool // nil is the system's
	Logger   *slog.Logger   // nil drops everything
}

// DefaultMaxAge is the MaxAge of a Config that sets none.
const DefaultMaxAge = 3 * 24 * time.Hour

func (c Config) withDefaults() Config {
	if c.UserAgent == "" {
		c.UserAgent = "stipple"
	}
	for _, d := range []struct {
		at   *time.Duration
		what time.Duration
	}{{&c.MaxAge, DefaultMaxAge}, {&c.RetryMin, 5 * time.Second}, {&c.RetryMax, time.Hour}, {&c.SpareMin, 5 * time.Second}, {&c.SpareMax, 5 * time.Minute}, {&c.BookAge, time.Minute}} {
		if *d.at == 0 {
			*d.at = d.what
		}
	}
	if c.AtOnce == 0 {
		c.AtOnce = 64
	}
	if c.AtOncePerHost == 0 {
		c.AtOncePerHost = 4
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Dispatcher tells receivers of results: each until it is taken, refused for good (410 Gone), or older than MaxAge.
type Dispatcher struct {
	config Config
	queue  Queue
	book   addresses
	sender *sender
	gates  *gates
	counts counters
}

// NewDispatcher returns a Dispatcher; Run lets it work.
func NewDispatcher(c Config, q Queue, b Book) (*Dispatcher, error) {
	if len(c.Keys) == 0 {
		return nil, errors.New("webhooks are signed: give a key")
	}
	if c.Policy.Empty() {
		return nil, errors.New("webhooks go to listed hosts alone: list one")
	}
	c = c.withDefaults()
	return &Dispatcher{
		config: c, queue: q, book: addresses{book: b, age: c.BookAge, known: map[string]address{}},
		sender: newSender(c), gates: newGates(c.AtOncePerHost, c.SpareMin, c.SpareMax),
	}, nil
}

// leaveTime is how long attempts that are on their way at the end may take.
const leaveTime = 2 * time.Second

// Run delivers until ctx ends, and returns nil then; another error is the queue's. It may be called again when it has
// returned.
func (d *Dispatcher) Run(ctx context.Context) error {
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { // lets attempts end, for a while
		t := time.AfterFunc(leaveTime, cancel)
		context.AfterFunc(sending, func() { t.Stop() })
	})
	var attempts sync.WaitGroup // ended by their time-out, and by leaveTime at the latest
	defer func() {
		attempts.Wait()
		stop()
		cancel()
		d.sender.close()
	}()
	slots := make(chan struct{}, d.config.AtOnce) // filled by this goroutine alone
	for ctx.Err() == nil {
		select {
		case slots <- struct{}{}: // there is room for one at least
			<-slots
		case <-ctx.Done():
			return nil
		}
		for m, err := range d.queue.Pull(ctx, cap(slots)-len(slots)) {
			if err != nil {
				if ctx.Err() != nil {
					return nil
				}
				return err
			}
			begin := d.receive(ctx, m)
			if begin == nil {
				continue
			}
			slots <- struct{}{}
			attempts.Go(func() {
				begin(sending)
				<-slots
			})
		}
	}
	return nil
}

// receive settles a message that needs no attempt, or for which there is no room now, and returns the attempt of any other.
func (d *Dispatcher) receive(ctx context.Context, m Message) (attempt func(context.Context)) {
	text, err := d.book.of(ctx, m.Batch)
	if err != nil {
		if ctx.Err() == nil {
			d.config.Logger.WarnContext(ctx, "the webhook of a batch cannot be looked up", slog.String("batch", m.Batch), slog.Any("error", err))
		}
		m.Again(d.delay(m))
		return nil
	}
	if text == "" {
		m.Done()
		return nil
	}
	if time.Since(m.Stored) > d.config.MaxAge {
		d.counts.expired.Add(1)
		if d.book.first(m.Batch, "expired") {
			d.config.Logger.WarnContext(ctx, "webhooks of a batch are given up: nobody has taken them in time", slog.String("batch", m.Batch))
		}
		m.Done()
		return nil
	}
	u, err := d.config.Policy.Check(text)
	if err != nil { // the list may be mended
		d.counts.refused.Add(1)
		if d.book.first(m.Batch, "refused") {
			d.config.Logger.WarnContext(ctx, "webhooks of a batch are not sent: their URL is refused", slog.String("batch", m.Batch), slog.Any("error", err))
		}
		m.Again(d.delay(m))
		return nil
	}
	host := u.Scheme + "://" + u.Host
	wait, ok := d.gates.enter(host)
	if !ok {
		d.counts.deferred.Add(1)
		m.Again(wait)
		return nil
	}
	return func(ctx context.Context) {
		if d.attempt(ctx, m, u, host) {
			d.book.end(m.Batch, text)
			d.config.Logger.WarnContext(ctx, "a receiver wants no more webhooks of a batch", slog.String("batch", m.Batch), slog.String("host", u.Host))
		}
	}
}

// attempt sends an event once, and returns whether the receiver wants no more of the batch.
func (d *Dispatcher) attempt(ctx context.Context, m Message, u *url.URL, host string) (gone bool) {
	begun := time.Now()
	a, err := d.sender.send(ctx, u, m.ID, m.Body)
	gone = a.status == http.StatusGone
	broken, mended := d.gates.leave(host, time.Since(begun), a.taken() || gone)
	attrs := []slog.Attr{slog.String("host", u.Host), slog.String("event", m.ID)}
	if err != nil {
		attrs = append(attrs, slog.Any("error", err))
	} else {
		attrs = append(attrs, slog.Int("status", a.status))
	}
	switch {
	case broken:
		d.config.Logger.LogAttrs(ctx, slog.LevelWarn, "a receiver of webhooks is left alone for a while: it takes nothing", attrs...)
	case mended:
		d.config.Logger.LogAttrs(ctx, slog.LevelInfo, "a receiver of webhooks takes events again", attrs...)
	}
	switch {
	case a.taken():
		d.counts.delivered.Add(1)
		m.Done()
	case gone:
		d.counts.gone.Add(1)
		m.Done()
	default:
		d.counts.failed.Add(1)
		d.config.Logger.LogAttrs(ctx, slog.LevelDebug, "a webhook was not taken", attrs...)
		m.Again(max(d.delay(m), min(a.after, d.config.RetryMax)))
	}
	return gone
}

// delay is how long a message waits after an attempt that failed: twice as long each time, but no longer than its result is
// old, for deliveries count those that were put off. A random third is taken off, so that what failed together does not
// come back together.
func (d *Dispatcher) delay(m Message) time.Duration {
	wait := d.config.RetryMax
	if doublings := min(max(m.Deliveries-1, 0), 30); doublings < 30 {
		wait = min(wait, d.config.RetryMin<<doublings)
	}
	wait = min(wait, max(time.Since(m.Stored), d.config.RetryMin))
	return wait - rand.N(wait/3+1)
}
