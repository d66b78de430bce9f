package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stipple-ai/stipple/internal/local/ports"
)

// startTime is long enough for a server to start on a machine that is busy.
const startTime = time.Minute

// server is a broker or a store: a process that is started again with the same data and address.
type server struct {
	name    string
	addr    string // host:port
	launch  func() (*process, error)
	answers func(context.Context) error // nil once it can be used
	log     *slog.Logger

	using   sync.Mutex // held by the fault that has killed it, until it is back
	process *process
}

// start starts the server and returns when it can be used.
func (s *server) start(ctx context.Context) error {
	var err error
	if s.process, err = s.launch(); err != nil {
		return err
	}
	return s.await(ctx)
}

func (s *server) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		err := s.answers(ctx)
		if err == nil {
			return nil
		}
		if !s.process.running() {
			return fmt.Errorf("%s ended instead of starting, with exit code %d: see %s.log", s.name, s.process.code(), s.name)
		}
		if wait(ctx, 20*time.Millisecond); ctx.Err() != nil {
			return fmt.Errorf("%s does not answer within %v: %w", s.name, startTime, err)
		}
	}
}

// kill kills the server. It stays down until revive, and no other fault has it meanwhile.
func (s *server) kill() error {
	s.using.Lock()
	s.log.Info("killing", slog.String("server", s.name))
	return s.process.kill()
}

// revive starts the server again after a while.
func (s *server) revive(ctx context.Context, after time.Duration) error {
	defer s.using.Unlock()
	wait(ctx, after)
	begin := time.Now()
	err := s.start(ctx)
	s.log.Info("back", slog.String("server", s.name), slog.Duration("took", time.Since(begin).Round(time.Millisecond)))
	return err
}

func (s *server) stop() error {
	if s.process == nil {
		return nil
	}
	return s.process.kill()
}

// newBrokers are one nats-server, or three that are a cluster, with their streams in dir, as they ship: what a broker
// acknowledges has been written, and is not yet flushed to the disk.
func newBrokers(dir, program string, n int, log *slog.Logger) ([]*server, error) {
	drawn := make([]int, 2*n) // for clients, then for the cluster
	for i := range drawn {
		var err error
		if drawn[i], err = ports.Free(); err != nil {
			return nil, err
		}
	}
	var routes []string
	for _, port := range drawn[n:] {
		routes = append(routes, "nats://127.0.0.1:"+strconv.Itoa(port))
	}
	var all []*server
	for i := range n {
		name := fmt.Sprintf("nats%d", i)
		args := []string{"--jetstream", "--server_name", name, "--store_dir", filepath.Join(dir, name), "--addr", "127.0.0.1", "--port", strconv.Itoa(drawn[i])}
		if n > 1 { // without advertising, so that workers stay on the network that can be broken
			args = append(args, "--cluster_name", "chaos", "--cluster", routes[i], "--routes", strings.Join(routes, ","), "--no_advertise")
		}
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(drawn[i]))
		all = append(all, &server{
			name: name, addr: addr, log: log,
			launch:  func() (*process, error) { return start(dir, name, []string{}, program, args...) },
			answers: func(ctx context.Context) error { return jetStreamAnswers(ctx, "nats://"+addr) },
		})
	}
	return all, nil
}

func jetStreamAnswers(ctx context.Context, url string) error {
	nc, err := nats.Connect(url, nats.Timeout(time.Second))
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_, err = js.AccountInfo(ctx)
	return err
}

// Credentials and region of the store.
const (
	accessKey = "stipple-chaos"
	secretKey = "stipple-chaos-secret"
	region    = "us-east-1"
)

// newStore is an S3 server of that kind, with its objects in dir.
func newStore(dir, kind, program string, log *slog.Logger) (*server, error) {
	port, err := ports.Free()
	if err != nil {
		return nil, err
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	data, sidecar := filepath.Join(dir, "store"), filepath.Join(dir, "metadata") // beside the objects: not every file system has extended attributes
	if err := errors.Join(os.MkdirAll(data, 0o755), os.MkdirAll(sidecar, 0o755)); err != nil {
		return nil, err
	}
	s := &server{name: kind, addr: addr, log: log, answers: func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		_, err := s3Client(addr).ListBuckets(ctx, &s3.ListBucketsInput{})
		return err
	}}
	switch kind {
	case "minio":
		env := []string{"MINIO_ROOT_USER=" + accessKey, "MINIO_ROOT_PASSWORD=" + secretKey, "MINIO_REGION=" + region, "HOME=" + dir}
		s.launch = func() (*process, error) {
			return start(dir, kind, env, program, "server", "--address", addr, "--console-address", "127.0.0.1:0", data)
		}
	case "versitygw":
		env := []string{"ROOT_ACCESS_KEY=" + accessKey, "ROOT_SECRET_KEY=" + secretKey}
		s.launch = func() (*process, error) {
			return start(dir, kind, env, program, "--port", addr, "--region", region, "posix", "--sidecar", sidecar, data)
		}
	default:
		return nil, fmt.Errorf("--store is %q: must be minio or versitygw", kind)
	}
	return s, nil
}
