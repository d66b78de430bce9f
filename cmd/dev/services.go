package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"time"

	"github.com/stipple-ai/stipple/internal/local/natsd"
	"github.com/stipple-ai/stipple/internal/local/otlpd"
	"github.com/stipple-ai/stipple/internal/local/s3d"
	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/upload"
)

// bucket is where the embedded S3 server has the pictures.
const bucket = "stipple"

// addresses are where the servers listen, each host:port; port 0 draws a free one.
type addresses struct{ nats, s3, otlp string }

// services are the servers that a worker needs, in this process: a broker, a store and a collector.
type services struct {
	nats *natsd.Server
	s3   *s3d.Server
	otlp *otlpd.Server
}

// startServices starts the servers with their data in dir, which must be absolute: the S3 server changes the
// process's working directory until it stops. What it started before an error is stopped again.
func startServices(dir string, at addresses, logger *slog.Logger) (_ *services, err error) {
	s := &services{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop())
		}
	}()
	host, port, err := splitAddress("NATS_ADDR (--nats-addr)", at.nats)
	if err != nil {
		return nil, configError(err)
	}
	if s.nats, err = natsd.Start(natsd.Options{Dir: filepath.Join(dir, "nats"), Host: host, Port: port, Logger: logger}); err != nil {
		return nil, err
	}
	if s.s3, err = s3d.Start(s3d.Options{Dir: filepath.Join(dir, "s3"), Addr: at.s3, Buckets: []string{bucket}}); err != nil {
		return nil, err
	}
	if s.otlp, err = otlpd.Start(otlpd.Options{Addr: at.otlp}); err != nil {
		return nil, err
	}
	return s, nil
}

// stop stops what runs, in the reverse order of its start.
func (s *services) stop() error {
	var errs []error
	if s.otlp != nil {
		errs = append(errs, s.otlp.Stop())
	}
	if s.s3 != nil {
		errs = append(errs, s.s3.Stop())
	}
	if s.nats != nil {
		errs = append(errs, s.nats.Stop())
	}
	return errors.Join(errs...)
}

// splitAddress takes host:port apart; setting names it in the error.
func splitAddress(setting, address string) (host string, port int, err error) {
	host, digits, err := net.SplitHostPort(address)
	if err == nil {
		port, err = strconv.Atoi(digits)
	}
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("%s is %q: must be host:port, as in 127.0.0.1:4222", setting, address)
	}
	return host, port, nil
}

// queueConfig leads to the broker.
func (s *services) queueConfig(name string, logger *slog.Logger) queue.Config {
	return queue.Config{URL: s.nats.URL(), Name: name, Logger: logger}
}

// connect returns a client of the broker, on which everything is made that jobs for the models need. This is not
// interrupted when ctx ends: a nats-server that stops while it makes a stream forgets to close it.
func (s *services) connect(ctx context.Context, name string, c *config) (*queue.Client, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), setupTimeout)
	defer cancel()
	client, err := queue.Connect(ctx, s.queueConfig(name, c.log))
	if err != nil {
		return nil, err
	}
	layout := queue.Layout{}
	for _, m := range c.served {
		layout.Models = append(layout.Models, m.Name)
	}
	if _, err := client.Ensure(ctx, layout); err != nil {
		return nil, errors.Join(err, client.Close(ctx))
	}
	return client, nil
}

// setupTimeout bounds what takes a tenth of a second on a machine that is not overloaded.
const setupTimeout = 30 * time.Second

// storeConfig leads to the bucket.
func (s *services) storeConfig() upload.Config {
	return upload.Config{
		Bucket: bucket, Endpoint: s.s3.Endpoint(), Region: s.s3.Region(),
		AccessKeyID: s.s3.AccessKey(), SecretAccessKey: s.s3.SecretKey(),
	}
}

// variable is one of the environment.
type variable struct{ name, value string }

// environment is what another process has to be told to use these services.
func (s *services) environment() []variable {
	return []variable{
		{"NATS_URL", s.nats.URL()},
		{"AWS_ENDPOINT_URL", s.s3.Endpoint()},
		{"AWS_REGION", s.s3.Region()},
		{"AWS_ACCESS_KEY_ID", s.s3.AccessKey()},
		{"AWS_SECRET_ACCESS_KEY", s.s3.SecretKey()},
		{"S3_BUCKET", bucket},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", s.otlp.Endpoint()},
	}
}

// getenv is the environment of the telemetry in this process: all of it goes to the collector here, whatever the
// variables of the process say.
func (s *services) getenv(name string) string {
	if name == "OTEL_EXPORTER_OTLP_ENDPOINT" {
		return s.otlp.Endpoint()
	}
	return ""
}
