// Package natsd runs a nats-server with JetStream inside the process: the broker of cmd/dev and of tests.
//
// It is the real server, on a real port and with its streams in files, alone or several in a cluster.
package natsd

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/stipple-ai/stipple/internal/local/ports"
)

// startTimeout bounds the time from start to the first accepted connection, the recovery of streams included.
const startTimeout = 30 * time.Second

// Options configures a Server. The zero value is a broker for one test: a random port on the loopback
// interface and a directory that goes away with it.
type Options struct {
	Dir        string       // where streams are kept; "" is a temporary directory, removed by Stop
	Host       string       // interface to listen on; "" is 127.0.0.1
	Port       int          // 0 and -1 draw a free port
	SyncAlways bool         // fsync before every PubAck, as the brokers in deploy/ do: nothing is lost with the power
	Logger     *slog.Logger // receives what the server logs; nil keeps only the reason why a start failed

	// Configure changes the server's own options before every start, for tests that need users,
	// permissions or small limits. It must not touch host, port and store.
	Configure func(*server.Options)
}

// Server is a running broker. Its methods may be called from several goroutines.
type Server struct {
	options Options
	dir     string
	ownDir  bool // dir was made by Start, Stop removes it

	mu      sync.Mutex
	ns      *server.Server // nil while suspended and after Stop
	port    int            // given or drawn; the same one after Resume
	stopped bool
}

// Start runs a broker and returns once it accepts connections and JetStream is ready.
func Start(o Options) (*Server, error) {
	s := &Server{options: o, dir: o.Dir, port: o.Port}
	if o.Host == "" {
		s.options.Host = "127.0.0.1"
	}
	if s.port <= 0 {
		var err error
		if s.port, err = ports.Free(); err != nil {
			return nil, fmt.Errorf("starting the broker: %w", err)
		}
	}
	if s.dir == "" {
		dir, err := os.MkdirTemp("", "stipple-nats-")
		if err != nil {
			return nil, fmt.Errorf("making a directory for the broker: %w", err)
		}
		s.dir, s.ownDir = dir, true
	}
	if err := s.run(); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// URL is what clients connect to, such as nats://127.0.0.1:4222. It stays the same across Suspend and Resume.
func (s *Server) URL() string { return "nats://" + s.Addr() }

// Addr is the host and port the broker listens on.
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return net.JoinHostPort(s.options.Host, fmt.Sprint(s.port))
}

// Dir is the directory that holds the streams.
func (s *Server) Dir() string { return s.dir }

// Suspend shuts the broker down and keeps its directory and port for Resume: clients see a broker that
// went away. Suspending a suspended or stopped broker does nothing.
func (s *Server) Suspend() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shutdown()
}

// Resume starts a suspended broker again on the same directory and port. Resuming a running one does nothing.
func (s *Server) Resume() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.stopped:
		return errors.New("resuming the broker: it was stopped; start a new one on its directory")
	case s.ns != nil:
		return nil
	}
	return s.run()
}

// Stop shuts the broker down for good, waits for its goroutines and removes the directory if Start made it.
// Stopping twice does nothing.
func (s *Server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return nil
	}
	s.stopped = true
	s.shutdown()
	if !s.ownDir {
		return nil
	}
	if err := os.RemoveAll(s.dir); err != nil {
		return fmt.Errorf("removing the broker's directory: %w", err)
	}
	return nil
}

// shutdown ends the server and waits until its goroutines are gone. The caller holds mu.
func (s *Server) shutdown() {
	if s.ns == nil {
		return
	}
	s.ns.Shutdown()
	s.ns.WaitForShutdown()
	s.ns = nil
}

// run starts a server on the directory and port. The caller holds mu or is the only owner.
func (s *Server) run() error {
	if err := s.waitForPort(); err != nil {
		return err
	}
	opts := &server.Options{
		ServerName: "stipple-dev",
		Host:       s.options.Host,
		Port:       s.port,
		JetStream:  true,
		StoreDir:   s.dir,
		SyncAlways: s.options.SyncAlways,
		NoSigs:     true, // signals belong to the process around it
	}
	if s.options.Configure != nil {
		s.options.Configure(opts)
	}
	ns, err := server.NewServer(opts)
	if err != nil {
		return fmt.Errorf("configuring the broker: %w", err)
	}
	log := &logger{slog: s.options.Logger}
	ns.SetLogger(log, false, false)
	ns.Start()
	if err := ready(ns, log); err != nil {
		ns.Shutdown()
		ns.WaitForShutdown()
		return fmt.Errorf("starting the broker on %s with streams in %s: %w", opts.Host, s.dir, err)
	}
	s.ns = ns
	return nil
}

// ready returns once the server accepts connections, or has said why it never will: some of its listeners begin behind its start.
func ready(ns *server.Server, log *logger) error {
	for deadline := time.Now().Add(startTimeout); time.Now().Before(deadline); {
		if err := log.fatal(); err != nil {
			return err
		}
		if ns.ReadyForConnections(100 * time.Millisecond) {
			return nil
		}
	}
	return fmt.Errorf("no connection accepted within %v", startTimeout)
}

// waitForPort returns once a given port can be bound. A port left a moment ago may still be held, by the
// closing listener or by the source port of a client that dials it, so it waits a little.
func (s *Server) waitForPort() error {
	addr := net.JoinHostPort(s.options.Host, fmt.Sprint(s.port))
	for try := 0; ; try++ {
		l, err := net.Listen("tcp", addr)
		if err == nil {
			return l.Close()
		}
		if try == 20 || !errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("starting the broker on %s: %w; free that port or choose another", addr, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
