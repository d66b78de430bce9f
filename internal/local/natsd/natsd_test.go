package natsd_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/stipple-ai/stipple/internal/local/natsd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, o natsd.Options) *natsd.Server {
	t.Helper()
	s, err := natsd.Start(o)
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("Stop: %v", err)
		}
	})
	return s
}

// connect returns a JetStream client whose connection is closed before the broker of the test stops.
func connect(t *testing.T, s *natsd.Server, opts ...nats.Option) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(s.URL(), opts...)
	if err != nil {
		t.Fatalf("Connect(%s): %v", s.URL(), err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatalf("jetstream.New: %v", err)
	}
	return js
}

func mustStream(t *testing.T, js jetstream.JetStream) jetstream.Stream {
	t.Helper()
	st, err := js.CreateOrUpdateStream(t.Context(), jetstream.StreamConfig{
		Name: "JOBS", Subjects: []string{"jobs.>"}, Retention: jetstream.WorkQueuePolicy, Storage: jetstream.FileStorage,
	})
	if err != nil {
		t.Fatalf("CreateStream: %v", err)
	}
	return st
}

func mustPublish(t *testing.T, js jetstream.JetStream, subject, body string) {
	t.Helper()
	if _, err := js.Publish(t.Context(), subject, []byte(body)); err != nil {
		t.Fatalf("Publish(%s): %v", subject, err)
	}
}

func messages(t *testing.T, js jetstream.JetStream) uint64 {
	t.Helper()
	st, err := js.Stream(t.Context(), "JOBS")
	if err != nil {
		t.Fatalf("Stream: %v", err)
	}
	return st.CachedInfo().State.Msgs
}

func TestStreamsSurviveARestartOnTheSameDirectory(t *testing.T) {
	for _, sync := range []bool{false, true} {
		dir := t.TempDir()
		s := start(t, natsd.Options{Dir: dir, SyncAlways: sync})
		js := connect(t, s)
		mustStream(t, js)
		mustPublish(t, js, "jobs.normal.sd.b", "one")
		if err := s.Stop(); err != nil {
			t.Fatalf("Stop: %v", err)
		}
		if n := messages(t, connect(t, start(t, natsd.Options{Dir: dir}))); n != 1 {
			t.Errorf("sync always %v: %d messages after the restart, want 1", sync, n)
		}
	}
}

func TestSuspendAndResumeKeepPortAndClients(t *testing.T) {
	s := start(t, natsd.Options{})
	url := s.URL()
	reconnected := make(chan struct{}, 1)
	js := connect(t, s, nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond),
		nats.ReconnectHandler(func(*nats.Conn) { reconnected <- struct{}{} }))
	mustStream(t, js)
	mustPublish(t, js, "jobs.normal.sd.b", "one")

	s.Suspend()
	s.Suspend()
	if c, err := net.Dial("tcp", s.Addr()); err == nil {
		t.Errorf("a suspended broker accepts connections: %v", c.Close())
	}
	if err := s.Resume(); err != nil {
		t.Fatalf("Resume: %v", err)
	}
	if err := s.Resume(); err != nil {
		t.Fatalf("Resume of a running broker: %v", err)
	}
	if s.URL() != url {
		t.Errorf("URL after Resume = %s, want %s", s.URL(), url)
	}
	select {
	case <-reconnected:
	case <-time.After(10 * time.Second):
		t.Fatal("the client did not come back")
	}
	if n := messages(t, js); n != 1 {
		t.Errorf("%d messages after Resume, want 1", n)
	}
}

func TestStopRemovesOnlyItsOwnDirectory(t *testing.T) {
	own := start(t, natsd.Options{})
	given := start(t, natsd.Options{Dir: filepath.Join(t.TempDir(), "made", "by", "the", "server")})
	for _, s := range []*natsd.Server{own, given} {
		if err := s.Stop(); err != nil {
			t.Fatalf("Stop: %v", err)
		}
		if err := s.Stop(); err != nil {
			t.Errorf("second Stop: %v", err)
		}
		if err := s.Resume(); err == nil {
			t.Error("Resume of a stopped broker succeeded")
		}
		if c, err := net.Dial("tcp", s.Addr()); err == nil {
			t.Errorf("a stopped broker accepts connections: %v", c.Close())
		}
	}
	if _, err := os.Stat(own.Dir()); !os.IsNotExist(err) {
		t.Errorf("the temporary directory is still there: %v", err)
	}
	if _, err := os.Stat(given.Dir()); err != nil {
		t.Errorf("the given directory is gone: %v", err)
	}
}

func TestStartErrorsSayWhy(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := busy.Close(); err != nil {
			t.Error(err)
		}
	}()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		o    natsd.Options
		want string
	}{
		{"port in use", natsd.Options{Port: busy.Addr().(*net.TCPAddr).Port}, "address already in use"},
		{"store in a file", natsd.Options{Dir: file}, file},
		{"contradicting options", natsd.Options{Configure: func(o *server.Options) { o.MaxPayload, o.MaxPending = 2, 1 }}, "max_payload"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := natsd.Start(tt.o)
			if err == nil {
				t.Fatalf("Start succeeded; Stop: %v", s.Stop())
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q does not say %q", err, tt.want)
			}
		})
	}
}

func TestConfigureSetsUsers(t *testing.T) {
	s := start(t, natsd.Options{Configure: func(o *server.Options) {
		o.Users = []*server.User{{Username: "worker", Password: "secret"}}
	}})
	if nc, err := nats.Connect(s.URL()); err == nil {
		nc.Close()
		t.Error("a connection without a user was accepted")
	}
	js := connect(t, s, nats.UserInfo("worker", "secret"))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := js.AccountInfo(ctx); err != nil {
		t.Errorf("AccountInfo: %v", err)
	}
}
