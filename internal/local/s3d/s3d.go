// Package s3d runs an S3 server inside the process: the bucket of cmd/dev and of tests.
//
// It is versitygw over a directory: real signatures, conditional writes and presigned URLs, while every
// object stays a plain file at <dir>/<bucket>/<key> that can be looked at. Metadata lies in extended
// attributes, or beside the directory where the file system has none.
//
// Two limits come from versitygw. One server can run in a process at a time. And it resolves paths
// against the process's working directory: while a server runs that is Options.Dir, so whoever starts
// one makes its own relative paths absolute first. Stop puts the old working directory back.
package s3d

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
	"github.com/versity/versitygw/s3api"
)

// startTimeout bounds the time from start to the first answer.
const startTimeout = 10 * time.Second

// Options configures a Server. The zero value is a server for one test: a random port on the loopback
// interface and a directory that goes away with it.
type Options struct {
	Dir       string   // holds one directory a bucket; "" is a temporary directory, removed by Stop
	Addr      string   // host:port to listen on; "" is 127.0.0.1:0, and port 0 draws a free one
	AccessKey string   // of the only account, which may do everything; "" is "stipple"
	SecretKey string   // "" is "stipple-secret"
	Region    string   // requests must be signed for it; "" is "us-east-1"
	Buckets   []string // made at the start where they are missing

	// Domain is a domain under which bucket.domain addresses a bucket, beside the paths that always do; "" is none. Its
	// names have to lead to Addr.
	Domain string

	// Sidecar keeps metadata in files beside Dir even if the file system has extended attributes.
	Sidecar bool
}

// Server is a running S3 server. Its methods may be called from several goroutines.
type Server struct {
	options Options
	dir     string // absolute
	ownDir  bool   // dir was made by Start, Stop removes it
	sidecar string // directory of the metadata; "" means extended attributes

	mu      sync.Mutex
	addr    string // host:port; the drawn port stays the same after Resume
	back    string // working directory to go back to
	cancel  context.CancelFunc
	done    chan error // the gateway goroutine's result; nil while nothing runs
	stopped bool
}

// running is held by the one Server that runs: versitygw keeps process-wide state.
var running sync.Mutex

// Start runs a server and returns once it answers and the buckets are there.
func Start(o Options) (*Server, error) {
	s := &Server{options: o.withDefaults()}
	s.addr = s.options.Addr
	if err := s.prepareDir(); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	if err := s.run(); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	if err := s.createBuckets(); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func (o Options) withDefaults() Options {
	for _, d := range []struct {
		field *string
		value string
	}{
		{&o.Addr, "127.0.0.1:0"}, {&o.AccessKey, "stipple"}, {&o.SecretKey, "stipple-secret"}, {&o.Region, "us-east-1"},
	} {
		if *d.field == "" {
			*d.field = d.value
		}
	}
	return o
}

// Endpoint is the base URL, such as http://127.0.0.1:9000: what AWS_ENDPOINT_URL_S3 takes. It stays the
// same across Suspend and Resume.
func (s *Server) Endpoint() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return "http://" + s.addr
}

// Dir is the directory of the buckets: an object lies at <dir>/<bucket>/<key>.
func (s *Server) Dir() string { return s.dir }

// AccessKey is the key of the only account.
func (s *Server) AccessKey() string { return s.options.AccessKey }

// SecretKey is the secret of AccessKey.
func (s *Server) SecretKey() string { return s.options.SecretKey }

// Region is the region that signatures must name.
func (s *Server) Region() string { return s.options.Region }

// Suspend stops answering and keeps objects and port for Resume: clients see a store that went away.
// Suspending a suspended or stopped server does nothing.
func (s *Server) Suspend() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shutdown()
}

// Resume starts a suspended server again on the same directory and port. Resuming a running one does nothing.
func (s *Server) Resume() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.stopped:
		return errors.New("resuming the S3 server: it was stopped; start a new one on its directory")
	case s.done != nil:
		return nil
	}
	return s.run()
}

// Stop ends the server for good: it waits for requests in progress (at most 10 s) and for its goroutines,
// and removes the directory if Start made it. Stopping twice does nothing.
func (s *Server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return nil
	}
	s.stopped = true
	err := s.shutdown()
	if s.ownDir {
		err = errors.Join(err, os.RemoveAll(s.dir))
		if s.sidecar != "" {
			err = errors.Join(err, os.RemoveAll(s.sidecar))
		}
	}
	return err
}

// shutdown ends the gateway and waits for it. The caller holds mu.
func (s *Server) shutdown() error {
	if s.done == nil {
		return nil
	}
	s.cancel()
	err := <-s.done
	s.done = nil
	return errors.Join(err, s.release())
}

// release gives up the process-wide state that run took: working directory and the right to run.
func (s *Server) release() error {
	defer running.Unlock()
	if wd, err := os.Getwd(); err == nil && wd == s.dir {
		if err := os.Chdir(s.back); err != nil {
			return fmt.Errorf("going back to the working directory: %w", err)
		}
	}
	return nil
}

// run starts the gateway and returns once it listens. The caller holds mu or is the only owner.
func (s *Server) run() (err error) {
	if !running.TryLock() {
		return errors.New("starting an S3 server: another one runs in this process, and versitygw allows one; stop that one first")
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.release())
		}
	}()
	if s.back, err = os.Getwd(); err != nil {
		return fmt.Errorf("starting an S3 server: %w", err)
	}
	drawn := portOf(s.addr) == "0"
	for try := 1; ; try++ {
		addr := s.addr
		if drawn {
			if addr, err = freeAddr(s.addr); err != nil {
				return fmt.Errorf("starting an S3 server on %s: %w", s.addr, err)
			}
		}
		err = s.serve(addr)
		switch {
		case err == nil:
			s.addr = addr
			return nil
		case !drawn || try == 5: // a drawn port is taken by someone else now and then; a given one is the user's choice
			return fmt.Errorf("starting an S3 server on %s with objects in %s: %w", addr, s.dir, err)
		}
	}
}

// serve starts the gateway's goroutine, which ends by shutdown, and waits until it listens.
func (s *Server) serve(addr string) error {
	storer := meta.MetadataStorer(meta.XattrMeta{})
	if s.sidecar != "" {
		sidecar, err := meta.NewSideCar(s.sidecar)
		if err != nil {
			return fmt.Errorf("opening the metadata directory %s: %w", s.sidecar, err)
		}
		storer = sidecar
	}
	backend, err := posix.New(s.dir, storer, posix.PosixOpts{})
	if err != nil {
		return err
	}
	root := auth.Account{Access: s.options.AccessKey, Secret: s.options.SecretKey, Role: auth.RoleAdmin}
	listens := make(chan struct{})
	cfg := &embedgw.Config{
		RootUserAccess:    root.Access,
		RootUserSecret:    root.Secret,
		Region:            s.options.Region,
		VirtualDomain:     s.options.Domain,
		Ports:             []string{addr},
		MaxConnections:    4096,
		MaxRequests:       4096,
		MultipartMaxParts: 10_000,
		Quiet:             true,
		KeepAlive:         true,
		IAMService:        account{auth.NewIAMServiceSingle(root)}, // versitygw's own choice is the same, and prints a line
		S3Options:         []s3api.Option{s3api.WithOnListen(func() { close(listens) })},
	}
	ctx, cancel := context.WithCancel(context.Background()) // ends with the server, not with the call that starts it
	done := make(chan error, 1)
	go func() { done <- embedgw.RunVersityGW(ctx, backend, cfg) }()
	select {
	case <-listens:
		err = answers(addr)
	case err = <-done:
		done <- nil // for the receive below
	}
	if err != nil {
		cancel()
		err = errors.Join(err, <-done)
		backend.Shutdown()
		return err
	}
	s.cancel, s.done = cancel, done
	return nil
}

// answers waits for the first answer. Before it the HTTP server may not yet know its own listener, and a shutdown that
// comes so early would leave both behind.
func answers(addr string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/", http.NoBody) // unsigned, so refused
	if err != nil {
		return fmt.Errorf("the address %q: %w", addr, err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("waiting for the first answer: %w", err)
	}
	return resp.Body.Close()
}

// Lingering names the functions of goroutines that outlive Stop, for tests that look for leaks: the clock
// that fasthttp starts once in a process, and the cleaner of fasthttp's worker pool, which sleeps
// up to 10 s before it sees that its server is gone.
func Lingering() []string {
	return []string{
		"github.com/valyala/fasthttp.updateServerDate.func1",
		"github.com/valyala/fasthttp.(*workerPool).Start.func2",
	}
}

// account is versitygw's service of a single account, with S3's answer to an access key that is not its own:
// InvalidAccessKeyId instead of an answer of the administration API.
type account struct{ auth.IAMService }

// GetUserAccount returns the account of an access key, or auth.ErrNoSuchUser.
func (a account) GetUserAccount(access string) (auth.Account, error) {
	found, err := a.IAMService.GetUserAccount(access)
	if err != nil {
		return auth.Account{}, auth.ErrNoSuchUser
	}
	return found, nil
}
