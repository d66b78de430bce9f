package queue

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Finding is one thing that Examine looked at.
type Finding struct {
	Name    string // what: "connection", "stream JOBS", "publish to results"
	Detail  string // what was found
	Err     error  // nil: as it should be
	Warning bool   // Err costs something, and no job
	Mend    string // what to do about Err
}

// examineTime bounds one question to the broker.
const examineTime = 3 * time.Second

// Examine tries what a worker with these settings needs of the broker: the connection, streams, buckets and
// consumers of the models, and each right to publish. Nothing is stored, made or taken: what would be stored is
// sent with a condition that no stream meets. The first finding that makes the others pointless is the last.
func Examine(ctx context.Context, cfg Config, models []string) []Finding {
	layout, err := Layout{Models: models}.withDefaults()
	if err != nil {
		return []Finding{{Name: "models", Err: err, Mend: "correct MODELS"}}
	}
	opts, err := cfg.options()
	if err != nil {
		return []Finding{{Name: "settings", Err: err, Mend: "correct the setting that is named"}}
	}
	names, err := NewNames(cfg.Prefix)
	if err != nil {
		return []Finding{{Name: "settings", Err: err, Mend: "correct QUEUE_PREFIX"}}
	}
	e := &examiner{cfg: cfg, names: names, layout: layout, refused: make(chan refusal, 16)}
	if !e.connect(opts) {
		return e.findings
	}
	defer e.close()
	if !e.examineStreams(ctx) {
		return e.findings
	}
	e.examineBuckets(ctx)
	e.examineConsumers(ctx)
	e.examinePublishing(ctx)
	return e.findings
}

// examiner is one Examine, in one goroutine; the connection's handler sends to refused.
type examiner struct {
	cfg      Config
	names    Names
	layout   Layout
	nc       *nats.Conn
	js       jetstream.JetStream
	closed   chan struct{}
	refused  chan refusal // of the question that is being asked
	findings []Finding

	once sync.Once
}

// refusal is what the connection's handler is told, and nobody else.
type refusal struct{ err error }

func (e *examiner) add(f Finding) { e.findings = append(e.findings, f) }

// connect connects once, with no second try.
func (e *examiner) connect(o nats.Options) bool {
	servers := redacted(o.Servers)
	o.AllowReconnect, o.RetryOnFailedConnect = false, false
	o.Name = "stipple doctor"
	e.closed = make(chan struct{})
	o.ClosedCB = func(*nats.Conn) { e.once.Do(func() { close(e.closed) }) }
	o.AsyncErrorCB = func(_ *nats.Conn, _ *nats.Subscription, err error) {
		select {
		case e.refused <- refusal{err}:
		default: // one is enough
		}
	}
	nc, err := o.Connect()
	if err != nil {
		e.add(Finding{Name: "connection", Detail: servers, Err: err, Mend: connectMend(err)})
		return false
	}
	e.nc = nc
	found := Finding{Name: "connection", Detail: fmt.Sprintf("%s, nats-server %s", nc.ConnectedUrlRedacted(), nc.ConnectedServerVersion())}
	if err := checkVersion(nc.ConnectedServerVersion()); err != nil {
		found.Err, found.Mend = err, fmt.Sprintf("upgrade nats-server to %d.%d or newer", minServerMajor, minServerMinor)
	}
	e.add(found)
	if e.js, err = jetstream.New(nc); err != nil { // only for options that are not given
		e.add(Finding{Name: "JetStream", Err: err})
	}
	if found.Err != nil || err != nil {
		e.close()
		return false
	}
	return true
}

func (e *examiner) close() {
	e.nc.Close()
	<-e.closed
}

// connectMend says what to do about a connection that cannot be made.
func connectMend(err error) string {
	var cert *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var dns *net.DNSError
	switch {
	case errors.As(err, &cert), errors.As(err, &unknown):
		return "set NATS_CA to the PEM file with the authority of the broker's certificate"
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked), errors.Is(err, nats.ErrAccountAuthExpired),
		strings.Contains(err.Error(), "Authorization Violation"):
		return "the broker does not take the user: correct NATS_CREDS, NATS_NKEY, or user and password in NATS_URL"
	case errors.Is(err, nats.ErrSecureConnRequired):
		return "the broker wants TLS: write tls:// in NATS_URL, and set NATS_CA"
	case errors.Is(err, nats.ErrSecureConnWanted):
		return "the broker has no TLS: write nats:// in NATS_URL"
	case errors.As(err, &dns):
		return "no such host: correct NATS_URL"
	}
	return "nobody answers there: start the broker, or correct NATS_URL (port 4222 is the usual one)"
}

// ask asks one question. An answer that a missing right keeps away does not come at all, which only the
// connection's handler is told; so that ends the question.
func (e *examiner) ask(ctx context.Context, question func(context.Context) error) error {
	e.forget()
	ctx, cancel := context.WithTimeout(ctx, examineTime)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- question(ctx) }() // ends with ctx at the latest; the loop below waits for it
	var denied error
	for {
		select {
		case err := <-done:
			if denied != nil {
				return denied
			}
			return err
		case r := <-e.refused:
			if errors.Is(r.err, nats.ErrPermissionViolation) && denied == nil {
				denied = r.err
				cancel()
			}
		}
	}
}

// forget drops refusals of the question before, which has ended.
func (e *examiner) forget() {
	for {
		select {
		case <-e.refused:
		default:
			return
		}
	}
}

// flush waits until the broker has read what was published, and so has refused what it refuses.
func (e *examiner) flush(ctx context.Context) error {
	if err := e.nc.FlushWithContext(ctx); err != nil {
		return err
	}
	select { // the refusal was read before the answer, and is on its way through the handler
	case r := <-e.refused:
		return r.err
	case <-time.After(50 * time.Millisecond):
		return nil
	}
}

var violation = regexp.MustCompile(`(?i)permissions violation for (publish|subscription) to "([^"]+)"`)

// mend says what to do about an error of a question.
func (e *examiner) mend(err error) string {
	m := violation.FindStringSubmatch(err.Error())
	switch {
	case m == nil && errors.Is(err, context.DeadlineExceeded):
		return "the broker does not answer in time: look at its load and its log"
	case m == nil:
		return "look at the broker's log"
	case strings.EqualFold(m[1], "subscription"):
		return fmt.Sprintf("the user may not receive replies: allow it to subscribe to %s, or set NATS_INBOX_PREFIX to what it may", inboxOf(m[2]))
	}
	return "allow the user to publish to " + m[2]
}

// inboxOf is the wildcard of a reply subject's prefix.
func inboxOf(subject string) string {
	prefix, _, _ := strings.Cut(subject, ".")
	return prefix + ".>"
}

// setupMend is what to do about something that is not there.
func (e *examiner) setupMend() string {
	mend := "have an administrator run: enqueue setup --models " + strings.Join(e.layout.Models, ",")
	if e.cfg.Prefix != "" {
		mend += " --queue-prefix " + e.cfg.Prefix
	}
	return mend
}
