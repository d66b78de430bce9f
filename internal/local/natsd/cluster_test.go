package natsd_test

import (
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stipple-ai/stipple/internal/local/natsd"
)

func TestCluster(t *testing.T) {
	c, err := natsd.StartCluster(3, natsd.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	nc, err := nats.Connect(c.URL(), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "JOBS", Subjects: []string{"jobs.>"}, Replicas: 3})
	if err != nil {
		t.Fatal(err)
	}
	mustPublish(t, js, "jobs.a", "one")

	leader := c.Leader("JOBS")
	if leader == nil {
		t.Fatal("nobody leads the stream")
	}
	leader.Suspend()
	for deadline := time.Now().Add(20 * time.Second); c.Leader("JOBS") == nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no other leader within 20 s")
		}
	}
	if c.Leader("JOBS") == leader {
		t.Error("the suspended broker leads the stream")
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if info, err := s.Info(t.Context()); err == nil && info.State.Msgs == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the stream is not back within 20 s")
		}
	}
	if err := leader.Resume(); err != nil {
		t.Fatal(err)
	}
	if c.Leader("NONE") != nil {
		t.Error("somebody leads a stream that is not there")
	}
}

func TestClusterErrors(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	if _, err := natsd.StartCluster(2, natsd.Options{Port: l.Addr().(*net.TCPAddr).Port}); err == nil {
		t.Error("two brokers share a port")
	}
	if _, err := natsd.StartCluster(2, natsd.Options{Host: "256.0.0.1"}); err == nil {
		t.Error("a cluster on no interface")
	}
}

// TestARouteThatIsTaken: the server finds out behind its start, and says so before anybody has waited in vain.
func TestARouteThatIsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = natsd.Start(natsd.Options{Configure: func(o *server.Options) {
		o.Cluster = server.ClusterOpts{Name: "taken", Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port}
		o.Routes = []*url.URL{{Scheme: "nats", Host: l.Addr().String()}}
	}})
	if err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("got %v, want the reason", err)
	}
}
