package natsd

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/stipple-ai/stipple/internal/local/ports"
)

// Cluster is several brokers that share their streams. Each may be suspended and resumed by itself.
type Cluster struct {
	Servers []*Server
}

// StartCluster runs n brokers whose routes are on the loopback interface, and returns once they have elected a leader.
// What o says holds for each; its port must be 0, and each has a directory of its own below o.Dir, if that is given.
func StartCluster(n int, o Options) (*Cluster, error) {
	if o.Port > 0 {
		return nil, fmt.Errorf("starting a cluster: %d brokers cannot share port %d", n, o.Port)
	}
	drawn, routes := make([]int, n), make([]*url.URL, n)
	for i := range n {
		var err error
		if drawn[i], err = ports.Free(); err != nil {
			return nil, fmt.Errorf("starting a cluster: %w", err)
		}
		routes[i] = &url.URL{Scheme: "nats", Host: net.JoinHostPort("127.0.0.1", fmt.Sprint(drawn[i]))}
	}
	c := &Cluster{}
	for i, port := range drawn {
		one := o
		one.Configure = func(so *server.Options) {
			so.ServerName = fmt.Sprintf("stipple-dev-%d", i)
			so.Cluster = server.ClusterOpts{Name: "stipple-dev", Host: "127.0.0.1", Port: port}
			so.Routes = routes
			if o.Configure != nil {
				o.Configure(so)
			}
		}
		if o.Dir != "" {
			one.Dir = filepath.Join(o.Dir, fmt.Sprint(i))
		}
		s, err := Start(one)
		if err != nil {
			return nil, errors.Join(err, c.Stop())
		}
		c.Servers = append(c.Servers, s)
	}
	if err := c.await(); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

// URL is what clients connect to: the brokers' URLs, comma-separated.
func (c *Cluster) URL() string {
	urls := make([]string, len(c.Servers))
	for i, s := range c.Servers {
		urls[i] = s.URL()
	}
	return strings.Join(urls, ",")
}

// Leader is the broker that leads a stream of the default account, nil while an election goes on.
func (c *Cluster) Leader(stream string) *Server {
	for _, s := range c.Servers {
		if s.is(func(ns *server.Server) bool { return ns.JetStreamIsStreamLeader(server.DEFAULT_GLOBAL_ACCOUNT, stream) }) {
			return s
		}
	}
	return nil
}

// Stop stops the brokers for good.
func (c *Cluster) Stop() error {
	var errs []error
	for _, s := range c.Servers {
		errs = append(errs, s.Stop())
	}
	return errors.Join(errs...)
}

// await returns once one broker leads and all know of each other.
func (c *Cluster) await() error {
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(10 * time.Millisecond) {
		leaders, current := 0, 0
		for _, s := range c.Servers {
			if s.is(func(ns *server.Server) bool {
				return ns.JetStreamIsLeader() && len(ns.JetStreamClusterPeers()) == len(c.Servers)
			}) {
				leaders++
			}
			if s.is((*server.Server).JetStreamIsCurrent) {
				current++
			}
		}
		if leaders == 1 && current == len(c.Servers) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("starting a cluster: no leader of all %d brokers within %v", len(c.Servers), startTimeout)
		}
	}
}

// is reports whether the broker runs and is what the function says.
func (s *Server) is(what func(*server.Server) bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ns != nil && what(s.ns)
}
