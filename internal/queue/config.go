package queue

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// DefaultURL is the broker that an empty Config.URL means.
const DefaultURL = "nats://127.0.0.1:4222"

// Config says how to reach the broker. The zero value is a broker on this machine without accounts.
type Config struct {
	URL         string // NATS_URL: one or more, comma-separated; "" is DefaultURL
	Creds       string // NATS_CREDS: file with a user's JWT and seed
	NKey        string // NATS_NKEY: file with a user's seed
	CA          string // NATS_CA: PEM file with the certificates to trust
	InboxPrefix string // NATS_INBOX_PREFIX: where replies to this client arrive; "" is _INBOX
	Prefix      string // QUEUE_PREFIX: see Names

	// NoAutoCreate is QUEUE_AUTO_CREATE=false: Ensure makes nothing and reports what is missing.
	NoAutoCreate bool

	Name   string       // the connection's name in the broker's monitoring; no secret
	Logger *slog.Logger // nil drops everything, refusals of the broker included
}

// ConfigError is a setting that cannot work. It is found before anything connects.
type ConfigError struct {
	Setting string // the environment variable
	Err     error
}

// Error names the setting and says what is wrong with it.
func (e *ConfigError) Error() string { return e.Setting + ": " + e.Err.Error() }

// Unwrap returns the reason.
func (e *ConfigError) Unwrap() error { return e.Err }

// Reconnecting never ends, and a dead connection is noticed within two unanswered pings.
const (
	dialTimeout     = 2 * time.Second
	reconnectWait   = 500 * time.Millisecond
	reconnectJitter = 500 * time.Millisecond
	pingInterval    = 10 * time.Second
	maxPingsOut     = 2
	writeTimeout    = 5 * time.Second // of a connection whose network went silent
)

// options checks every setting and returns the client's options, all problems joined.
func (c Config) options() (nats.Options, error) {
	var errs []error
	fail := func(setting string, err error) {
		if err != nil {
			errs = append(errs, &ConfigError{setting, err})
		}
	}
	o := nats.GetDefaultOptions()
	apply := func(setting string, opts ...nats.Option) {
		for _, opt := range opts {
			fail(setting, opt(&o))
		}
	}
	servers, err := serverURLs(c.URL)
	fail("NATS_URL", err)
	o.Servers = servers
	apply("", nats.Name(c.Name),
		nats.Timeout(dialTimeout), nats.FlusherTimeout(writeTimeout),
		nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true), nats.IgnoreAuthErrorAbort(),
		nats.ReconnectWait(reconnectWait), nats.ReconnectJitter(reconnectJitter, reconnectJitter),
		// What cannot be sent now must fail now: a pull that was buffered while the broker was away would
		// swallow a message after its caller gave up, and a publish that "failed" would be stored after all.
		nats.ReconnectBufSize(-1),
		nats.PingInterval(pingInterval), nats.MaxPingsOutstanding(maxPingsOut),
		nats.PermissionErrOnSubscribe(true))
	if c.InboxPrefix != "" {
		apply("NATS_INBOX_PREFIX", nats.CustomInboxPrefix(c.InboxPrefix))
	}
	if c.CA != "" {
		apply("NATS_CA", nats.RootCAs(c.CA))
	}
	switch {
	case c.Creds != "" && c.NKey != "":
		fail("NATS_NKEY", errors.New("NATS_CREDS is set too; set one of them"))
	case c.Creds != "":
		fail("NATS_CREDS", checkCreds(c.Creds))
		apply("NATS_CREDS", nats.UserCredentials(c.Creds))
	case c.NKey != "":
		opt, err := nats.NkeyOptionFromSeed(c.NKey)
		if err != nil {
			fail("NATS_NKEY", fmt.Errorf("reading a user's seed from %s: %w", c.NKey, err))
		} else {
			apply("NATS_NKEY", opt)
		}
	}
	if _, err := NewNames(c.Prefix); err != nil {
		fail("QUEUE_PREFIX", err)
	}
	return o, errors.Join(errs...)
}

// serverURLs splits and checks a comma-separated list of URLs. Errors show no password.
func serverURLs(list string) ([]string, error) {
	if list == "" {
		list = DefaultURL
	}
	var servers []string
	for s := range strings.SplitSeq(list, ",") {
		s = strings.TrimSpace(s)
		if s == "" {
			return nil, errors.New("an empty URL in the list")
		}
		if !strings.Contains(s, "://") {
			s = "nats://" + s
		}
		u, err := url.Parse(s)
		if err != nil {
			if parse, ok := errors.AsType[*url.Error](err); ok {
				err = parse.Err // parse.URL may hold a password
			}
			return nil, fmt.Errorf("not a URL such as %s: %w", DefaultURL, err)
		}
		if !strings.Contains(" nats tls ws wss ", " "+u.Scheme+" ") {
			return nil, fmt.Errorf("%s: scheme %q is not one of nats, tls, ws, wss", u.Redacted(), u.Scheme)
		}
		if u.Hostname() == "" {
			return nil, fmt.Errorf("%s: has no host", u.Redacted())
		}
		if p := u.Port(); p != "" {
			if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
				return nil, fmt.Errorf("%s: port %s is not from 1 to 65535", u.Redacted(), p)
			}
		}
		servers = append(servers, s)
	}
	return servers, nil
}

// redacted is a list of URLs for logs and messages, without passwords.
func redacted(servers []string) string {
	shown := make([]string, len(servers))
	for i, s := range servers {
		if u, err := url.Parse(s); err == nil {
			shown[i] = u.Redacted()
		}
	}
	return strings.Join(shown, ",")
}

// checkCreds fails for a file that holds no seed of a user, which the client would find out only when
// it is connected.
func checkCreds(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	kp, err := nkeys.ParseDecoratedUserNKey(data)
	if err != nil {
		return fmt.Errorf("%s holds no user's JWT and seed: %w", file, err)
	}
	kp.Wipe()
	return nil
}
