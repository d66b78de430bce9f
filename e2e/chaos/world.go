package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stipple-ai/stipple/internal/local/otlpd"
	"github.com/stipple-ai/stipple/internal/local/ports"
)

const bucket = "images"

// world is what a run plays in: brokers, a store and a telemetry sink of its own, and clients that look at them past the
// networks that are broken.
type world struct {
	o   options
	log *slog.Logger

	brokers []*server
	store   *server
	sink    *otlpd.Server
	edges   *edges
	mood    storeMood

	nc *nats.Conn
	js jetstream.JetStream
	s3 *s3.Client

	undo []func() error // in the order in which it was done
}

// newWorld starts the servers, and makes the queue and the bucket. close ends what is there, also after an error.
func newWorld(ctx context.Context, o options, log *slog.Logger) (*world, error) {
	w := &world{o: o, log: log, edges: &edges{log: log}}
	return w, w.open(ctx)
}

func (w *world) open(ctx context.Context) error {
	n := 1
	if w.o.cluster {
		n = 3
	}
	var err error
	if w.brokers, err = newBrokers(w.o.dir, w.o.natsServer, n, w.log); err != nil {
		return err
	}
	if w.store, err = newStore(w.o.dir, w.o.store, w.o.storeServer, w.log); err != nil {
		return err
	}
	var urls []string
	for _, s := range append(slices.Clone(w.brokers), w.store) {
		w.undo = append(w.undo, s.stop)
		if s.process, err = s.launch(); err != nil {
			return err
		}
		urls = append(urls, "nats://"+s.addr)
	}
	for _, s := range append(slices.Clone(w.brokers), w.store) { // those of a cluster wait for each other
		if err := s.await(ctx); err != nil {
			return err
		}
	}
	brokers := strings.Join(urls[:n], ",")
	if w.nc, err = nats.Connect(brokers, nats.Name("chaos"), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond)); err != nil {
		return fmt.Errorf("connecting to the broker: %w", err)
	}
	w.undo = append(w.undo, func() error { w.nc.Close(); return nil })
	if w.js, err = jetstream.New(w.nc); err != nil {
		return err
	}
	setup := exec.CommandContext(ctx, w.o.program("enqueue"), "setup", "--models", modelName, "--ack-wait", w.o.ackWait.String(), "--replicas", fmt.Sprint(n))
	setup.Env = []string{"NATS_URL=" + brokers}
	if out, err := setup.CombinedOutput(); err != nil {
		return fmt.Errorf("enqueue setup: %w\n%s", err, out)
	}
	w.s3 = s3Client(w.store.addr)
	if _, err := w.s3.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(bucket)}); err != nil {
		return fmt.Errorf("making the bucket: %w", err)
	}
	if w.sink, err = otlpd.Start(otlpd.Options{MaxSpans: 1000, MaxRequests: 10}); err != nil {
		return err
	}
	w.undo = append(w.undo, w.sink.Stop)
	return nil
}

// close ends everything, the last first.
func (w *world) close() error {
	var errs []error
	for _, undo := range slices.Backward(w.undo) {
		errs = append(errs, undo())
	}
	return errors.Join(errs...)
}

// s3Client is a client that tries a few times.
func s3Client(addr string) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String("http://" + addr), Region: region, UsePathStyle: true,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: secretKey}, nil
		}),
	})
}

// worker makes a place for workers with a network of its own. Nothing runs there yet.
func (w *world) worker(index int, env ...string) (*worker, error) {
	port, err := ports.Free()
	if err != nil {
		return nil, err
	}
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	k := &worker{index: index, log: w.log, stall: &valve{}}
	for _, b := range w.brokers {
		wire, err := newBrokerWire(b.addr, k, w.edges, k.stall)
		if err != nil {
			return nil, err
		}
		k.brokers = append(k.brokers, wire)
	}
	if k.store, err = newStoreWire(w.store.addr, k, w.edges, &w.mood, w.log); err != nil {
		return nil, err
	}
	k.meter = newMeter(addr)
	k.launch = func(name string, k *worker) (*process, error) {
		all := append([]string{
			"HOME=" + w.o.dir, "PATH=/usr/bin:/bin", "WORKER_NAME=" + name, "LOG_LEVEL=debug", "HTTP_ADDR=" + addr,
			"NATS_URL=" + k.natsURL(), "ACK_WAIT=" + w.o.ackWait.String(), fmt.Sprintf("MAX_ATTEMPTS=%d", maxAttempts),
			"AWS_ENDPOINT_URL=" + k.store.endpoint(), "AWS_REGION=" + region, "AWS_ACCESS_KEY_ID=" + accessKey, "AWS_SECRET_ACCESS_KEY=" + secretKey,
			"AWS_EC2_METADATA_DISABLED=true", "S3_BUCKET=" + bucket,
			"MODELS=" + modelName + "=" + w.o.model, "ONNXRUNTIME_LIB=" + w.o.library,
			"DRAIN_TIMEOUT=" + drainTimeout.String(), "FLUSH_TIMEOUT=" + flushTimeout.String(),
			"OTEL_EXPORTER_OTLP_ENDPOINT=" + w.sink.Endpoint(), "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
		}, env...)
		return start(w.o.dir, name, all, w.o.program("worker"))
	}
	w.undo = append(w.undo, k.stop, func() error {
		if l := k.current(); l != nil {
			l.doomed.Store(true)
			return l.kill()
		}
		return nil
	})
	return k, nil
}

// maxAttempts is more starts than all faults together can count against one job: a job that is given up was not given up
// because of them.
const maxAttempts = 100_000

// publish puts the jobs of a batch from one index up to another into the queue, as any program may. A broker that is away
// is waited for: by its id, a job that is sent again is there once.
func (w *world) publish(ctx context.Context, batch string, jobs []job, from, to int) error {
	for i := from; i < to; i++ {
		subject, id, body, err := jobs[i].message(batch, i)
		if err != nil {
			return err
		}
		msg := &nats.Msg{Subject: subject, Header: nats.Header{"Nats-Msg-Id": {id}}, Data: body}
		for {
			if err = w.publishOnce(ctx, msg); err == nil {
				break
			}
			w.log.Debug("publishing again", slog.String("job", id), slog.Any("error", err))
			if wait(ctx, 50*time.Millisecond); ctx.Err() != nil {
				return fmt.Errorf("publishing %s: %w", id, err)
			}
		}
	}
	return nil
}

func (w *world) publishOnce(ctx context.Context, msg *nats.Msg) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_, err := w.js.PublishMsg(ctx, msg)
	return err
}

// state is how full a stream is.
func (w *world) state(ctx context.Context, stream string) (jetstream.StreamState, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	s, err := w.js.Stream(ctx, stream)
	if err != nil {
		return jetstream.StreamState{}, fmt.Errorf("looking at %s: %w", stream, err)
	}
	return s.CachedInfo().State, nil
}

// await waits until so many results are recorded and no job is left in the queue. A broker that is away is waited for.
func (w *world) await(ctx context.Context, results uint64) error {
	var problem error
	for {
		recorded, err := w.state(ctx, "RESULTS")
		left, err2 := w.state(ctx, "JOBS")
		if problem = errors.Join(err, err2); problem == nil {
			if recorded.Msgs >= results && left.Msgs == 0 {
				return nil
			}
			problem = fmt.Errorf("%d of %d results are recorded, and %d jobs are in the queue", recorded.Msgs, results, left.Msgs)
		}
		if wait(ctx, 100*time.Millisecond); ctx.Err() != nil {
			return fmt.Errorf("%w: %w", context.Cause(ctx), problem)
		}
	}
}
