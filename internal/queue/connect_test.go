package queue

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/stipple-ai/stipple/internal/local/natsd"
)

func TestConnectChecksSettingsFirst(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		setting, says string
		cfg           Config
	}{
		{"NATS_URL", "scheme", Config{URL: "http://localhost"}},
		{"NATS_URL", "no host", Config{URL: "nats://:4222"}},
		{"NATS_URL", "port 99999", Config{URL: "localhost:99999"}},
		{"NATS_URL", "empty URL", Config{URL: "a,,b"}},
		{"NATS_URL", "not a URL", Config{URL: "nats://user:hunter2@[::1"}},
		{"NATS_URL", "xxxxx", Config{URL: "nat://user:hunter2@host"}},
		{"NATS_CREDS", "/no/such/file", Config{Creds: "/no/such/file"}},
		{"NATS_CREDS", "seed", Config{Creds: empty}},
		{"NATS_NKEY", "/no/such/file", Config{NKey: "/no/such/file"}},
		{"NATS_NKEY", "seed", Config{NKey: empty}},
		{"NATS_NKEY", "one of them", Config{NKey: empty, Creds: empty}},
		{"NATS_CA", "/no/such/file", Config{CA: "/no/such/file"}},
		{"NATS_CA", empty, Config{CA: empty}},
		{"NATS_INBOX_PREFIX", "prefix", Config{InboxPrefix: "a.*"}},
		{"QUEUE_PREFIX", "prefix", Config{Prefix: "a.b"}},
	}
	for _, tt := range tests {
		_, err := Connect(t.Context(), tt.cfg)
		var config *ConfigError
		if !errors.As(err, &config) || !strings.Contains(err.Error(), tt.setting+": ") || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("Connect(%+v): error %v, want a ConfigError of %s that says %q", tt.cfg, err, tt.setting, tt.says)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error shows a password: %v", err)
		}
	}
	_, err := Connect(t.Context(), Config{URL: "x://y", Prefix: "a.b", CA: "/no"})
	for _, setting := range []string{"NATS_URL", "QUEUE_PREFIX", "NATS_CA"} {
		if err == nil || !strings.Contains(err.Error(), setting) {
			t.Errorf("error %v does not name %s", err, setting)
		}
	}
}

// oldServer is a server that says it is of the version and answers pings, until the test ends.
func oldServer(t *testing.T, version string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return // closed at the end of the test
			}
			fmt.Fprintf(conn, "INFO {\"server_id\":\"X\",\"version\":%q,\"max_payload\":1048576,\"headers\":true,\"jetstream\":true}\r\n", version)
			for lines := bufio.NewScanner(conn); lines.Scan(); {
				if lines.Text() == "PING" {
					fmt.Fprint(conn, "PONG\r\n")
				}
			}
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
		}
	}()
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		<-done
	})
	return "nats://" + l.Addr().String()
}

func TestConnectRefusesAnOldServer(t *testing.T) {
	t.Parallel()
	for version, old := range map[string]bool{
		"2.11.9": true, "1.4.1": true, "2.9.25": true, "seven": true, "2": true,
		"2.12.0": false, "2.12.0-RC.1": false, "2.15.2": false, "3.0.0": false,
	} {
		c, err := Connect(t.Context(), Config{URL: oldServer(t, version)})
		if !old {
			if err != nil {
				t.Errorf("version %s: %v", version, err)
				continue
			}
			c.shut()
			continue
		}
		if !errors.Is(err, ErrOldServer) || !strings.Contains(err.Error(), version) || !strings.Contains(err.Error(), "2.12 or newer") {
			t.Errorf("version %s: error %v, want ErrOldServer", version, err)
		}
	}
}

func TestConnectWaitsForTheBroker(t *testing.T) {
	t.Parallel()
	s := startBroker(t, natsd.Options{})
	s.Suspend()
	var log logbook
	type outcome struct {
		c   *Client
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		c, err := Connect(t.Context(), Config{URL: strings.Replace(s.URL(), "//", "//me:hunter2@", 1), Logger: log.logger()})
		done <- outcome{c, err}
	}()
	eventually(t, "the log says that it waits", func() bool { return len(log.with("waiting for the broker")) == 1 })
	time.Sleep(3 * reconnectWait) // some more tries, of which the log says nothing
	if err := s.Resume(); err != nil {
		t.Fatal(err)
	}
	o := <-done
	if o.err != nil {
		t.Fatalf("Connect: %v", o.err)
	}
	defer o.c.shut()
	if !o.c.Connected() {
		t.Error("not connected")
	}
	if err := o.c.Check(t.Context()); err != nil {
		t.Errorf("Check: %v", err)
	}
	eventually(t, "the log says that the broker is back", func() bool { return len(log.with("the broker is back")) == 1 })
	if n := len(log.with("waiting")); n != 1 {
		t.Errorf("%d lines about waiting, want 1: %q", n, log.lines)
	}
	if found := log.with("hunter2"); found != nil {
		t.Errorf("the log shows a password: %q", found)
	}
}

func TestConnectWaitsNoLongerThanItsContext(t *testing.T) {
	t.Parallel()
	s := startBroker(t, natsd.Options{})
	s.Suspend()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := Connect(ctx, Config{URL: s.URL()})
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), s.URL()) {
		t.Errorf("error %v, want the deadline and %s", err, s.URL())
	}
}

func TestConnectDenied(t *testing.T) {
	t.Parallel()
	s := startBroker(t, natsd.Options{Configure: func(o *server.Options) {
		o.Users = []*server.User{{Username: "worker", Password: "secret"}}
	}})
	for _, away := range []bool{false, true} {
		if away { // refused at a reconnect, after tries that found nobody
			s.Suspend()
			time.AfterFunc(700*time.Millisecond, func() {
				if err := s.Resume(); err != nil {
					t.Error(err)
				}
			})
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		_, err := Connect(ctx, Config{URL: s.URL()})
		cancel()
		if !errors.Is(err, ErrDenied) || !strings.Contains(err.Error(), "NATS_CREDS") {
			t.Errorf("away %v: error %v, want ErrDenied", away, err)
		}
	}
}

func TestConnectWithAnNKey(t *testing.T) {
	t.Parallel()
	kp, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err := kp.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := kp.Seed()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "worker.nk")
	if err := os.WriteFile(file, seed, 0o600); err != nil {
		t.Fatal(err)
	}
	s := startBroker(t, natsd.Options{Configure: func(o *server.Options) { o.Nkeys = []*server.NkeyUser{{Nkey: public}} }})
	if err := connect(t, s, Config{NKey: file}).Check(t.Context()); err != nil {
		t.Errorf("Check: %v", err)
	}
}
