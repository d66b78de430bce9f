package queue

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/stipple-ai/stipple/internal/local/natsd"
)

func TestClientSurvivesARestartOfTheBroker(t *testing.T) {
	t.Parallel()
	s := startBroker(t, natsd.Options{})
	var log logbook
	c := connect(t, s, Config{Logger: log.logger(), InboxPrefix: "_INBOX_me", Name: "me"})
	s.Suspend()
	eventually(t, "the client notices", func() bool { return !c.Connected() })
	if err := c.Check(t.Context()); ErrorType(err) != TypeBroker {
		t.Errorf("Check while the broker is away: %v", err)
	}
	if err := c.nc.Publish("x", nil); !errors.Is(err, nats.ErrReconnectBufExceeded) {
		t.Errorf("a publish while the broker is away: %v, want it to fail at once", err)
	}
	if err := s.Resume(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the client is back", func() bool { return c.Check(t.Context()) == nil })
	eventually(t, "the log says so", func() bool { return len(log.with("the broker is back")) == 1 })
}

func TestClientOutlivesRefusedCredentials(t *testing.T) {
	t.Parallel()
	password := "secret"
	s := startBroker(t, natsd.Options{Configure: func(o *server.Options) {
		o.Users = []*server.User{{Username: "worker", Password: password}}
	}})
	c, err := Connect(t.Context(), Config{URL: strings.Replace(s.URL(), "//", "//worker:secret@", 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.shut()
	restart := func(with string) {
		t.Helper()
		s.Suspend()
		password = with
		if err := s.Resume(); err != nil {
			t.Fatal(err)
		}
	}
	restart("changed")
	time.Sleep(4 * reconnectWait) // refused more than once
	if c.Connected() || c.nc.IsClosed() {
		t.Errorf("connected %v, closed %v; want neither", c.Connected(), c.nc.IsClosed())
	}
	restart("secret")
	eventually(t, "the client is back", func() bool { return c.Check(t.Context()) == nil })
}

func TestRefusalsAreLogged(t *testing.T) {
	t.Parallel()
	s := startBroker(t, natsd.Options{Configure: func(o *server.Options) {
		o.Users = []*server.User{{Username: "u", Password: "p", Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Deny: []string{"results.>"}},
		}}}
	}})
	var log logbook
	c, err := Connect(t.Context(), Config{URL: strings.Replace(s.URL(), "//", "//u:p@", 1), Logger: log.logger()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.shut()
	if err := c.nc.Publish("results.b.1", nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the refusal is in the log", func() bool { return len(log.with("results.b.1")) == 1 })
}

func TestClose(t *testing.T) {
	t.Parallel()
	s := startBroker(t, natsd.Options{})
	c := connect(t, s, Config{})
	for range 2 {
		if err := c.Close(t.Context()); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if err := c.try(t.Context(), "asking", func(context.Context) error { return c.nc.Publish("x", nil) }); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v, want ErrClosed", err)
	}
	away := connect(t, s, Config{})
	s.Suspend()
	eventually(t, "the client notices", func() bool { return !away.Connected() })
	start := time.Now()
	if err := away.Close(t.Context()); ErrorType(err) != TypeBroker {
		t.Errorf("Close while the broker is away: %v", err)
	}
	if d := time.Since(start); d > 2*time.Second {
		t.Errorf("it took %v", d)
	}
}

func TestOutageIsLoggedNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logbook
		o := outage{log: log.logger(), servers: "s"}
		o.end()
		for range 95 {
			o.failed(errors.New("refused"))
			time.Sleep(time.Second)
		}
		if n := len(log.with("waiting for the broker")); n != 4 { // at 0, 30, 60 and 90 s
			t.Errorf("%d lines in 95 s, want 4: %q", n, log.lines)
		}
		o.end()
		if n := len(log.with("away=1m35s")); n != 1 {
			t.Errorf("the end of the outage is missing: %q", log.lines)
		}
	})
}
